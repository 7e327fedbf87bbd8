"""Several clients about one referral, in several processes: one outcome, no 5xx, and the state fits it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from referral_desk import APPOINTMENT_REASONS, FHIR, Desk, concept, revoked, ubrn_of, without

from fhir_server.referral.ubrn import is_valid


@pytest.fixture
def shared(serve: Callable[..., httpx.Client]) -> Desk:
    """A desk on a server of two processes."""
    return Desk(serve(workers=2))


def at_once(*works: Callable[[], httpx.Response]) -> list[httpx.Response]:
    with ThreadPoolExecutor(len(works)) as threads:
        answers = list(threads.map(lambda work: work(), works))
    assert all(answer.status_code < 500 for answer in answers), [item.text for item in answers]
    return answers


def put(desk: Desk, resource: dict[str, Any]) -> Callable[[], httpx.Response]:
    path = f"{desk.client.base_url}{resource['resourceType']}/{resource['id']}"
    return lambda: httpx.put(path, json=resource, headers=FHIR, timeout=30)


def post(desk: Desk, resource: dict[str, Any]) -> Callable[[], httpx.Response]:
    path = f"{desk.client.base_url}{resource['resourceType']}"
    return lambda: httpx.post(path, json=resource, headers=FHIR, timeout=30)


def test_referrals_that_are_made_at_once_have_numbers_of_their_own(shared: Desk) -> None:
    sent = shared.referral_to(shared.service())
    answers = at_once(*[post(shared, sent) for _ in range(24)])
    numbers = [ubrn_of(answer.json()) for answer in answers]
    assert len(set(numbers)) == 24
    assert all(map(is_valid, numbers))


def test_one_number_is_had_by_one_of_those_who_send_it_at_once(shared: Desk) -> None:
    identifier = [{"system": "https://fhir.nhs.uk/Id/UBRN", "value": "111111111111"}]
    sent = shared.referral_to(shared.service(), identifier=identifier)
    answers = at_once(*[post(shared, sent) for _ in range(8)])
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 7]


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
        taken, _ = at_once(put(shared, changed), lambda path=path: httpx.delete(path, timeout=30))
        named = shared.read(referral)["supportingInfo"]
        assert named == [reference(new if taken.status_code == 200 else old)]
        assert shared.client.get(named[0]["reference"]).status_code == 200


def letter() -> dict[str, Any]:
    content = [{"attachment": {"contentType": "text/plain", "data": "SGVsbG8="}}]
    return {"resourceType": "DocumentReference", "status": "current", "content": content}


def reference(resource: dict[str, Any]) -> dict[str, str]:
    return {"reference": f"{resource['resourceType']}/{resource['id']}"}
