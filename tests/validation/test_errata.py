"""The errata: each repairs an invariant that R4 has, parses, and is told in the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhir_server.fhirpath import compile_expression
from fhir_server.spec import definitions
from fhir_server.validation.errata import ERRATA
from fhir_server.validation.native import INVARIANTS, STRUCTURAL
from fhir_server.validation.rules import Invariant
from fhir_server.validation.sentences import sentence
from fhir_server.validation.snapshot import structure_rules

DOCUMENT = Path(__file__).parents[2] / "docs" / "validation.md"


def _all() -> list[Invariant]:
    names = (*sorted(definitions.data_types()), "SimpleQuantity", *definitions.resource_types())
    return [
        invariant
        for name in names
        for rules in structure_rules(name).values()
        for invariants in (rules.invariants, *(item.invariants for item in rules.elements))
        for invariant in invariants
    ]


ALL = _all()


@pytest.mark.parametrize("key", ERRATA)
def test_an_erratum_repairs_an_invariant_of_r4_and_is_documented(key: str) -> None:
    assert key in {invariant.key for invariant in ALL}
    assert f"`{key}`" in DOCUMENT.read_text()


def test_every_invariant_compiles() -> None:
    for expression in {item.expression for item in ALL if item.key not in STRUCTURAL}:
        compile_expression(expression)


def test_every_invariant_that_is_code_is_one_of_r4() -> None:
    assert INVARIANTS.keys() <= {(item.path, item.key) for item in ALL}


def test_every_invariant_has_a_sentence() -> None:
    for item in ALL:
        assert sentence(item, "X").startswith("X ")
        assert f"({item.key})" in sentence(item, "X")
