"""A share of the national day is gone through on a small country, and every answer is a good one."""

from __future__ import annotations

import functools
from datetime import datetime

import uvloop

from bench.filling import fill_with
from bench.national.country import LONDON, Country
from bench.national.journey import BOOKINGS, REFERRALS, Journey
from bench.national.report import Facts, report
from bench.national.run import Tally, run
from bench.processes import run_seconds
from tools.serving import ServerProcess

COUNTRY = Country(80, 24, 60, datetime.now(LONDON).date())


def test_any_run_of_referrals_has_its_share_of_bookings() -> None:
    for first in (0, 1000):
        ways = [Journey(COUNTRY, number, seed=1).way for number in range(first, first + 500)]
        assert abs(ways.count("slots") - 500 * BOOKINGS / REFERRALS) <= 1
        assert {"full", "triage", "later"} < set(ways)


def test_a_small_day_has_no_error(blank_database) -> None:
    url = blank_database()
    resources, _ = fill_with(COUNTRY, url)
    journey = functools.partial(Journey, COUNTRY, seed=1)
    with ServerProcess(url) as server:
        tally: Tally = uvloop.run(run(server.port, journey, 0, 30, 6))
        meter = functools.partial(run_seconds, server.processes())
        apart: Tally = uvloop.run(run(server.port, journey, 100, 2, 1, meter))
    assert tally.told == []
    assert tally.journeys == 30
    assert 20 <= tally.calls / 30 <= 30
    assert {"find services", "$book", "create referral with letter", "outcome"} < set(tally.seconds)
    facts = Facts(
        "sqlite", 1, 6, COUNTRY, resources, 30 / REFERRALS, 25.0, 1.0, 0.5, (1.0, 0.1), [1], 1
    )
    told = report(facts, tally, apart)
    assert f"| calls of the whole day | {tally.calls * REFERRALS / 30:,.0f} |" in told
    assert "Unexpected" not in told
    each = sum(map(sum, apart.cpu.values())) / apart.calls
    assert 0 < each < 1
    assert f"| all | {each * 1e6:,.0f} µs | 100 % | 100 % |" in told


def test_errors_and_lost_races_are_told_apart() -> None:
    tally = Tally()
    tally.lost["$book"] += 2
    tally.errors["read", 500] += 3
    tally.told.append("read: 500 broken")
    facts = Facts("sqlite", 1, 6, COUNTRY, 1, 0.01, 25.0, 1.0, 0.0, (1.0, 0.1), [1], 1)
    tally.elapsed = 1.0
    told = report(facts, tally, Tally())
    assert "| $book | 2 | nan | nan | nan | 2 | 0 |" in told
    assert "- read: 500, 3 times" in told
