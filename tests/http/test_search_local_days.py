"""Dates without a zone are days of the server's zone, Europe/London unless set (https://hl7.org/fhir/R4/search.html#date)."""

import pytest
from shelf import Shelf

# The London days on which the clocks change, with the last moment before, the first and last of, and the first after.
DAYS = {
    "2026-03-29": (
        "2026-03-28T23:59:59.999Z", "2026-03-29T00:00:00.000Z", "2026-03-29T22:59:59.999Z", "2026-03-29T23:00:00.000Z",
    ),
    "2026-10-25": (
        "2026-10-24T22:59:59.999Z", "2026-10-24T23:00:00.000Z", "2026-10-25T23:59:59.999Z", "2026-10-26T00:00:00.000Z",
    ),
    "2026-01-15": (
        "2026-01-14T23:59:59.999Z", "2026-01-15T00:00:00.000Z", "2026-01-15T23:59:59.999Z", "2026-01-16T00:00:00.000Z",
    ),
    "2026-07-15": (
        "2026-07-14T22:59:59.999Z", "2026-07-14T23:00:00.000Z", "2026-07-15T22:59:59.999Z", "2026-07-15T23:00:00.000Z",
    ),
}  # fmt: skip
LABELS = ("before", "first", "last", "after")


def slot(shelf, label, start):
    end = start[:10] + "T23:59:59.999Z"
    shelf.put("Slot", label, status="free", schedule={"display": "x"}, start=start, end=end)


@pytest.mark.rule(219, "search#date")
@pytest.mark.parametrize("day", DAYS)
def test_a_day_begins_and_ends_at_local_midnight(shelf, day):
    for label, moment in zip(LABELS, DAYS[day], strict=True):
        slot(shelf, label, moment)
    assert shelf.find(f"Slot?start={day}&_sort=start") == ["first", "last"]
    assert shelf.find(f"Slot?start=lt{day}") == ["before"]
    assert shelf.find(f"Slot?start=gt{day}") == ["after"]
    assert shelf.find(f"Slot?start=ge{day}&_sort=start") == ["first", "last", "after"]
    assert shelf.find(f"Slot?start=sa{day}") == ["after"]
    assert shelf.find(f"Slot?start=eb{day}") == ["before"]


@pytest.mark.rule(219, "search#date")
def test_a_stored_day_is_a_local_day_too(shelf):
    shelf.put("Patient", "p", birthDate="2026-10-25")
    assert shelf.find("Patient?birthdate=ge2026-10-24T23:00:00Z") == ["p"]
    assert shelf.find("Patient?birthdate=sa2026-10-24T22:59:59Z") == ["p"]
    assert shelf.find("Patient?birthdate=eb2026-10-26T00:00:00Z") == ["p"]
    assert shelf.find("Patient?birthdate=eb2026-10-25T23:59:59Z") == []


@pytest.mark.rule(219, "search#date")
def test_a_local_time_that_comes_twice_is_the_first_and_one_that_never_comes_is_read_in_winter_time(
    shelf,
):
    slot(shelf, "first", "2026-10-25T00:30:00Z")
    slot(shelf, "second", "2026-10-25T01:30:00Z")
    assert shelf.find("Slot?start=2026-10-25T01:30") == ["first"]
    assert shelf.find("Slot?start=2026-10-25T01:30:00Z") == ["second"]
    slot(shelf, "gap", "2026-03-29T01:30:00Z")
    assert shelf.find("Slot?start=2026-03-29T01:30") == ["gap"]
    assert shelf.find("Slot?start=2026-03-29T02:30:00%2B01:00") == ["gap"]


@pytest.mark.rule(218, "search#date")
def test_instants_are_exact_to_the_digit(shelf):
    slot(shelf, "a", "2026-03-29T09:00:00.123Z")
    assert shelf.find("Slot?start=2026-03-29T09:00:00.123Z") == ["a"]
    assert shelf.find("Slot?start=2026-03-29T09:00:00.124Z") == []
    assert shelf.find("Slot?start=2026-03-29T09:00:00Z") == ["a"]
    assert shelf.find("Slot?start=gt2026-03-29T09:00:00.122Z") == ["a"]
    assert shelf.find("Slot?start=gt2026-03-29T09:00:00.123Z") == []


def test_another_zone_has_other_days(serve):
    shelf = Shelf(serve(time_zone="Pacific/Auckland"))
    slot(shelf, "a", "2026-03-28T12:00:00Z")
    assert shelf.find("Slot?start=2026-03-29") == ["a"]
    assert shelf.find("Slot?start=2026-03-28") == []
