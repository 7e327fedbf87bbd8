"""The example region is valid R4, consistent, and the same every time (examples/region.py)."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.spec.json_format import parse
from fhir_server.validation import validate

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from region import generate, main
from region_elements import NHS_NUMBER, nhs_numbers

Json = dict[str, Any]
LONDON = ZoneInfo("Europe/London")
DAY = date(2026, 3, 25)  # the clocks change four days later


@pytest.fixture(scope="module")
def region() -> list[Json]:
    return list(generate(1, DAY))


def of_type(region: list[Json], resource_type: str) -> list[Json]:
    return [item for item in region if item["resourceType"] == resource_type]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for child in value.values():
            yield from references(child)
    elif isinstance(value, list):
        for child in value:
            yield from references(child)


def test_every_resource_is_valid_r4(region: list[Json]) -> None:
    for item in region:
        parsed = parse(orjson.dumps(item))
        assert validate(parsed) == (), (item["resourceType"], item["id"])


def test_the_region_has_the_size_that_is_promised(region: list[Json]) -> None:
    counts = Counter(item["resourceType"] for item in region)
    assert counts["Slot"] == 2000
    assert counts["Patient"] == 120
    assert counts["HealthcareService"] == 13
    assert counts["ServiceRequest"] == counts["Task"] > 100
    statuses = Counter(slot["status"] for slot in of_type(region, "Slot"))
    assert set(statuses) == {"free", "busy", "busy-unavailable", "busy-tentative"}
    assert statuses["free"] > 1500


def test_no_two_resources_share_an_identity(region: list[Json]) -> None:
    identities = Counter((item["resourceType"], item["id"]) for item in region)
    assert max(identities.values()) == 1


def test_what_is_referred_to_comes_first(region: list[Json]) -> None:
    known: set[str] = set()
    for item in region:
        for target in references(item):
            assert target in known, (item["resourceType"], item["id"], target)
        known.add(f"{item['resourceType']}/{item['id']}")


def test_nhs_numbers_satisfy_modulus_11_in_the_test_range(region: list[Json]) -> None:
    numbers = [
        identifier["value"]
        for patient in of_type(region, "Patient")
        for identifier in patient["identifier"]
        if identifier["system"] == NHS_NUMBER
    ]
    assert len(set(numbers)) == 120
    for number in numbers:
        assert number.startswith("999")
        weighted = sum(int(digit) * (10 - place) for place, digit in enumerate(number[:9]))
        assert (11 - weighted % 11) % 11 == int(number[9])


def test_the_reserved_range_is_used_without_the_numbers_that_have_no_check_digit() -> None:
    numbers = list(islice(nhs_numbers(), 20_000))
    assert len(set(numbers)) == 20_000
    assert int(numbers[-1][3:9]) == pytest.approx(22_000, rel=0.01)  # one in eleven has none
    assert {len(number) for number in numbers} == {10}


def test_appointments_and_busy_slots_belong_together(region: list[Json]) -> None:
    busy = {slot["id"]: slot for slot in of_type(region, "Slot") if slot["status"] == "busy"}
    booked = {}
    for appointment in of_type(region, "Appointment"):
        (slot,) = appointment["slot"]
        logical_id = slot["reference"].removeprefix("Slot/")
        booked[logical_id] = appointment
        assert appointment["start"] == busy[logical_id]["start"]
        assert appointment["end"] == busy[logical_id]["end"]
    assert booked.keys() == busy.keys()


def test_nobody_has_two_appointments_on_one_day(region: list[Json]) -> None:
    days = Counter(
        (appointment["participant"][0]["actor"]["reference"], appointment["start"][:10])
        for appointment in of_type(region, "Appointment")
    )
    assert max(days.values()) == 1


def test_an_appointment_is_at_the_service_that_its_referral_asks_for(region: list[Json]) -> None:
    asked = {
        f"ServiceRequest/{item['id']}": (item["subject"]["reference"], item["performer"][0])
        for item in of_type(region, "ServiceRequest")
    }
    for appointment in of_type(region, "Appointment"):
        subject, performer = asked[appointment["basedOn"][0]["reference"]]
        actors = [item["actor"]["reference"] for item in appointment["participant"]]
        assert actors[:2] == [subject, performer["reference"]]


@settings(deadline=None, max_examples=10)
@given(st.dates(date(2020, 1, 1), date(2035, 12, 31)))
def test_slots_stand_in_clinic_hours_of_london_whatever_the_clocks_do(day: date) -> None:
    for slot in of_type(list(generate(3, day, 0.3)), "Slot"):
        start, end = (datetime.fromisoformat(slot[name]) for name in ("start", "end"))
        local = start.astimezone(LONDON)
        assert local.utcoffset() == start.utcoffset()
        assert local.weekday() < 5
        assert 9 <= local.hour < 17
        assert end - start == timedelta(minutes=20)


def test_the_offset_changes_with_the_clocks() -> None:
    starts = [slot["start"] for slot in of_type(list(generate(1, DAY)), "Slot")]
    assert {item[-6:] for item in starts if item < "2026-03-29"} == {"+00:00"}
    assert {item[-6:] for item in starts if item > "2026-03-29"} == {"+01:00"}


def test_appointments_of_the_past_are_over_and_those_to_come_are_booked(region: list[Json]) -> None:
    for appointment in of_type(region, "Appointment"):
        over = appointment["status"] in ("fulfilled", "noshow")
        assert over == (appointment["start"][:10] < DAY.isoformat())


def test_one_seed_and_day_give_one_region(region: list[Json]) -> None:
    assert list(generate(1, DAY)) == region
    assert list(generate(2, DAY)) != region


def test_another_day_gives_the_same_identities(region: list[Json]) -> None:
    moved = list(generate(1, DAY + timedelta(days=40)))
    assert [(item["resourceType"], item["id"]) for item in moved] == [
        (item["resourceType"], item["id"]) for item in region
    ]


@pytest.mark.parametrize("scale", [0.01, 0.2, 5.0])
def test_a_region_of_any_scale_is_consistent(scale: float) -> None:
    known: set[str] = set()
    for item in generate(5, DAY, scale):
        assert all(target in known for target in references(item))
        identity = f"{item['resourceType']}/{item['id']}"
        assert identity not in known
        known.add(identity)


def test_a_large_region_comes_at_twenty_thousand_a_second() -> None:
    began = time.process_time()
    count = sum(1 for _ in map(orjson.dumps, generate(1, DAY, 8)))
    assert count / (time.process_time() - began) > 20_000


def test_the_command_writes_one_resource_a_line(tmp_path: Path, region: list[Json]) -> None:
    target = tmp_path / "below" / "region.ndjson"
    main(["--out", str(target), "--today", "2026-03-25"])
    assert [orjson.loads(line) for line in target.read_bytes().splitlines()] == region
