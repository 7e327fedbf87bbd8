"""Names of types may come from a caller: what is no type costs no memory (https://hl7.org/fhir/R4/resourcelist.html)."""

from __future__ import annotations

import pytest

from fhir_server.fhirpath.node import is_type
from fhir_server.spec.definitions import base_of, is_a, is_resource_type


@pytest.mark.parametrize(
    "asked", [is_resource_type, is_type, base_of, lambda name: is_a(name, "Resource")]
)
def test_names_that_are_made_up_are_not_kept(asked: object) -> None:
    assert callable(asked)
    for number in range(3000):
        assert not asked(f"Madeup{number}")
    for cached in (is_resource_type, is_type, base_of, is_a):
        assert cached.cache_info().currsize <= 1024
