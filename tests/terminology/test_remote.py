"""A terminology server elsewhere: asked, remembered, and left alone when it fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from elsewhere_server import Elsewhere

from fhir_server.terminology import (
    NotEnumerable,
    RemoteServer,
    Terminology,
    TooCostly,
    Unavailable,
)
from fhir_server.terminology.remote import FAILURES, PAUSE, RemoteSettings

Json = dict[str, Any]
SNOMED = "http://snomed.info/sct"


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    made = Elsewhere()
    yield made
    made.close()


def parameters(**values: Any) -> Json:
    listed = [
        {"name": name, "valueBoolean" if isinstance(value, bool) else "valueString": value}
        for name, value in values.items()
    ]
    return {"resourceType": "Parameters", "parameter": listed}


def remote(
    elsewhere: Elsewhere, clock: Callable[[], float] = time.monotonic, **changed: Any
) -> RemoteServer:
    settings: Json = {
        "url": elsewhere.url + "/fhir",
        "systems": (SNOMED,),
        "timeout": 0.5,
    } | changed
    return RemoteServer(RemoteSettings(**settings), clock=clock)


def terminology(elsewhere: Elsewhere, **changed: Any) -> Terminology:
    return Terminology(servers=[remote(elsewhere, **changed)])


LOOKUP = "CodeSystem/$lookup"


def test_a_code_is_looked_up_there_and_remembered(elsewhere: Elsewhere) -> None:
    elsewhere.answers[LOOKUP] = (200, parameters(name="SNOMED CT", display="Asthma"))
    known = terminology(elsewhere)
    for _ in range(3):
        concept = known.concept(SNOMED, "195967001")
        assert concept is not None
        assert concept.display == "Asthma"
    assert len(elsewhere.asked) == 1
    operation, body, headers = elsewhere.asked[0]
    assert operation == LOOKUP
    assert {item["name"] for item in body["parameter"]} == {"system", "code"}
    assert "Authorization" not in headers


def test_what_is_remembered_expires(elsewhere: Elsewhere) -> None:
    now = [0.0]
    elsewhere.answers[LOOKUP] = (200, parameters(name="SNOMED CT", display="Asthma"))
    server = remote(elsewhere, clock=lambda: now[0], cache=10.0)
    for moment, count in ((0.0, 1), (9.0, 1), (11.0, 2)):
        now[0] = moment
        server.system(SNOMED).find("1")
        assert len(elsewhere.asked) == count


def test_what_is_remembered_is_bounded(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fhir_server.terminology.remote.MOST_KEPT", 10)
    elsewhere.answers[LOOKUP] = (200, parameters(display="x"))
    system = remote(elsewhere).system(SNOMED)
    for code in range(20):
        system.find(str(code))
    system.find("19")
    assert len(elsewhere.asked) == 20
    system.find("0")
    assert len(elsewhere.asked) == 21


def test_an_unknown_code_is_none_and_remembered(elsewhere: Elsewhere) -> None:
    known = terminology(elsewhere)
    assert known.concept(SNOMED, "nothing") is None
    assert known.defines(SNOMED, "nothing") is False
    assert len(elsewhere.asked) == 1


def test_other_systems_are_not_asked_there(elsewhere: Elsewhere) -> None:
    known = terminology(elsewhere)
    assert known.defines("http://loinc.org", "1-8") is None
    assert known.defines("http://hl7.org/fhir/administrative-gender", "male") is True
    assert elsewhere.asked == []


def test_a_value_set_with_a_filter_is_asked_there(elsewhere: Elsewhere) -> None:
    elsewhere.answers["ValueSet/$validate-code"] = (200, parameters(result=True, display="Asthma"))
    contains = [{"system": SNOMED, "code": "1", "display": "One"}]
    elsewhere.answers["ValueSet/$expand"] = (
        200,
        {
            "resourceType": "ValueSet",
            "status": "active",
            "expansion": {"total": 1, "contains": contains},
        },
    )
    part = {"system": SNOMED, "filter": [{"property": "constraint", "op": "=", "value": "<< 1"}]}
    local = {"system": "http://hl7.org/fhir/administrative-gender"}
    source = {"resourceType": "ValueSet", "compose": {"include": [local, part]}}
    known = terminology(elsewhere)
    assert len(known.enumerate(source)) == 5
    assert known.member(source, "http://hl7.org/fhir/administrative-gender", "male") is not None
    member = known.member(source, SNOMED, "195967001")
    assert member is not None
    assert member.concept.display == "Asthma"
    sent = elsewhere.asked[0][1]["parameter"][0]["resource"]["compose"]["include"]
    assert sent == [part]


def test_an_implicit_value_set_is_asked_by_its_url(elsewhere: Elsewhere) -> None:
    elsewhere.answers["ValueSet/$validate-code"] = (200, parameters(result=True))
    url = SNOMED + "?fhir_vs=ecl/<195967001"
    assert terminology(elsewhere).contains(url, SNOMED, "1") is True
    assert {"name": "url", "valueUri": url} in elsewhere.asked[-1][1]["parameter"]


def test_a_value_set_whose_url_is_routed_there_is_asked_by_its_url(elsewhere: Elsewhere) -> None:
    contains = [{"system": SNOMED, "code": "1", "display": "One"}]
    elsewhere.answers["ValueSet/$expand"] = (
        200,
        {"resourceType": "ValueSet", "expansion": {"total": 1, "contains": contains}},
    )
    url = "https://sets.example/ValueSet/x"
    known = terminology(elsewhere, systems=(SNOMED, "https://sets.example/"))
    assert known.members(url) == {(SNOMED, "1")}
    assert {"name": "url", "valueUri": url} in elsewhere.asked[-1][1]["parameter"]
    assert known.members("https://other.example/ValueSet/x") is None


def test_subsumption_is_asked_there(elsewhere: Elsewhere) -> None:
    elsewhere.answers["CodeSystem/$subsumes"] = (200, parameters(outcome="subsumed-by"))
    server = remote(elsewhere)
    assert server.relation(server.system(SNOMED), "1", "2") == "subsumed-by"


def test_more_codes_than_are_sent_is_too_costly(elsewhere: Elsewhere) -> None:
    elsewhere.answers["ValueSet/$expand"] = (
        200,
        {"resourceType": "ValueSet", "expansion": {"total": 90_000, "contains": []}},
    )
    with pytest.raises(TooCostly):
        remote(elsewhere).listed({"system": SNOMED})
    with pytest.raises(NotEnumerable):
        remote(elsewhere).system(SNOMED).concepts()


@pytest.mark.parametrize(
    "answer",
    [
        (500, {}),
        (200, b"<html>"),
        (200, {"hello": "world"}),
        (200, {"resourceType": "Parameters", "parameter": [1]}),
        (200, {"resourceType": "Parameters", "parameter": [{"name": "property", "part": "x"}]}),
        (200, {"resourceType": "ValueSet", "expansion": {"contains": {}}}),
        (302, {}),
        lambda: (time.sleep(1.5), (200, {}))[1],
    ],
    ids=["status", "html", "no resource", "number", "part", "contains", "redirect", "slow"],
)
def test_a_failure_is_no_answer_and_no_error_for_validation(
    elsewhere: Elsewhere, answer: Any
) -> None:
    elsewhere.answers[LOOKUP] = answer
    known = terminology(elsewhere)
    with pytest.raises(Unavailable):
        known.concept(SNOMED, "1")
    assert known.defines(SNOMED, "1") is None


def test_after_some_failures_it_is_left_alone_for_a_while(elsewhere: Elsewhere) -> None:
    now = [0.0]
    elsewhere.answers[LOOKUP] = (500, {})
    server = remote(elsewhere, clock=lambda: now[0])
    for number in range(10):
        with pytest.raises(Unavailable):
            server.ask(LOOKUP, [{"name": "code", "valueCode": str(number)}])
    assert len(elsewhere.asked) == FAILURES
    now[0] = PAUSE + 1
    elsewhere.answers[LOOKUP] = (200, parameters(display="x"))
    assert server.system(SNOMED).find("1") is not None


def test_nobody_there_is_unavailable() -> None:
    server = RemoteServer(RemoteSettings("http://127.0.0.1:9/fhir", (SNOMED,), timeout=0.5))
    with pytest.raises(Unavailable):
        server.system(SNOMED).find("1")


def test_client_credentials_get_a_token_once(elsewhere: Elsewhere) -> None:
    elsewhere.answers[LOOKUP] = (200, parameters(display="x"))
    credentials = {
        "token_url": elsewhere.url + "/token",
        "client_id": "us",
        "client_secret": "secret",
    }
    known = terminology(elsewhere, **credentials)
    assert known.concept(SNOMED, "1") is not None
    assert known.concept(SNOMED, "2") is not None
    assert elsewhere.tokens == 1
    assert elsewhere.asked[0][2]["Authorization"] == "Bearer t1"
    # A token that is refused is not used again.
    elsewhere.answers[LOOKUP] = (401, {})
    with pytest.raises(Unavailable):
        known.concept(SNOMED, "3")
    elsewhere.answers[LOOKUP] = (200, parameters(display="x"))
    assert known.concept(SNOMED, "4") is not None
    assert elsewhere.tokens == 2
    wrong = terminology(elsewhere, **(credentials | {"client_secret": "guess"}))
    with pytest.raises(Unavailable):
        wrong.concept(SNOMED, "1")


def test_a_secret_is_not_shown() -> None:
    assert "hush" not in repr(RemoteSettings("http://x.example", (SNOMED,), client_secret="hush"))
