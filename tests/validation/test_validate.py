"""validate, explain and status: what is refused, where it is, and which HTTP status it means."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from uk_resources import APPOINTMENT, FAULTLESS, PATIENT, SERVICE_REQUEST, SLOT, transaction

from fhir_server.spec.json_format import FhirDecimal
from fhir_server.validation import explain, status, validate

Json = dict[str, Any]


def changed(original: Json, change: Callable[[Json], object]) -> Json:
    made = copy.deepcopy(original)
    change(made)
    return made


def put(path: str, value: Any) -> Callable[[Json], None]:
    """A change that sets the property at a path such as participant.0.status."""

    def change(resource: Json) -> None:
        *way, last = path.split(".")
        place: Any = resource
        for step in way:
            place = place[int(step)] if step.isdigit() else place[step]
        place[int(last) if last.isdigit() else last] = value

    return change


def drop(path: str) -> Callable[[Json], None]:
    def change(resource: Json) -> None:
        *way, last = path.split(".")
        place: Any = resource
        for step in way:
            place = place[int(step)] if step.isdigit() else place[step]
        del place[int(last) if last.isdigit() else last]

    return change


@pytest.mark.parametrize("resource", FAULTLESS, ids=lambda item: item["resourceType"])
def test_a_good_resource_has_no_issues(resource: Json) -> None:
    assert validate(resource) == ()
    # Profiles and extensions of the UK are not at hand.
    assert {issue.code for issue in explain(resource)} <= {
        "not-found",
        "extension",
        "invalid",
        "code-invalid",
    }


UNKNOWN = {"url": "http://e.org", "valueCode": "unknown"}
STRUCTURE = [
    (SLOT, put("foo", 1), "structure", "Slot.foo"),
    (SLOT, put("Status", "free"), "structure", "Slot.Status"),
    (SLOT, put("_id", {"id": "a"}), "structure", "Slot._id"),
    (SLOT, put("comment", None), "structure", "Slot.comment"),
    (SLOT, put("comment", ""), "value", "Slot.comment"),
    (SLOT, put("comment", "  "), "value", "Slot.comment"),
    (SLOT, put("comment", "x" * 1048577), "value", "Slot.comment"),
    (SLOT, put("identifier", []), "structure", "Slot.identifier"),
    (SLOT, put("identifier", {}), "structure", "Slot.identifier"),
    (SLOT, put("identifier", [{}]), "structure", "Slot.identifier[0]"),
    (SLOT, put("identifier", [None]), "structure", "Slot.identifier[0]"),
    (SLOT, put("identifier", {"value": "a"}), "structure", "Slot.identifier"),
    (SLOT, put("schedule", [{"reference": "Schedule/1"}]), "structure", "Slot.schedule"),
    (SLOT, put("schedule", "Schedule/1"), "structure", "Slot.schedule"),
    (SLOT, put("status", ["free"]), "value", "Slot.status"),
    (SLOT, put("overbooked", "false"), "value", "Slot.overbooked"),
    (SLOT, put("start", "2026-02-30T09:00:00Z"), "value", "Slot.start"),
    (SLOT, put("start", "2026-03-05T09:00"), "value", "Slot.start"),
    (SLOT, put("start", "2026-03-05T09:00:00"), "value", "Slot.start"),
    (SLOT, put("id", "a_b"), "value", "Slot.id"),
    (SLOT, put("id", "x" * 65), "value", "Slot.id"),
    (SLOT, put("meta.profile", ["http://e.org/a b"]), "value", "Slot.meta.profile[0]"),
    (SLOT, put("resourceType", "Slots"), "structure", "Slots"),
    (SLOT, drop("resourceType"), "structure", "Resource"),
    (APPOINTMENT, put("priority", True), "value", "Appointment.priority"),
    (APPOINTMENT, put("priority", -1), "value", "Appointment.priority"),
    (APPOINTMENT, put("minutesDuration", FhirDecimal("15.0")), "value", "Appointment.minutesDuration"),
    (APPOINTMENT, put("minutesDuration", 0), "value", "Appointment.minutesDuration"),
    (APPOINTMENT, put("participant.1.foo", 1), "structure", "Appointment.participant[1].foo"),
    (PATIENT, put("name.0.given", ["Jane", None]), "structure", "Patient.name[0].given[1]"),
    (PATIENT, put("name.0._given", [None]), "structure", "Patient.name[0].given"),
    (PATIENT, put("_birthDate", {}), "structure", "Patient.birthDate"),
    (PATIENT, put("_birthDate", {"value": "x"}), "structure", "Patient.birthDate"),
    (PATIENT, put("deceasedBoolean", False), None, ""),
    (PATIENT, lambda r: r.update(deceasedBoolean=True, deceasedDateTime="2026"), "structure", "Patient.deceased"),
    (PATIENT, lambda r: r.update(deceasedBoolean=True, _deceasedDateTime={"extension": [UNKNOWN]}), "structure",
     "Patient.deceased"),
    (PATIENT, put("_gender", {"id": "a"}), None, ""),
    (PATIENT, put("identifier.0.extension.0.valueRatioRange", {}), "structure",
     "Patient.identifier[0].extension[0].valueRatioRange"),
    (PATIENT, put("extension.0", {"url": "http://e.org", "valueMeta": {"versionId": "1"}}), None, ""),
    (PATIENT, put("photo", [{"contentType": "image/png", "data": "AAA"}]), "value", "Patient.photo[0].data"),
    (SERVICE_REQUEST, put("quantityQuantity.value", "1"), "value",
     "ServiceRequest.quantity.ofType(Quantity).value"),
]  # fmt: skip
RULES = [
    (SLOT, drop("start"), "required", "Slot.start"),
    (SLOT, drop("schedule"), "required", "Slot.schedule"),
    (SLOT, put("status", "open"), "code-invalid", "Slot.status"),
    (SLOT, put("schedule.reference", "Patient/1"), "invalid", "Slot.schedule"),
    (SLOT, put("schedule.reference", "https://e.org/fhir/Patient/1/_history/2"), "invalid", "Slot.schedule"),
    (SLOT, put("schedule.reference", "Patient?identifier=a|b"), "invalid", "Slot.schedule"),
    (SLOT, put("schedule", {"type": "Patient", "identifier": {"value": "1"}}), "invalid", "Slot.schedule"),
    (SLOT, put("schedule.type", "Patient"), "invalid", "Slot.schedule"),
    (SLOT, put("schedule.reference", "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"), None, ""),
    (SLOT, put("schedule.reference", "Shedule/1"), "invalid", "Slot.schedule"),
    (SLOT, put("_start", {"extension": [{"url": "http://e.org", "valueCode": "unknown"}]}), None, ""),
    (APPOINTMENT, put("participant", []), "structure", "Appointment.participant"),
    (APPOINTMENT, drop("participant"), "required", "Appointment.participant"),
    (APPOINTMENT, drop("participant.0.status"), "required", "Appointment.participant[0].status"),
    (APPOINTMENT, put("participant.2.status", "yes"), "code-invalid", "Appointment.participant[2].status"),
    (APPOINTMENT, put("contained.0.contained", [{"resourceType": "Basic", "id": "b", "code": {"text": "x"}}]),
     "invariant", "Appointment.contained[0].contained"),
    (APPOINTMENT, drop("supportingInformation"), "invariant", "Appointment.contained[0]"),
    (APPOINTMENT, put("contained.0.meta", {"versionId": "1"}), "invariant",
     "Appointment.contained[0].meta.versionId"),
    (APPOINTMENT, put("contained.0.meta", {"lastUpdated": "2026-03-05T09:00:00Z"}), "invariant",
     "Appointment.contained[0].meta.lastUpdated"),
    (APPOINTMENT, put("contained.0.meta", {"security": [{"code": "R"}]}), "invariant",
     "Appointment.contained[0].meta.security"),
    (APPOINTMENT, put("contained.0.meta", {"tag": [{"code": "R"}]}), None, ""),
    (APPOINTMENT, put("contained.0.status", "open"), "code-invalid", "Appointment.contained[0].status"),
    (APPOINTMENT, put("slot.0.reference", "#letter"), "invalid", "Appointment.slot[0]"),
    (APPOINTMENT, put("slot.0.reference", "#other"), "invariant", "Appointment.slot[0].reference"),
    (APPOINTMENT, put("contained.0.content.0.attachment.contentType", "pdf"), "code-invalid",
     "Appointment.contained[0].content[0].attachment.contentType"),
    (APPOINTMENT, put("language", "english language"), "code-invalid", "Appointment.language"),
    (PATIENT, put("extension.0", {"url": "http://e.org"}), "invariant", "Patient.extension[0]"),
    (PATIENT, put("extension.0.extension", [{"url": "a", "valueCode": "b"}]), "invariant", "Patient.extension[0]"),
    (PATIENT, drop("extension.0.url"), "required", "Patient.extension[0].url"),
    (PATIENT, put("name.1", {"id": "a"}), "invariant", "Patient.name[1]"),
    (PATIENT, lambda r: r.update(_active={"id": "a"}) or r.pop("active"), "invariant", "Patient.active"),
    (transaction(2), put("entry.0.fullUrl", "Patient/1"), "invariant", "Bundle.entry[0]"),
    (transaction(2), put("entry.0.fullUrl", "https://e.org/Slot/1"), "invariant", "Bundle.entry[0]"),
    (transaction(2), put("entry.0.resource.gender", "f"), "code-invalid", "Bundle.entry[0].resource.gender"),
]  # fmt: skip


@pytest.mark.parametrize(("original", "change", "code", "place"), STRUCTURE + RULES)
def test_one_change_gives_one_issue_of_its_code_at_its_place(
    original: Json, change: Callable[[Json], None], code: str | None, place: str
) -> None:
    resource = changed(original, change)
    found = [(issue.code, *issue.expression) for issue in validate(resource)]
    assert found == ([] if code is None else [(code, place)])


@pytest.mark.parametrize(("original", "change", "code", "place"), STRUCTURE)
def test_what_is_no_fhir_at_all_is_400(
    original: Json, change: Callable[[Json], None], code: str | None, place: str
) -> None:
    issues = validate(changed(original, change))
    assert code is None or status(issues) == 400


@pytest.mark.parametrize(("original", "change", "code", "place"), RULES)
def test_what_breaks_a_rule_is_422(
    original: Json, change: Callable[[Json], None], code: str | None, place: str
) -> None:
    issues = validate(changed(original, change))
    assert code is None or status(issues) == (400 if code == "structure" else 422)


def test_a_sentence_names_the_value_and_the_choices() -> None:
    (issue,) = validate(changed(SLOT, put("status", "open")))
    assert issue.diagnostics == (
        "Slot.status is 'open'; use one of busy, busy-tentative, busy-unavailable, entered-in-error, free"
    )


def test_an_unknown_property_gets_the_name_that_was_meant() -> None:
    (issue,) = validate(changed(SLOT, put("coment", "x")))
    assert "did you mean 'comment'" in issue.diagnostics


def test_the_type_asked_for_is_checked() -> None:
    (issue,) = validate(SLOT, resource_type="Schedule")
    assert (issue.code, status([issue])) == ("structure", 400)
    assert validate(SLOT, resource_type="Slot") == ()
    assert validate({}, resource_type="Slot")[0].expression == ("Slot",)


@pytest.mark.parametrize(
    "value", [None, True, 0, 1.5, "x", [], {}, [SLOT], {"resourceType": 1}, {"resourceType": []}]
)
def test_what_is_no_resource_is_400(value: Any) -> None:
    issues = validate(value)
    assert len(issues) == 1
    assert status(issues) == 400


def test_abstract_types_are_no_resources() -> None:
    assert status(validate({"resourceType": "DomainResource"})) == 400
    assert status(validate({"resourceType": "HumanName", "family": "x"})) == 400


def test_nesting_without_end_is_refused_without_a_crash() -> None:
    extension: Json = {"url": "a", "valueCode": "b"}
    for _ in range(5000):
        extension = {"url": "a", "extension": [extension]}
    issues = validate({**SLOT, "extension": [extension]})
    assert status(issues) == 400
    assert explain({**SLOT, "extension": [extension]})


def test_issues_are_limited() -> None:
    assert len(validate({**SLOT, "identifier": [1] * 10_000})) == 500


def test_a_contained_resource_needs_an_id_of_its_own() -> None:
    issues = validate(changed(APPOINTMENT, drop("contained.0.id")))
    assert ("required", ("Appointment.contained[0].id",)) in [
        (item.code, item.expression) for item in issues
    ]
    twice = changed(APPOINTMENT, lambda item: item["contained"].append(item["contained"][0]))
    (issue,) = validate(twice)
    assert issue.expression == ("Appointment.contained[1].id",)


def test_every_issue_is_told_at_once() -> None:
    broken = changed(SLOT, put("status", "open"))
    del broken["start"]
    broken["schedule"]["reference"] = "Patient/1"
    assert {issue.expression[0] for issue in validate(broken)} == {
        "Slot.status",
        "Slot.start",
        "Slot.schedule",
    }
