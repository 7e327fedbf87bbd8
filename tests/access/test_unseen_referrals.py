"""A referral is there only for those who have to do with it, whichever way one asks (I23)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from access_desk import NHS_NUMBER, Person, World
from referral_desk import FHIR, ubrn_of


class Case:
    """A referral with all that hangs on it: marks are what nobody else may come to know."""

    def __init__(self, world: World) -> None:
        self.world = world
        service = world.desk.service()
        self.referral = world.practice.referral(service)
        self.letter = world.letter(self.referral)
        slot = world.desk.slot(service)
        self.appointment = world.practice.made(world.practice.appointment(self.referral, slot))
        (self.review,) = world.system.tasks(self.referral, "REVIEW")
        self.message = world.practice.made({
            "resourceType": "Communication",
            "status": "completed",
            "basedOn": [{"reference": f"ServiceRequest/{self.referral['id']}"}],
        })  # fmt: skip
        found = world.system.client.get(
            "Provenance", params={"target": f"ServiceRequest/{self.referral['id']}"}
        ).json()
        self.provenance = found["entry"][0]["resource"]
        self.hanging = [
            self.letter, self.appointment, self.review, self.message, self.provenance,
        ]  # fmt: skip
        self.marks = [item["id"] for item in (self.referral, *self.hanging)]
        self.marks.append(ubrn_of(self.referral))


@pytest.fixture
def case(world: World) -> Case:
    """One referral of the practice, booked at the trust."""
    return Case(world)


def routes(case: Case) -> Iterator[str]:
    """Every GET by which one might come to it without naming it."""
    world, referral = case.world, case.referral
    began = referral["meta"]["lastUpdated"]
    me, patient = f"ServiceRequest/{referral['id']}", f"Patient/p-{world.number}"
    service = case.referral["performer"][0]["reference"]
    slot = case.appointment["slot"][0]["reference"]
    for name in dict.fromkeys(item["resourceType"] for item in (referral, *case.hanging)):
        yield f"{name}?_lastUpdated=ge{began}"
        yield f"{name}?_sort=-_lastUpdated"
        yield f"{name}/_history"
    yield f"_history?_since={began}"
    yield f"?_lastUpdated=ge{began}&_count=100&_type=ServiceRequest,Task,Appointment,DocumentReference"
    yield f"?_id={referral['id']}"
    yield f"ServiceRequest?_id={referral['id']}"
    yield f"ServiceRequest?identifier={ubrn_of(referral)}"
    yield f"ServiceRequest?subject={patient}&_revinclude=Task:focus&_revinclude=Appointment:based-on"
    yield f"ServiceRequest?patient:identifier={NHS_NUMBER}|{world.number}&category=3457005"
    yield f"ServiceRequest?performer={service}&_include=*&_revinclude=*"
    yield f"Patient?_id=p-{world.number}&_revinclude=*"
    yield f"Patient?_id=p-{world.number}&_revinclude=ServiceRequest:subject&_revinclude:iterate=Task:focus"
    yield f"{service.replace('/', '?_id=')}&_revinclude=ServiceRequest:performer"
    yield f"{slot.replace('/', '?_id=')}&_revinclude=Appointment:slot&_include:iterate=Appointment:based-on"
    yield f"Task?focus={me}&_include=Task:focus"
    yield f"Task?patient={patient}"
    yield f"Task?owner={service}&status=requested&code=REVIEW"
    yield f"Appointment?based-on={me}"
    yield f"Appointment?patient={patient}&_include=Appointment:based-on"
    yield f"DocumentReference?related={me}"
    yield f"Communication?based-on={me}"
    yield f"Provenance?target={me}"
    yield f"{patient}/ServiceRequest"
    yield f"{patient}/*"
    yield f"{patient}/$everything"
    yield f"Patient/$everything?_since={began}"


def told_to(person: Person, path: str, method: str = "GET", **sent: Any) -> str:
    answer = person.client.request(method, path, **sent)
    assert answer.status_code in (200, 403, 404), (path, answer.text)
    if "json" not in answer.headers["content-type"] or "ndjson" in answer.headers["content-type"]:
        return answer.text
    # A page tells what was asked for in its links.
    return json.dumps({name: item for name, item in answer.json().items() if name != "link"})


def leaks(case: Case, text: str) -> list[str]:
    return [mark for mark in case.marks if mark in text]


def test_those_who_have_to_do_with_it_see_it_and_all_that_hangs_on_it(case: Case) -> None:
    world = case.world
    for person in (world.practice, world.trust, world.patient, world.system):
        for item in (case.referral, *case.hanging):
            assert person.sees(item), (person.client.headers, item["resourceType"])
        found = person.client.get(
            f"ServiceRequest?identifier={ubrn_of(case.referral)}&_revinclude=Task:focus"
        ).json()
        assert found["total"] == 1
        assert {item["resource"]["id"] for item in found["entry"]} == {
            case.referral["id"], case.review["id"],
        }  # fmt: skip


@pytest.mark.rule(15, "http#Status-Codes")
def test_for_others_it_is_as_what_does_not_exist(case: Case) -> None:
    nothing = "0" * 8
    for person in case.world.outsiders():
        for item in (case.referral, *case.hanging):
            name = item["resourceType"]
            for path in ("", "/_history", "/_history/1", "/$meta"):
                shown = []
                for logical_id in (item["id"], nothing):
                    answer = person.client.get(f"{name}/{logical_id}{path}")
                    told = json.dumps(answer.json()).replace(logical_id, "")
                    shown.append((answer.status_code, told))
                assert shown[0] == shown[1], path
                assert shown[0][0] == 404
        for code in ("$available-actions", "$document?type=summary", "$everything"):
            paths = [f"ServiceRequest/{item}/{code}" for item in (case.referral["id"], nothing)]
            shown = [person.client.get(path).status_code for path in paths]
            assert shown[0] == shown[1] == 404


def test_no_route_leads_others_to_it(case: Case) -> None:
    for path in routes(case):
        assert leaks(case, told_to(case.world.system, path)) or "Task?patient" in path, path
        for person in case.world.outsiders():
            assert not leaks(case, told_to(person, path)), (path, dict(person.client.headers))


@pytest.mark.parametrize("accept", ["application/fhir+ndjson", "text/csv"])
def test_no_list_tells_others_of_it(case: Case, accept: str) -> None:
    for name in ("ServiceRequest", "Task", "Appointment"):
        for person in (case.world.system, *case.world.outsiders()):
            text = told_to(person, name, headers={"Accept": accept})
            assert bool(leaks(case, text)) == (person is case.world.system)


def test_no_search_by_post_nor_batch_leads_others_to_it(case: Case) -> None:
    form = {"subject": f"Patient/p-{case.world.number}"}
    urls = ["ServiceRequest", f"ServiceRequest/{case.referral['id']}", "ServiceRequest/_history"]
    entries = [{"request": {"method": "GET", "url": url}} for url in urls]
    for person in case.world.outsiders():
        assert not leaks(case, told_to(person, "ServiceRequest/_search", "POST", data=form))
        for kind in ("batch", "transaction"):
            bundle = {"resourceType": "Bundle", "type": kind, "entry": entries}
            text = told_to(person, "", "POST", json=bundle, headers=FHIR)
            # That it is not there, is told of what was asked for.
            assert set(leaks(case, text)) <= {case.referral["id"]}
            assert '"resourceType": "ServiceRequest"' not in text


def test_nothing_is_counted_nor_found_through_it(case: Case) -> None:
    """Chains and _has find a resource by what it refers to: that tells as much as showing it."""
    world, number = case.world, case.world.number
    me, mark = case.referral["id"], ubrn_of(case.referral)
    counted = [
        f"ServiceRequest?_summary=count&identifier={mark}",
        f"ServiceRequest?_total=accurate&_count=0&identifier={mark}",
        f"Patient?_id=p-{number}&_has:ServiceRequest:subject:identifier={mark}",
        f"Patient?_id=p-{number}&_has:ServiceRequest:subject:_has:Task:focus:status=requested",
        f"Patient?_id=p-{number}&_filter=_has:ServiceRequest:subject:identifier eq {mark}",
        f"Task?focus:ServiceRequest.identifier={mark}",
        f"Appointment?based-on:ServiceRequest.identifier={mark}",
        f"HealthcareService?_has:ServiceRequest:performer:_id={me}",
        f"PractitionerRole?_has:ServiceRequest:requester:identifier={mark}",
    ]
    for path in counted:
        assert world.system.client.get(path).json()["total"] == 1, path
        for person in world.outsiders():
            answer = person.client.get(path)
            assert answer.status_code == 200, (path, answer.text)
            assert answer.json()["total"] == 0, path


def test_a_count_of_others_leaves_it_out(case: Case) -> None:
    for person in case.world.outsiders():
        assert person.client.get("ServiceRequest?_summary=count").json()["total"] == 0
        history = person.client.get("ServiceRequest/_history").json()
        assert "entry" not in history
        assert "total" not in history
    everybody = case.world.system.client.get("ServiceRequest/_history?_count=0").json()
    assert everybody["total"] >= 2


@pytest.mark.rule(197, "security")
def test_a_page_link_of_another_caller_shows_nothing(world: World) -> None:
    service = world.desk.service()
    made = [world.practice.referral(service) for _ in range(3)]
    page = world.practice.client.get(f"ServiceRequest?performer={service['id']}&_count=1").json()
    following = next(item["url"] for item in page["link"] if item["relation"] == "next")
    assert world.practice.client.get(following).json()["entry"]
    for person in world.outsiders():
        text = person.client.get(following).text
        assert not [item["id"] for item in made if item["id"] in text]


def test_a_referral_that_was_deleted_is_gone_for_others_without_a_trace(world: World) -> None:
    referral = world.practice.referral(world.desk.service())
    assert world.practice.client.delete(f"ServiceRequest/{referral['id']}").status_code == 204
    assert world.system.client.get(f"ServiceRequest/{referral['id']}").status_code == 410
    for person in (*world.outsiders(), world.practice):
        assert person.client.get(f"ServiceRequest/{referral['id']}").status_code == 404
        assert person.client.get(f"ServiceRequest/{referral['id']}/_history").status_code == 404
        assert referral["id"] not in person.client.get("_history?_count=1000").text
    answer = world.other_practice.put(referral)
    assert answer.status_code == 403


LETTER = {"resourceType": "Binary", "contentType": "text/plain", "data": "bGV0dGVy"}


def test_the_attachment_of_a_letter_is_read_by_those_who_see_the_letter(world: World) -> None:
    binary, unnamed = world.practice.made(LETTER), world.practice.made(LETTER)
    referral = world.practice.referral(world.desk.service())
    letter = world.letter(referral)
    url = f"Binary/{binary['id']}"
    world.system.made(letter | {"content": [{"attachment": {"url": url}}]})
    for person in (world.practice, world.patient):
        assert person.client.get(url).status_code == 200
        assert person.client.get(f"{url}/_history").status_code == 200
        assert person.client.get(f"Binary/{unnamed['id']}").status_code == 200
    for person in (world.other_practice, world.stranger):
        assert person.client.get(url).status_code == 404
        assert person.client.get(f"{url}/_history").status_code == 404
        assert person.client.get(f"{url}/_history/1").status_code == 404
        assert person.put(binary).status_code == 403
    assert world.practice.put(binary).status_code == 200


def test_binaries_are_not_listed(world: World) -> None:
    binary = world.practice.made(LETTER)
    for path in (f"Binary?_id={binary['id']}", "Binary/_history", "_history"):
        assert binary["id"] in world.system.client.get(path).text
        assert '"data"' not in world.practice.client.get(path).text


@pytest.mark.rule(343, "def Binary")
def test_a_binary_is_as_closed_as_its_security_context(world: World) -> None:
    referral = world.practice.referral(world.desk.service())
    context = {"reference": f"ServiceRequest/{referral['id']}"}
    binary = world.practice.made(LETTER | {"securityContext": context})
    assert world.practice.client.get(f"Binary/{binary['id']}").status_code == 200
    for person in world.outsiders():
        answer = person.client.get(f"Binary/{binary['id']}")
        assert answer.status_code == 403
        assert answer.json()["issue"][0]["code"] == "forbidden"


def test_a_patient_sees_nothing_about_other_patients(world: World) -> None:
    mine = world.system.made({
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "weight"},
        "subject": {"reference": f"Patient/p-{world.number}"},
    })  # fmt: skip
    patient = world.system.read({"resourceType": "Patient", "id": f"p-{world.number}"})
    for item in (mine, patient):
        assert world.patient.sees(item)
        assert not world.stranger.sees(item)
        assert item["id"] not in world.stranger.client.get("?_type=Observation,Patient").text


def test_a_service_sees_a_referral_only_once_it_was_chosen(world: World) -> None:
    service, other = (
        world.desk.service(),
        world.desk.service(providedBy={"reference": f"Organization/x-trust-{world.number}"}),
    )
    referral = world.practice.referral(service, other)
    assert not world.trust.sees(referral)
    world.practice.made(world.practice.appointment(referral, world.desk.slot(service)))
    assert world.trust.sees(referral)
    assert not world.other_trust.sees(referral)


def test_a_deferral_is_seen_by_the_service_that_it_was_sent_to(world: World) -> None:
    service = world.desk.service()
    referral = world.practice.referral(service)
    answer = world.practice.operation(referral, "defer", reason={"coding": [_no_slots()]})
    assert answer.status_code == 201, answer.text
    assert world.trust.sees(referral)
    assert world.trust.sees(answer.json())


def _no_slots() -> dict[str, str]:
    return {"system": "https://fhir.nhs.uk/CodeSystem/Workflow-Code", "code": "NO_SLOTS_AT_SERVICE"}


@pytest.mark.parametrize("named_in", ["letter", "referral"])
def test_triage_sees_a_referral_once_there_is_clinical_information(
    world: World, named_in: str
) -> None:
    service = world.desk.service("REVIEW")
    referral = world.practice.referral(service)
    letter = None
    if named_in == "referral":
        letter = world.practice.made({
            "resourceType": "DocumentReference",
            "status": "current",
            "content": [{"attachment": {"title": "letter"}}],
        })  # fmt: skip
    assert world.practice.operation(referral, "send-for-triage").status_code == 201
    assert not world.trust.sees(referral)
    assert world.trust.tasks(referral) == []
    if letter is None:
        letter = world.letter(referral)
    else:
        named = [{"reference": f"DocumentReference/{letter['id']}"}]
        world.practice.made(world.practice.read(referral) | {"supportingInfo": named})
    assert world.trust.sees(referral)
    assert [item["code"]["coding"][0]["code"] for item in world.trust.tasks(referral)] == [
        "TRIAGE_DEFERRAL"
    ]
    assert world.trust.sees(letter)
    assert not world.other_trust.sees(letter)


def test_a_request_for_advice_is_seen_by_the_service_that_is_asked(world: World) -> None:
    request = world.practice.made(world.practice.advice_to(world.desk.service()))
    assert world.trust.sees(request)
    for person in world.outsiders():
        assert not person.sees(request)


def test_a_page_is_full_of_what_is_seen(world: World) -> None:
    """What is hidden takes no place on a page, of a search or a history."""
    service = world.desk.service()
    made = []
    for number in range(6):
        person = world.practice if number % 2 else world.other_practice
        requester = world.desk.requester["reference"] if number % 2 else world.other_requester
        made.append(person.referral(service, requester={"reference": requester}))
    mine = [item["id"] for item in made[1::2]]
    for path in ("ServiceRequest?", "ServiceRequest/_history?"):
        found: list[str] = []
        url: str | None = f"{path}_count=2"
        while url:
            page = world.practice.client.get(url).json()
            found += [item["resource"]["id"] for item in page.get("entry", [])]
            links = {item["relation"]: item["url"] for item in page["link"]}
            url = links.get("next")
            assert len(page.get("entry", [])) == 2 or url is None
        assert sorted(found) == sorted(mine)


def test_what_hangs_on_no_referral_is_not_hidden(world: World) -> None:
    slot = world.desk.slot(world.desk.service())
    appointment = world.system.appointment({"id": "none"}, slot)
    del appointment["basedOn"]
    made = world.system.made(appointment)
    assert world.other_practice.sees(made)
    assert world.patient.sees(made)
    assert not world.stranger.sees(made)


def test_who_sees_everything_is_not_slowed_nor_narrowed(case: Case) -> None:
    client = case.world.system.client
    found = client.get(f"ServiceRequest?_id={case.referral['id']}&_include=*&_revinclude=*").json()
    ids = {item["resource"]["id"] for item in found["entry"]}
    assert {item["id"] for item in case.hanging} <= ids
