"""Identifiers of the United Kingdom, checked offline."""

from __future__ import annotations

import pytest

from fhir_server.terminology.united_kingdom import (
    nhs_number_fault,
    ods_code_fault,
    postcode_fault,
    warnings,
)


@pytest.mark.parametrize("text", ["9434765919", "4010232137", "9990548609", "9000000009"])
def test_an_nhs_number_with_its_check_digit_is_good(text: str) -> None:
    assert nhs_number_fault(text) is None


@pytest.mark.parametrize(
    "text",
    ["9434765918", "943476591", "943 476 5919", "94347659190", "abcdefghij", "", "٩434765919"],
)
def test_any_other_nhs_number_is_not(text: str) -> None:
    assert nhs_number_fault(text) is not None


def test_a_change_of_one_digit_or_a_swap_of_two_is_found() -> None:
    good = "9434765919"
    for at in range(10):
        for digit in "0123456789":
            if digit != good[at]:
                assert nhs_number_fault(good[:at] + digit + good[at + 1 :]) is not None
    for at in range(9):
        if good[at] != good[at + 1]:
            assert (
                nhs_number_fault(good[:at] + good[at + 1] + good[at] + good[at + 2 :]) is not None
            )


def test_forms_of_ods_codes_and_postcodes() -> None:
    assert [code for code in ("RR8", "A81001", "RR807", "VNE1D2X") if ods_code_fault(code)] == []
    assert all(ods_code_fault(code) for code in ("rr8", "R", "RR-8", "A" * 13))
    good = ("SW1A 1AA", "LS1 4AP", "M1 1AE", "B33 8TH", "cr2 6xh", "DN551PT", "GIR 0AA", "BFPO 61")
    assert [code for code in good if postcode_fault(code)] == []
    assert all(postcode_fault(code) for code in ("SW1A", "12345", "SW1A 1CA", "AAA1 1AA"))


def test_a_resource_is_warned_of_without_its_values() -> None:
    resource = {
        "resourceType": "Patient",
        "identifier": [
            {"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9434765918"},
            {"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9434765919"},
        ],
        "address": [{"postalCode": "LS1"}, {"postalCode": "75001", "country": "FR"}],
        "managingOrganization": {
            "identifier": {"system": "https://fhir.nhs.uk/Id/ods-organization-code", "value": "rr8"}
        },
    }
    found = list(warnings(resource))
    assert {issue.expression for issue in found} == {
        ("Patient.identifier[0].value",),
        ("Patient.address[0].postalCode",),
        ("Patient.managingOrganization.identifier.value",),
    }
    assert {issue.severity for issue in found} == {"warning"}
    assert not any("9434765918" in issue.diagnostics for issue in found)
