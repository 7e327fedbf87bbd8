"""Conditional create (https://hl7.org/fhir/R4/http.html#ccreate)."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from exemplars import SYSTEM, created, how_many, patient, put, refused, token, unique


def create_unless(client, criteria, resource, **headers):
    return client.post("Patient", json=resource, headers={"If-None-Exist": criteria} | headers)


@pytest.mark.rule(81, "http#ccreate")
def test_without_a_match_it_creates(client):
    resource = patient()
    answer = create_unless(client, f"identifier={token(resource)}", resource)
    assert answer.status_code == 201
    assert answer.headers["etag"] == 'W/"1"'
    assert how_many(client, "Patient", identifier=token(resource)) == 1


@pytest.mark.rule(82, "http#ccreate")
def test_with_one_match_it_is_200_and_nothing_is_stored(client):
    first = created(client, patient(gender="female"))
    second = put(client, first).json()
    resource = {key: value for key, value in first.items() if key not in ("id", "meta")}
    answer = create_unless(client, f"identifier={token(first)}", resource | {"gender": "male"})
    assert answer.status_code == 200
    assert answer.headers["location"].endswith(f"/Patient/{first['id']}/_history/2")
    assert answer.headers["etag"] == 'W/"2"'
    assert answer.json() == second
    assert client.get(f"Patient/{first['id']}").json() == second
    assert how_many(client, "Patient", identifier=token(first)) == 1


@pytest.mark.rule(82, 65, 67, "http#ops")
def test_a_match_honours_prefer_too(client):
    resource = created(client, patient())
    criteria = f"identifier={token(resource)}"
    answer = create_unless(client, criteria, patient(), Prefer="return=minimal")
    assert (answer.status_code, answer.content) == (200, b"")
    assert f"/Patient/{resource['id']}/" in answer.headers["location"]
    answer = create_unless(client, criteria, patient(), Prefer="return=OperationOutcome")
    assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.rule(83, "http#ccreate")
def test_with_several_matches_it_is_412(client):
    shared = patient()
    for _ in range(2):
        created(client, shared)
    refused(create_unless(client, f"identifier={token(shared)}", shared), 412, "multiple-matches")
    assert how_many(client, "Patient", identifier=token(shared)) == 2


@pytest.mark.rule(84, "http#ccreate")
@pytest.mark.parametrize(
    "criteria",
    [
        "identifier={system}|{value}",
        "?identifier={system}|{value}",
        "Patient?identifier={system}|{value}",
        "identifier={quoted}%7C{value}",
        "identifier={quoted}%7c{value}&gender=female",
        "gender=female&identifier={system}|{value}",
        "identifier={value}",
        "identifier=x,{value}",
        "identifier:not=x&_tag={value}",
        "family=O%E2%80%99Brien+{value}",
        "family=o%E2%80%99brien%20{value}",
        "_format=json&identifier={value}",
        "birthdate=ge1970-01-01&birthdate=lt1971&identifier={value}",
    ],
)
def test_the_header_is_the_query_part_escaped_as_in_a_search(client, criteria):
    value = unique()
    existing = created(
        client,
        patient(
            identifier=[{"system": SYSTEM, "value": value}],
            gender="female",
            birthDate="1970-05-05",
            name=[{"family": f"O’Brien {value}"}],
            meta={"tag": [{"code": value}]},
        ),
    )
    sent = criteria.format(system=SYSTEM, value=value, quoted=quote(SYSTEM, safe=""))
    answer = create_unless(client, sent, patient())
    assert answer.status_code == 200, answer.text
    assert answer.json()["id"] == existing["id"]


@pytest.mark.rule(84, "http#ccreate")
def test_a_question_mark_may_stand_in_a_value(client):
    system = f"https://example.org/tests?{unique()}"
    existing = created(client, patient(identifier=[{"system": system, "value": "1"}]))
    answer = create_unless(client, f"identifier={system}|1", patient())
    assert answer.status_code == 200
    assert answer.json()["id"] == existing["id"]


@pytest.mark.rule(84, "http#ccreate")
def test_criteria_in_plain_utf_8_match_as_well(client):
    value = unique()
    existing = created(client, patient(name=[{"family": f"Müller{value}"}]))
    headers = [(b"If-None-Exist", f"family=Müller{value}".encode())]
    answer = client.post("Patient", json=patient(), headers=headers)
    assert answer.status_code == 200
    assert answer.json()["id"] == existing["id"]


NOT_UNDERSTOOD = [
    "", "?", "&", "=", "identifier", "identifier=", "identifier=,", "foo=bar", "identifier={v}&foo=bar",
    "identifier={v}&gender=", "identifer={v}", "identifier:foo={v}", "_summary=true", "_count=1",
    "identifier={v}&_sort=name", "identifier={v}&_include=Patient:organization", "identifier=%00",
    "birthdate=2026-13-45&identifier={v}", "birthdate=soon", "general-practitioner.foo=x", "_id=%FF",
    "Practitioner?identifier={v}", "identifier={v}&_total=accurate", "_lastUpdated=x", "_filter=x", "_content=x",
    "_has:Observation:patient:foo=x",
]  # fmt: skip


@pytest.mark.rule(85, "http#ccreate")
@pytest.mark.parametrize("criteria", NOT_UNDERSTOOD)
@pytest.mark.parametrize("handling", ["strict", "lenient"])
def test_criteria_that_are_not_understood_never_match_nothing_or_all(client, criteria, handling):
    resource = patient()
    sent = criteria.format(v=resource["identifier"][0]["value"])
    answer = create_unless(client, sent, resource, Prefer=f"handling={handling}")
    assert answer.status_code in (400, 412)
    refused(answer, answer.status_code)
    assert how_many(client, "Patient", identifier=token(resource)) == 0


@pytest.mark.rule(85, "http#ccreate")
def test_two_headers_with_criteria_are_400(client):
    resource = patient()
    criteria = f"identifier={token(resource)}"
    headers = [("If-None-Exist", criteria), ("If-None-Exist", criteria)]
    refused(client.post("Patient", json=resource, headers=headers), 400)
    assert how_many(client, "Patient", identifier=token(resource)) == 0


@pytest.mark.rule(86, "http#delete")
def test_a_deleted_resource_is_no_match(client):
    first = created(client, patient())
    assert client.delete(f"Patient/{first['id']}").status_code == 204
    resource = patient(identifier=first["identifier"])
    answer = create_unless(client, f"identifier={token(first)}", resource)
    assert answer.status_code == 201
    assert answer.json()["id"] != first["id"]


@pytest.mark.rule(86, "http#update")
def test_a_version_that_is_not_current_is_no_match(client):
    first = created(client, patient())
    assert put(client, first | {"identifier": [{"value": unique()}]}).status_code == 200
    criteria = f"identifier={token(first)}"
    assert create_unless(client, criteria, patient()).status_code == 201


@pytest.mark.rule(81, "http#ccreate")
def test_an_invalid_resource_is_refused_whether_something_matches_or_not(client):
    existing = created(client, patient())
    wrong = patient(gender="odd")
    refused(create_unless(client, f"identifier={token(existing)}", wrong), 422)
    refused(create_unless(client, f"identifier={token(wrong)}", wrong), 422)


@pytest.mark.rule(88, "http#ccreate")
def test_the_capability_statement_says_that_it_is_offered(client):
    statement = client.get("metadata").json()
    assert {item["conditionalCreate"] for item in statement["rest"][0]["resource"]} == {True}
