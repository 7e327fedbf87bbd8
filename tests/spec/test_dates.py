"""The interval that a date covers (https://hl7.org/fhir/R4/search.html#date)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.spec import dates
from fhir_server.spec.dates import DAY, EARLIEST, LATEST, interval

HOUR = 3_600_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONDON = ZoneInfo("Europe/London")


def utc(*parts: int) -> int:
    return (datetime(*parts, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2026", utc(2026, 1, 1), utc(2027, 1, 1)),
        ("2026-02", utc(2026, 2, 1), utc(2026, 3, 1)),
        ("2026-12", utc(2026, 12, 1), utc(2027, 1, 1)),
        ("2024-02-29", utc(2024, 2, 29), utc(2024, 3, 1)),
        ("2026-01-05T10:00", utc(2026, 1, 5, 10), utc(2026, 1, 5, 10, 1)),
        ("2026-01-05T10:00Z", utc(2026, 1, 5, 10), utc(2026, 1, 5, 10, 1)),
        ("2026-01-05T10:00:00", utc(2026, 1, 5, 10), utc(2026, 1, 5, 10, 0, 1)),
        ("2026-01-05T10:00:00Z", utc(2026, 1, 5, 10), utc(2026, 1, 5, 10, 0, 1)),
        ("2026-01-05T10:00:00-08:00", utc(2026, 1, 5, 18), utc(2026, 1, 5, 18, 0, 1)),
        ("2026-01-05T10:00:00+05:30", utc(2026, 1, 5, 4, 30), utc(2026, 1, 5, 4, 30, 1)),
        ("2026-01-05T10:00:00+14:00", utc(2026, 1, 4, 20), utc(2026, 1, 4, 20, 0, 1)),
        ("2026-01-05T10:00:00.5Z", utc(2026, 1, 5, 10) + 500_000, utc(2026, 1, 5, 10) + 600_000),
        ("2026-01-05T10:00:00.123Z", utc(2026, 1, 5, 10) + 123_000, utc(2026, 1, 5, 10) + 124_000),
    ],
)
def test_the_interval_is_as_wide_as_the_precision_written(text: str, low: int, high: int) -> None:
    assert interval(text) == (low, high)


def test_more_digits_than_microseconds_are_cut_off() -> None:
    low, high = interval("2026-01-05T10:00:00.1234567891Z")
    assert (low, high) == (utc(2026, 1, 5, 10) + 123_456, utc(2026, 1, 5, 10) + 123_457)


def test_second_60_is_the_first_of_the_next_minute() -> None:
    assert interval("2026-12-31T23:59:60Z") == interval("2027-01-01T00:00:00Z")
    assert interval("2026-12-31T23:59:60.250Z") == interval("2027-01-01T00:00:00.250Z")


def test_a_value_without_a_zone_is_read_in_the_given_zone() -> None:
    assert interval("2026-07-01T10:00:00")[0] == utc(2026, 7, 1, 9)
    assert interval("2026-07-01T10:00:00", ZoneInfo("America/New_York"))[0] == utc(2026, 7, 1, 14)
    assert interval("2026-07-01", ZoneInfo("Asia/Tokyo"))[0] == utc(2026, 6, 30, 15)


def test_a_slot_at_ten_pacific_time_is_on_that_day_in_the_server_zone() -> None:
    low, high = interval("2019-03-08")
    start, end = interval("2019-03-08T10:00:00-08:00")
    assert low <= start < end <= high


def test_the_same_text_is_read_again_in_each_zone() -> None:
    pacific = ZoneInfo("America/Los_Angeles")
    for _ in range(2):
        assert interval("2026-01-10T10:00", LONDON)[0] == utc(2026, 1, 10, 10)
        assert interval("2026-01-10T10:00", pacific)[0] == utc(2026, 1, 10, 18)


def test_the_days_on_which_clocks_change_have_23_and_25_hours() -> None:
    spring = interval("2026-03-29")
    autumn = interval("2026-10-25")
    assert spring == (utc(2026, 3, 29), utc(2026, 3, 29, 23))
    assert autumn == (utc(2026, 10, 24, 23), utc(2026, 10, 26))


def test_an_hour_that_comes_twice_is_the_first_and_one_that_is_left_out_follows_the_old_offset() -> (
    None
):
    assert interval("2026-10-25T01:30:00")[0] == utc(2026, 10, 25, 0, 30)
    assert interval("2026-03-29T01:30:00")[0] == utc(2026, 3, 29, 1, 30)


@given(st.dates(), st.sampled_from(["Europe/London", "UTC", "Asia/Tokyo", "America/Sao_Paulo"]))
def test_consecutive_days_leave_no_gap_and_fill_their_month(day: object, name: str) -> None:
    zone = ZoneInfo(name)
    text = f"{day}"
    low, high = interval(text, zone)
    month_low, month_high = interval(text[:7], zone)
    year_low, year_high = interval(text[:4], zone)
    assert year_low <= month_low <= low < high <= month_high <= year_high
    assert 22 * HOUR <= high - low <= 26 * HOUR
    if text != "9999-12-31":
        following = datetime.fromisoformat(text) + timedelta(days=1)
        assert interval(following.date().isoformat(), zone)[0] == high


@given(
    st.datetimes(),
    st.integers(-13 * 60, 13 * 60),
    st.sampled_from(["seconds", "milliseconds"]),
)
def test_the_fast_path_and_the_grammar_agree(moment: datetime, offset: int, spec: str) -> None:
    sign = "-" if offset < 0 else "+"
    hours, minutes = divmod(abs(offset), 60)
    written = moment.isoformat(timespec=spec)
    for zone in ("Z", f"{sign}{hours:02}:{minutes:02}"):
        text = written + zone
        # One more digit of the fraction takes the slow path, at the same moment.
        slow = written + ("0" if "." in written else ".0") + zone
        assert interval(text)[0] == interval(slow)[0]


@given(
    st.text(alphabet="0123456789-:TZ+.,W /zt", max_size=30)
    | st.from_regex(r"\d{4}.\d\d.\d\d.\d\d.\d\d.\d\d.{0,6}", fullmatch=True)
)
def test_anything_else_is_a_value_error(text: str) -> None:
    try:
        low, high = interval(text)
    except ValueError:
        return
    assert EARLIEST < low < high < LATEST
    assert dates._PATTERN.fullmatch(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "foo",
        "13/13/2026",
        "0000",
        "10000",
        "2026-00",
        "2026-13",
        "2026-02-30",
        "2026-2-3",
        "2026-03-01T10",
        "2026-03-01T10:00:61Z",
        "2026-03-01T24:00:00Z",
        "2026-03-01T24:00",
        "2026-03-01T10:60:00Z",
        "2026-03-01T10:00:00+14:01",
        "2026-03-01T10:00:00+24:00",
        "2026-03-01T10:00:00 01:00",
        "2026-03-01t10:00:00z",
        "2026-03-01 10:00:00Z",
        "2026-03-01T10:00:00,123Z",
        "2026-W01-1T10:00:00Z",
        "20260301T100000Z",
        " 2026",
        "2026\n",
        "２０２６-03-01",
    ],
)
def test_what_is_not_a_date_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        interval(text)


@pytest.mark.parametrize("name", ["Europe/London", "America/New_York", "Pacific/Kiritimati"])
def test_the_first_and_last_years_are_read_in_every_zone(name: str) -> None:
    zone = ZoneInfo(name)
    assert interval("0001", zone)[0] == interval("0001-01-01T00:00:00", zone)[0]
    assert interval("9999", zone)[1] == interval("9999-12-31T23:59:59", zone)[1]
    assert interval("0001-01-01T00:00:00+14:00")[0] > EARLIEST
    assert interval("9999-12-31T23:59:59-14:00")[1] < LATEST
    assert EARLIEST >= -(2**63)
    assert LATEST < 2**63
    assert interval("9999-12-31", zone)[1] - interval("9999-12-31", zone)[0] == DAY
