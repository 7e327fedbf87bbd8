"""Compartments (https://hl7.org/fhir/R4/compartmentdefinition.html)."""

from __future__ import annotations

import pytest

from fhir_server.search.compartments import compartment_expression, compartment_types
from fhir_server.spec.errors import FhirError


def test_a_type_that_is_not_in_the_compartment_is_refused_and_never_the_unfiltered_type() -> None:
    assert "Slot" not in compartment_types("Patient")
    with pytest.raises(FhirError) as caught:
        compartment_expression("Patient", "1", "Slot")
    assert 400 <= caught.value.status < 500


@pytest.mark.parametrize(
    "name", ["Device", "Encounter", "Patient", "Practitioner", "RelatedPerson"]
)
def test_every_member_type_has_an_expression(name: str) -> None:
    for member in compartment_types(name):
        assert compartment_expression(name, "1", member)
