"""The referral-to-treatment clock, working days and the check digit of a UBRN (docs/referrals.md)."""

from __future__ import annotations

from datetime import date

from referral_desk import PATHWAY, PAUSE, STOP, Desk, extension, revoked, ubrn_of

from fhir_server.referral.ubrn import check_digit, is_valid
from fhir_server.referral.working_days import after


def test_the_clock_starts_pauses_and_stops(desk: Desk) -> None:
    made = desk.referral(desk.service())
    start = extension(made, PATHWAY)
    assert start is not None
    held = desk.made(made | {"status": "on-hold"})
    pause = extension(held, PAUSE)
    assert pause is not None
    assert "end" not in pause["extension"][0]["valuePeriod"]
    active = desk.made(held | {"status": "active"})
    ended = extension(active, PAUSE)
    assert ended is not None
    assert (
        ended["extension"][0]["valuePeriod"]["end"] >= pause["extension"][0]["valuePeriod"]["start"]
    )
    assert extension(active, STOP) is None
    over = desk.made(revoked(active))
    stop = extension(over, STOP)
    assert stop is not None
    assert stop["extension"][1]["valueCodeableConcept"]["coding"][0]["code"] == "PATIENT_DIED"
    assert extension(over, PATHWAY) == start


def test_a_request_for_advice_starts_no_clock(desk: Desk) -> None:
    assert extension(desk.made(desk.advice_to(desk.service())), PATHWAY) is None


def test_bank_holidays_are_no_working_days() -> None:
    assert after(date(2026, 12, 23), 3) == date(2026, 12, 30)
    assert after(date(2026, 4, 2), 1) == date(2026, 4, 7)  # Good Friday and Easter Monday between


def test_the_check_digit_is_that_of_iso_7064() -> None:
    assert check_digit("0794") == "5"


def test_every_wrong_digit_of_a_ubrn_is_found(desk: Desk) -> None:
    number = ubrn_of(desk.referral(desk.service()))
    assert is_valid(number)
    for place in range(12):
        for digit in set("0123456789") - {number[place]}:
            assert not is_valid(number[:place] + digit + number[place + 1 :])
