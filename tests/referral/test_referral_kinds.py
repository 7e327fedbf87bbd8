"""What a stored ServiceRequest is, told without reading it where that can be (https://hl7.org/fhir/R4/servicerequest.html)."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from referral_desk import UBRN, concept

from fhir_server.referral.kinds import kind_of, stored_referral
from fhir_server.spec.json_format import serialise
from fhir_server.store.contract import StoredVersion

ADVICE = ("https://fhir.nhs.uk/CodeSystem/servicerequest-code", "advice-and-guidance")
SYSTEMS = st.sampled_from([ADVICE[0], UBRN, "http://snomed.info/sct"])
CODES = st.sampled_from([ADVICE[1], "3457005", '"advice-and-guidance"', "advice"])
CONCEPTS = st.builds(concept, SYSTEMS, CODES)
REQUESTS = st.fixed_dictionaries(
    {"resourceType": st.just("ServiceRequest")},
    optional={
        "code": CONCEPTS,
        "category": st.lists(CONCEPTS, max_size=2),
        "identifier": st.lists(
            st.fixed_dictionaries({"system": SYSTEMS, "value": st.just("123456789012")}),
            max_size=2,
        ),
        "patientInstruction": st.text(max_size=5) | CODES,
    },
)


@given(REQUESTS)
@example(
    {
        "resourceType": "ServiceRequest",
        "code": concept(*ADVICE),
        "identifier": [{"system": UBRN, "value": "123456789012"}],
    }
)
def test_only_those_of_a_kind_are_those_that_are_of_it(resource: dict[str, Any]) -> None:
    version = StoredVersion(1, "ServiceRequest", "a", 1, 0, "POST", True, serialise(resource))
    found = stored_referral(version)
    for kind in ("referral", "advice"):
        assert stored_referral(version, kind) == (found if kind_of(found) == kind else None)
