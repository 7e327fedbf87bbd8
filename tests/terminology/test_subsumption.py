"""FHIRPath's memberOf() and subsumes() by a terminology (https://hl7.org/fhir/R4/fhirpath.html#functions)."""

from __future__ import annotations

import pytest
from animals import ANIMALS, filtered, terminology, value_set

from fhir_server.fhirpath import Environment, compile_expression, root
from fhir_server.terminology.subsumption import subsumes
from fhir_server.validation.profiles.codes import is_member

CATS = value_set(filtered("is-a", "cat"))
PETS = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": "http://elsewhere.example", "code": "x"}, {"system": ANIMALS, "code": "tiger"}]},
    "category": [{"coding": [{"system": ANIMALS, "code": "cat"}]}, {"coding": [{"system": ANIMALS, "code": "bird"}]}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("code.memberOf('{url}')", [True]),
        ("code.coding.last().memberOf('{url}')", [True]),
        ("code.coding.first().memberOf('{url}')", [False]),
        ("category.last().memberOf('{url}')", [False]),
        ("code.memberOf('http://nobody.example')", []),
        ("status.memberOf('http://hl7.org/fhir/ValueSet/observation-status')", [True]),
        ("category.first().subsumes(code)", [True]),
        ("code.subsumedBy(category.first())", [True]),
        ("category.last().subsumes(code)", [False]),
        ("code.subsumes(category.first())", [False]),
    ],
)
def test_expressions_ask_the_terminology(text: str, expected: list[bool]) -> None:
    known = terminology(CATS)
    environment = Environment(
        member_of=lambda node, url: is_member(node.value, node.type, url, known),
        subsumes=subsumes(known),
    )
    found = compile_expression(text.replace("{url}", CATS["url"])).evaluate(root(PETS), environment)
    assert [node.value for node in found] == expected
