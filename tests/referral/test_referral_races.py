"""Several clients about one referral, in several processes: one outcome, no 5xx, and the state fits it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest
from referral_desk import (
    APPOINTMENT_REASONS,
    CONVERSION,
    FHIR,
    UBRN,
    WORKFLOW,
    Desk,
    concept,
    refused,
    revoked,
    ubrn_of,
    without,
)

from fhir_server.referral.ubrn import is_valid
from tools.serving import ServerProcess


@pytest.fixture(scope="module")
def client_of_several(new_database: Callable[[], str]) -> Iterator[httpx.Client]:
    """A client of a server of two processes."""
    with (
        ServerProcess(new_database(), workers=2) as running,
        httpx.Client(base_url=running.base + "/", timeout=60) as made,
    ):
        yield made


@pytest.fixture
def shared(client_of_several: httpx.Client) -> Desk:
    """A desk on a server of several processes."""
    return Desk(client_of_several)


def at_once(*works: Callable[[], httpx.Response]) -> list[httpx.Response]:
    with ThreadPoolExecutor(len(works)) as threads:
        answers = list(threads.map(lambda work: work(), works))
    assert all(answer.status_code < 500 for answer in answers), [item.text for item in answers]
    return answers


# A connection for each who sends; to read the certificates that plain HTTP does not need takes longer than the race.
SENT = {"timeout": 30, "verify": False}


def put(desk: Desk, resource: dict[str, Any], **headers: str) -> Callable[[], httpx.Response]:
    path = f"{desk.client.base_url}{resource['resourceType']}/{resource['id']}"
    return lambda: httpx.put(path, json=resource, headers=FHIR | headers, **SENT)


def post(desk: Desk, resource: dict[str, Any], **headers: str) -> Callable[[], httpx.Response]:
    path = f"{desk.client.base_url}{resource['resourceType']}"
    return lambda: httpx.post(path, json=resource, headers=FHIR | headers, **SENT)


def test_referrals_that_are_made_at_once_have_numbers_of_their_own(shared: Desk) -> None:
    sent = shared.referral_to(shared.service())
    answers = at_once(*[post(shared, sent) for _ in range(24)])
    numbers = [ubrn_of(answer.json()) for answer in answers]
    assert len(set(numbers)) == 24
    assert all(map(is_valid, numbers))


def numbered(desk: Desk, number: str) -> dict[str, Any]:
    return desk.referral_to(desk.service(), identifier=[{"system": UBRN, "value": number}])


def test_one_number_is_had_by_one_of_those_who_send_it_at_once(shared: Desk) -> None:
    sent = numbered(shared, "111111111111")
    answers = at_once(*[post(shared, sent) for _ in range(64)])
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 63}
    lost = [answer for answer in answers if answer.status_code == 409]
    for answer in lost:
        refused(answer, 409, "duplicate", "CONFLICTING_VALUES", "identifier")


def test_conditional_creates_of_one_number_make_one_referral(shared: Desk) -> None:
    number = "222222222222"
    sent = numbered(shared, number)
    condition = {"If-None-Exist": f"identifier={UBRN}|{number}"}
    answers = at_once(*[post(shared, sent, **condition) for _ in range(64)])
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 63}
    assert len({answer.json()["id"] for answer in answers}) == 1


@pytest.mark.parametrize("reason", ["BOOKING_ATTEMPT_PROBLEM", "NO_SLOTS_AT_SERVICE"])
def test_a_referral_that_is_deferred_and_booked_at_once_is_booked(
    shared: Desk, reason: str
) -> None:
    for _ in range(6):
        service = shared.service()
        referral, slot = shared.referral(service), shared.slot(service)
        given = {"reasonCode": concept(WORKFLOW, reason)}
        deferral = shared.task(referral, "APPOINTMENT_DEFERRAL", service, **given)
        booking = shared.appointment(referral, slot)
        deferred, booked = at_once(post(shared, deferral), post(shared, booking))
        assert (booked.status_code, shared.state(referral)) == (201, "BOOKED")
        assert shared.read(slot)["status"] == "busy"
        first = deferred.status_code == 201
        assert first or deferred.status_code == 422
        assert not (first and reason == "NO_SLOTS_AT_SERVICE")
        told = [item["status"] for item in shared.tasks(referral, "APPOINTMENT_DEFERRAL")]
        assert told == ["completed"] * first
        assert len(shared.tasks(referral, "REVIEW")) == 1


def test_of_two_changes_of_one_version_of_the_shortlist_one_is_made(shared: Desk) -> None:
    for _ in range(6):
        referral = shared.referral(shared.service())
        lists = [[reference(shared.service())] for _ in range(2)]
        match = {"If-Match": 'W/"1"'}
        answers = at_once(*[put(shared, referral | {"performer": item}, **match) for item in lists])
        assert sorted(answer.status_code for answer in answers) == [200, 412]
        (kept,) = [
            item for item, answer in zip(lists, answers, strict=True) if answer.status_code == 200
        ]
        stored = shared.read(referral)
        assert (stored["performer"], stored["meta"]["versionId"]) == (kept, "2")


def test_a_service_is_booked_or_leaves_the_shortlist_but_not_both(shared: Desk) -> None:
    for _ in range(6):
        service, other = shared.service(), shared.service()
        referral, slot = shared.referral(service), shared.slot(service)
        changed, booked = at_once(
            put(shared, referral | {"performer": [reference(other)]}),
            post(shared, shared.appointment(referral, slot)),
        )
        assert (changed.status_code, booked.status_code) in ((200, 422), (422, 201))
        is_booked = booked.status_code == 201
        assert shared.state(referral) == ("BOOKED" if is_booked else "NOT_BOOKED")
        assert shared.read(slot)["status"] == ("busy" if is_booked else "free")


def test_advice_is_converted_once(shared: Desk) -> None:
    told = [{"url": CONVERSION, "valueCode": "AUTHORISED_TO_CONVERT"}]
    for _ in range(4):
        request = shared.made(shared.advice_to(shared.service(), extension=told))
        path = f"{shared.client.base_url}ServiceRequest/{request['id']}/$convert-advice"
        convert = partial(httpx.post, path, json={"resourceType": "Parameters"}, headers=FHIR)
        answers = at_once(*[convert] * 4)
        assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422]
        assert shared.read(request)["status"] == "completed"
        about = {"based-on": f"ServiceRequest/{request['id']}", "_summary": "count"}
        assert shared.client.get("ServiceRequest", params=about).json()["total"] == 1


def test_a_review_is_accepted_or_rejected_but_not_both(shared: Desk) -> None:
    service = shared.service()
    reason = concept(APPOINTMENT_REASONS, "SERVICE_INAPPROPRIATE")
    for _ in range(6):
        referral, slot = shared.referral(service), shared.slot(service)
        booked = shared.made(shared.appointment(referral, slot))
        (review,) = shared.tasks(referral, "REVIEW")
        accepted = review | {"status": "accepted"}
        rejected = review | {"status": "rejected", "statusReason": reason}
        first, second = at_once(put(shared, accepted), put(shared, rejected))
        assert sorted((first.status_code, second.status_code)) == [200, 422]
        kept = first.status_code == 200
        assert shared.state(referral) == ("BOOKED" if kept else "REJECTED")
        assert shared.read(booked)["status"] == ("booked" if kept else "cancelled")
        assert shared.read(slot)["status"] == ("busy" if kept else "free")


def test_a_referral_is_booked_and_cancelled_at_once_in_some_order(shared: Desk) -> None:
    service = shared.service()
    for _ in range(6):
        referral, slot = shared.referral(service), shared.slot(service)
        ended = revoked(without(referral, "extension"))
        at_once(post(shared, shared.appointment(referral, slot)), put(shared, ended))
        assert shared.state(referral) == "CANCELLED_REFERRAL"
        assert shared.read(slot)["status"] == "free"
        assert not [item for item in shared.tasks(referral) if item["status"] == "requested"]


def test_a_referral_is_sent_for_triage_once(shared: Desk) -> None:
    service = shared.service()
    referral = shared.referral(service)
    sent = shared.task(referral, "TRIAGE_DEFERRAL", service)
    answers = at_once(*[post(shared, sent) for _ in range(8)])
    assert sorted(answer.status_code for answer in answers) == [201, *[422] * 7]
    assert len(shared.tasks(referral)) == 1


def test_the_appointment_and_the_review_change_at_once_without_a_deadlock(shared: Desk) -> None:
    service = shared.service()
    reason = concept(APPOINTMENT_REASONS, "SERVICE_INAPPROPRIATE")
    for _ in range(6):
        referral, slot = shared.referral(service), shared.slot(service)
        booked = shared.made(shared.appointment(referral, slot))
        (review,) = shared.tasks(referral, "REVIEW")
        at_once(
            put(shared, booked | {"status": "cancelled"}),
            put(shared, review | {"status": "rejected", "statusReason": reason}),
            put(shared, shared.read(referral) | {"priority": "urgent"}),
        )
        assert shared.read(booked)["status"] == "cancelled"
        assert shared.read(slot)["status"] == "free"
        assert shared.state(referral) in ("REJECTED", "APPT_CANCELLED_BY_PROVIDER")


def test_the_letter_that_a_sent_referral_takes_up_is_not_deleted_meanwhile(shared: Desk) -> None:
    service = shared.service()
    for _ in range(6):
        old, new = (shared.made(letter()) for _ in range(2))
        referral = shared.referral(service, supportingInfo=[reference(old)])
        shared.made(shared.task(referral, "TRIAGE_DEFERRAL", service))
        changed = shared.read(referral) | {"supportingInfo": [reference(new)]}
        path = f"{shared.client.base_url}DocumentReference/{new['id']}"
        taken, _ = at_once(put(shared, changed), partial(httpx.delete, path))
        named = shared.read(referral)["supportingInfo"]
        assert named == [reference(new if taken.status_code == 200 else old)]
        assert shared.client.get(named[0]["reference"]).status_code == 200


def letter() -> dict[str, Any]:
    content = [{"attachment": {"contentType": "text/plain", "data": "SGVsbG8="}}]
    return {"resourceType": "DocumentReference", "status": "current", "content": content}


def reference(resource: dict[str, Any]) -> dict[str, str]:
    return {"reference": f"{resource['resourceType']}/{resource['id']}"}
