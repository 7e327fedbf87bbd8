"""Invariants: R4's own, the published errata, and the rules that are code (https://hl7.org/fhir/R4/conformance-rules.html)."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from uk_resources import APPOINTMENT, PATIENT, SERVICE_REQUEST, transaction

from fhir_server.spec.json_format import FhirDecimal
from fhir_server.validation import explain, status, validate

Json = dict[str, Any]

_CONCEPT = {"text": "x"}
_REFERENCE = {"reference": "Patient/1"}
_DIV = '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'


def but(resource: Json, **changes: Any) -> Json:
    """A copy with those properties set; None removes one."""
    made = copy.deepcopy(resource)
    for name, value in changes.items():
        if value is None:
            del made[name]
        else:
            made[name] = value
    return made


def in_extension(**value: Any) -> Json:
    return {
        "resourceType": "Basic",
        "code": _CONCEPT,
        "extension": [{"url": "http://e.org", **value}],
    }


def bundle(kind: str, *entries: Json, **more: Any) -> Json:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries), **more}


def observation(**more: Any) -> Json:
    return {"resourceType": "Observation", "status": "final", "code": _CONCEPT, **more}


def task(**more: Any) -> Json:
    return {"resourceType": "Task", "status": "requested", "intent": "order", **more}


def parameter(**more: Any) -> Json:
    return {"resourceType": "Parameters", "parameter": [{"name": "a", **more}]}


def condition(**more: Any) -> Json:
    return {"resourceType": "Condition", "subject": _REFERENCE, **more}


def status_concept(system: str, code: str) -> Json:
    return {"coding": [{"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": code}]}


_SECOND = {"linkId": "2", "type": "string"}


def questionnaire(*items: Json) -> Json:
    return {"resourceType": "Questionnaire", "status": "draft", "item": list(items)}


def timing(**repeat: Any) -> Json:
    return in_extension(valueTiming={"repeat": repeat})


_BASIC = {"resourceType": "Basic", "id": "a", "code": _CONCEPT}
_VER = ("condition-ver-status", "entered-in-error")
_REQUEST = {"method": "GET", "url": "Basic/a"}

KEPT = [
    but(APPOINTMENT, status="proposed", start=None, end=None, slot=None),
    but(APPOINTMENT, status="waitlist", start=None, end=None),
    but(APPOINTMENT, status="cancelled", cancelationReason=_CONCEPT),
    but(APPOINTMENT, status="noshow", cancelationReason=_CONCEPT),
    but(APPOINTMENT, _start={"id": "a"}),
    {"resourceType": "AppointmentResponse", "appointment": {"reference": "Appointment/1"},
     "participantStatus": "accepted", "actor": _REFERENCE},
    {"resourceType": "Organization", "name": "x"},
    bundle("searchset", {"resource": _BASIC, "search": {"mode": "match"}}, total=1),
    bundle("collection", {"resource": _BASIC}),
    bundle("history", {"fullUrl": "http://e.org/Basic/a", "resource": _BASIC, "request": _REQUEST,
                       "response": {"status": "200"}}),
    bundle("batch-response", {"response": {"status": "200"}}),
    bundle("message", {"resource": {"resourceType": "MessageHeader", "eventUri": "http://e.org",
                                    "source": {"endpoint": "http://e.org"}}}),
    in_extension(valuePeriod={"start": "2026-03-05", "end": "2026-03-05"}),
    in_extension(valuePeriod={"start": "2026-03-05T10:00:00Z", "end": "2026-03-05"}),
    in_extension(valuePeriod={"start": "2026-03", "end": "2026-03-15"}),
    in_extension(valuePeriod={"start": "2026-03-05T10:00:00+01:00", "end": "2026-03-05T09:30:00Z"}),
    in_extension(valueRange={"low": {"value": 1, "unit": "m"}, "high": {"value": FhirDecimal("1.0"), "unit": "m"}}),
    in_extension(valueRange={"low": {"value": 5, "unit": "mm"}, "high": {"value": 1, "unit": "m"}}),
    in_extension(valueQuantity={"value": 1, "system": "http://unitsofmeasure.org", "code": "m"}),
    in_extension(valueRatio={"numerator": {"value": 1}, "denominator": {"value": 2}}),
    in_extension(valueAge={"value": 1, "system": "http://unitsofmeasure.org", "code": "a"}),
    in_extension(valueCount={"value": 3, "code": "1", "system": "http://unitsofmeasure.org"}),
    in_extension(valueReference={"display": "no reference at all"}),
    timing(period=1, periodUnit="d", frequency=2),
    timing(offset=30, when=["ACM"]),
    task(authoredOn="2026-03-05", lastModified="2026-03-05T09:00:00Z"),
    parameter(valueString="x"), parameter(resource=_BASIC), parameter(part=[{"name": "b", "valueCode": "c"}]),
    observation(valueString="x"),
    observation(referenceRange=[{"text": "x"}]),
    condition(clinicalStatus=status_concept("condition-clinical", "active")),
    condition(verificationStatus=status_concept(*_VER)),
    condition(clinicalStatus=status_concept("condition-clinical", "resolved"), abatementString="now"),
    questionnaire({"linkId": "1", "type": "group", "item": [{"linkId": "2", "type": "display", "text": "x"}]}),
    questionnaire({"linkId": "1", "type": "string", "enableWhen": [
        {"question": "2", "operator": "exists", "answerBoolean": True}]}, _SECOND),
    {"resourceType": "List", "status": "current", "mode": "working", "entry": [{"item": _REFERENCE}]},
]  # fmt: skip
BROKEN = [
    (but(APPOINTMENT, status="proposed", end=None), "app-2", "Appointment"),
    (but(APPOINTMENT, start=None, end=None), "app-3", "Appointment"),
    (but(APPOINTMENT, cancelationReason=_CONCEPT), "app-4", "Appointment"),
    (but(APPOINTMENT, participant=[{"status": "accepted"}]), "app-1", "Appointment.participant[0]"),
    (but(SERVICE_REQUEST, code=None), "prr-1", "ServiceRequest"),
    (but(PATIENT, contact=[{"gender": "male"}]), "pat-1", "Patient.contact[0]"),
    (but(PATIENT, telecom=[{"value": "1"}]), "cpt-2", "Patient.telecom[0]"),
    (but(PATIENT, photo=[{"data": "AAAA"}]), "att-1", "Patient.photo[0]"),
    (but(PATIENT, name=[{"family": "x", "period": {"start": "2026", "end": "2025"}}]), "per-1",
     "Patient.name[0].period"),
    ({"resourceType": "AppointmentResponse", "appointment": {"reference": "Appointment/1"},
      "participantStatus": "accepted"}, "apr-1", "AppointmentResponse"),
    ({"resourceType": "Organization", "active": True}, "org-1", "Organization"),
    ({"resourceType": "Organization", "name": "x", "address": [{"city": "Leeds"}, {"use": "home", "city": "x"}]},
     "org-2", "Organization.address[1]"),
    ({"resourceType": "Organization", "name": "x", "telecom": [{"use": "home", "rank": 1}]}, "org-3",
     "Organization.telecom[0]"),
    (bundle("collection", {"resource": _BASIC}, total=1), "bdl-1", "Bundle"),
    (bundle("collection", {"resource": _BASIC, "search": {"mode": "match"}}), "bdl-2", "Bundle"),
    (bundle("transaction", {"resource": _BASIC}), "bdl-3", "Bundle"),
    (bundle("collection", {"resource": _BASIC, "request": _REQUEST}), "bdl-3", "Bundle"),
    (bundle("batch-response", {"resource": _BASIC}), "bdl-4", "Bundle"),
    (bundle("collection", {"link": [{"relation": "self", "url": "http://e.org"}]}), "bdl-5", "Bundle.entry[0]"),
    (bundle("collection", *[{"fullUrl": "http://e.org/Basic/a", "resource": _BASIC}] * 2), "bdl-7", "Bundle"),
    (bundle("collection", {"fullUrl": "http://e.org/Basic/a/_history/1", "resource": _BASIC}), "bdl-8",
     "Bundle.entry[0]"),
    (bundle("message", {"resource": _BASIC}), "bdl-12", "Bundle"),
    (in_extension(valuePeriod={"start": "2026-03-05", "end": "2026-03-04"}), "per-1",
     "Basic.extension[0].value.ofType(Period)"),
    (in_extension(valuePeriod={"start": "2026-03-05T10:00:00Z", "end": "2026-03-05T10:30:00+01:00"}), "per-1",
     "Basic.extension[0].value.ofType(Period)"),
    (in_extension(valueRange={"low": {"value": 2}, "high": {"value": FhirDecimal("1.99")}}), "rng-2",
     "Basic.extension[0].value.ofType(Range)"),
    (in_extension(valueQuantity={"value": 1, "code": "m"}), "qty-3", "Basic.extension[0].value.ofType(Quantity)"),
    (in_extension(valueRatio={"numerator": {"value": 1}}), "rat-1", "Basic.extension[0].value.ofType(Ratio)"),
    (in_extension(valueAge={"value": 0, "system": "http://unitsofmeasure.org", "code": "a"}), "age-1",
     "Basic.extension[0].value.ofType(Age)"),
    (in_extension(valueCount={"value": FhirDecimal("3.0"), "code": "1", "system": "http://unitsofmeasure.org"}),
     "cnt-3", "Basic.extension[0].value.ofType(Count)"),
    (timing(period=1), "tim-2", "Basic.extension[0].value.ofType(Timing).repeat"),
    (timing(offset=30), "tim-9", "Basic.extension[0].value.ofType(Timing).repeat"),
    (timing(offset=30, when=["ACM", "C"]), "tim-9", "Basic.extension[0].value.ofType(Timing).repeat"),
    (timing(duration=FhirDecimal("-0.5"), durationUnit="h"), "tim-4",
     "Basic.extension[0].value.ofType(Timing).repeat"),
    (task(authoredOn="2026-03-06", lastModified="2026-03-05T09:00:00Z"), "inv-1", "Task"),
    (parameter(), "inv-1", "Parameters.parameter[0]"),
    (parameter(valueString="x", resource=_BASIC), "inv-1", "Parameters.parameter[0]"),
    (observation(valueString="x", dataAbsentReason=_CONCEPT), "obs-6", "Observation"),
    (observation(referenceRange=[{"age": {"low": {"value": 1}}}]), "obs-3", "Observation.referenceRange[0]"),
    (observation(code={"coding": [{"code": "a"}]}, valueString="x",
                 component=[{"code": {"coding": [{"code": "a"}]}}]), "obs-7", "Observation"),
    (condition(clinicalStatus=status_concept("condition-clinical", "active"), abatementString="now"), "con-4",
     "Condition"),
    (condition(clinicalStatus=status_concept("condition-clinical", "active"),
               verificationStatus=status_concept(*_VER)), "con-5", "Condition"),
    (questionnaire({"linkId": "1", "type": "group"}), "que-1", "Questionnaire.item[0]"),
    (questionnaire({"linkId": "1", "type": "string"}, {"linkId": "1", "type": "string"}), "que-2", "Questionnaire"),
    (questionnaire({"linkId": "1", "type": "string", "enableWhen": [
        {"question": "2", "operator": "exists", "answerString": "x"}]}, _SECOND), "que-7",
     "Questionnaire.item[0].enableWhen[0]"),
    (questionnaire({"linkId": "1", "type": "string", "enableWhen": [
        {"question": "2", "operator": "=", "answerString": "x"}] * 2}, _SECOND), "que-12", "Questionnaire.item[0]"),
    ({"resourceType": "List", "status": "current", "mode": "working",
      "entry": [{"item": _REFERENCE, "deleted": True}]}, "lst-2", "List"),
]  # fmt: skip


@pytest.mark.parametrize("resource", KEPT)
def test_a_kept_invariant_gives_no_error(resource: Json) -> None:
    assert validate(resource) == ()


@pytest.mark.parametrize(("resource", "key", "place"), BROKEN, ids=[key for _, key, _ in BROKEN])
def test_a_broken_invariant_is_one_422_issue_that_names_it(
    resource: Json, key: str, place: str
) -> None:
    issues = validate(resource)
    assert [(issue.code, issue.expression) for issue in issues] == [("invariant", (place,))]
    assert f"({key})" in issues[0].diagnostics
    assert status(issues) == 422


def test_warnings_are_told_by_explain_only() -> None:
    value_set = {"resourceType": "ValueSet", "status": "draft", "name": "not a name"}
    assert validate(value_set) == ()
    (issue,) = explain(value_set)
    assert (issue.severity, issue.code, issue.expression) == ("warning", "invariant", ("ValueSet",))


def test_best_practice_rules_are_off() -> None:
    assert {issue.code for issue in explain(PATIENT)} <= {"not-found", "extension"}


def test_an_invariant_of_a_nested_resource_is_placed_in_the_bundle() -> None:
    broken = transaction(4)
    broken["entry"][2]["resource"]["status"] = "proposed"
    del broken["entry"][2]["resource"]["end"]
    (issue,) = validate(broken)
    assert issue.expression == ("Bundle.entry[2].resource",)


def test_a_simple_quantity_has_no_comparator() -> None:
    issues = validate(in_extension(valueRange={"low": {"value": 2, "comparator": "<"}}))
    place = "Basic.extension[0].value.ofType(Range).low"
    assert [issue.expression for issue in issues] == [(f"{place}.comparator",), (place,)]
    assert "(sqty-1)" in issues[1].diagnostics
