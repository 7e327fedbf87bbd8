"""The path grammar (https://hl7.org/fhir/R4/http.html#3.1.0.1.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.interactions import call as calls
from fhir_server.interactions.call import Conditions, Request
from fhir_server.interactions.grammar import parse_call, parse_query, valid_id
from fhir_server.spec.errors import FhirError

PATIENT = {"resourceType": "Patient"}


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "Patient/1", None, calls.Read),
        ("HEAD", "Patient/1/", None, calls.Read),
        ("GET", "Patient/1/_history/2", None, calls.VersionRead),
        ("GET", "Patient/1/_history", None, calls.History),
        ("GET", "Patient/_history", None, calls.History),
        ("GET", "_history", None, calls.History),
        ("GET", "", None, calls.Search),
        ("POST", "_search", None, calls.Search),
        ("GET", "Patient", None, calls.Search),
        ("POST", "Patient/_search", None, calls.Search),
        ("GET", "Patient/1/ServiceRequest", None, calls.Search),
        ("GET", "Patient/1/*", None, calls.Search),
        ("POST", "Patient", PATIENT, calls.Create),
        ("PUT", "Patient/1", PATIENT, calls.Update),
        ("DELETE", "Patient/1", None, calls.Delete),
        ("GET", "metadata", None, calls.Capabilities),
        ("POST", "Patient/$validate", PATIENT, calls.Operation),
    ],
)
def test_each_interaction_has_its_path(method, path, body, expected):
    assert isinstance(parse_call(Request(method, path, body=body)), expected)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "Patient/1", "GET"),
        ("PUT", "metadata", "GET"),
        ("DELETE", "Patient/_history", "GET"),
        ("GET", "Patient/_search", "POST"),
        ("PUT", "", "POST"),
    ],
)
def test_known_path_with_another_method_is_405_with_allow(method, path, allowed):
    with pytest.raises(FhirError) as refusal:
        parse_call(Request(method, path, body=PATIENT))
    assert refusal.value.status == 405
    assert allowed in refusal.value.headers["Allow"]


@pytest.mark.parametrize(
    "path", ["patient/1", "foo/bar/baz", "Patient/1/2/3", "Patient/a b", "%ff", "Patient/.."]
)
def test_unknown_path_is_404(path):
    with pytest.raises(FhirError) as refusal:
        parse_call(Request("GET", path))
    assert refusal.value.status == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_change_without_id_and_criteria_is_400(method):
    with pytest.raises(FhirError) as refusal:
        parse_call(Request(method, "Patient", (("_format", "json"),), body=PATIENT))
    assert refusal.value.status == 400


@pytest.mark.parametrize("body", [None, [], {"resourceType": "Slot"}, {}, {"resourceType": 1}, "x"])
def test_create_with_another_body_than_the_type_is_400(body):
    with pytest.raises(FhirError) as refusal:
        parse_call(Request("POST", "Patient", body=body))
    assert refusal.value.status == 400


def test_conditions_reach_the_call():
    conditions = Conditions(if_match='W/"1"')
    call = parse_call(Request("PUT", "Patient/1", (), conditions, PATIENT))
    assert isinstance(call, calls.Update)
    assert call.conditions is conditions


def test_query_is_utf8_and_holds_no_nul():
    assert parse_query("family=O%E2%80%99Brien") == (("family", "O\u2019Brien"),)
    for bad in ("a=%ff", "a=%00", "%00=1", "&".join(["a=1"] * 1001)):
        with pytest.raises(FhirError):
            parse_query(bad)


@pytest.mark.parametrize("logical_id", ["", ".", "..", "a" * 65, "a/b", "a b", "é", "a\n"])
def test_id_rules(logical_id):
    assert not valid_id(logical_id)


@given(
    st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "TRACE"]),
    st.text(max_size=40),
    st.sampled_from([None, PATIENT, [], "x", 1, {"resourceType": "Bundle"}]),
)
def test_any_request_is_a_call_or_a_refusal(method, path, body):
    status = 200
    try:
        parse_call(Request(method, path, (), Conditions(), body))
    except FhirError as refusal:
        status = refusal.status
    assert 200 <= status < 500
