"""Median, percentile and the clock, against the standard library and by hand."""

from __future__ import annotations

import statistics as standard

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.directory.clock import Clock, clock_of
from fhir_server.directory.names import CLOCK_PAUSE, CLOCK_STOP
from fhir_server.directory.places import kilometres, middle
from fhir_server.directory.statistics import median, percentile_92
from fhir_server.referral.definitions import extension as named
from fhir_server.search.positions import point
from fhir_server.spec.dates import DAY, interval

WAITS = st.lists(st.floats(0, 5000), min_size=2).map(sorted)


@given(WAITS)
def test_the_median_is_that_of_the_standard_library(waits):
    assert median(waits) == pytest.approx(standard.median(waits))


@given(WAITS)
def test_the_92nd_percentile_is_the_inclusive_one_of_the_standard_library(waits):
    expected = standard.quantiles(waits, n=100, method="inclusive")[91]
    assert percentile_92(waits) == pytest.approx(expected)


@given(st.floats(0, 5000))
def test_of_one_wait_every_figure_is_that_wait(wait):
    assert median([wait]) == percentile_92([wait]) == wait


MOMENTS = st.integers(0, 1000)
SPANS = st.lists(st.tuples(MOMENTS, MOMENTS), max_size=6)


@given(MOMENTS, SPANS, st.none() | MOMENTS, MOMENTS)
def test_the_clock_counts_every_moment_that_is_in_no_pause(start, spans, stop, now):
    clock = Clock(start, True, stop, tuple(sorted(spans)))
    end = now if stop is None else min(now, stop)
    running = [
        moment
        for moment in range(start, end)
        if not any(low <= moment < high for low, high in spans)
    ]
    assert clock.waited(now) == len(running)


def extension(url, name, value):
    return {"url": url, name: value}


def test_a_referral_tells_start_stop_and_pauses():
    period = {"start": "2026-01-10", "end": "2026-01-12"}
    referral = {
        "authoredOn": "2025-12-01",
        "extension": [
            extension(named("pathway-start"), "valueInstant", "2026-01-01T00:00:00Z"),
            {
                "url": CLOCK_PAUSE,
                "extension": [extension("period", "valuePeriod", period)],
            },
            {
                "url": CLOCK_STOP,
                "extension": [extension("instant", "valueInstant", "2026-01-31T00:00:00Z")],
            },
        ],
    }
    clock = clock_of(referral)
    # The last day of a pause belongs to it.
    assert clock.waited(interval("2026-02-20")[0]) == 27 * DAY
    assert clock.runs(interval("2026-01-30")[0])
    assert not clock.runs(interval("2026-01-31")[0])
    assert not clock.runs(interval("2025-12-31")[0])


def test_without_a_start_the_clock_starts_with_the_referral_but_not_with_a_question():
    referral = {"authoredOn": "2026-01-01"}
    assert clock_of(referral) == Clock(interval("2026-01-01")[0], False, None, ())
    advice = {
        "code": {
            "coding": [
                {
                    "system": "https://fhir.nhs.uk/CodeSystem/servicerequest-code",
                    "code": "advice-and-guidance",
                }
            ]
        }
    }
    assert clock_of(referral | advice) is None
    assert clock_of({}) is None


LATITUDES, LONGITUDES = st.floats(-90, 90), st.floats(-180, 180)


@given(LATITUDES, LONGITUDES, LATITUDES, LONGITUDES)
def test_distance_is_symmetric_and_never_beyond_half_the_earth(lat1, lon1, lat2, lon2):
    one, other = point(lat1, lon1), point(lat2, lon2)
    assert kilometres(one, other) == kilometres(other, one)
    assert 0 <= kilometres(one, other) <= 20_016
    assert kilometres(one, point(lat1, lon1)) == 0


def test_the_middle_is_on_the_right_side_of_the_antimeridian():
    found = middle([point(0, 179), point(0, -179)])
    assert kilometres(found, point(0, 180)) == pytest.approx(0, abs=1e-6)
    assert middle([]) is None
    assert middle([point(0, 0), point(0, 180)]) is not None
