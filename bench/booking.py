"""Measure booking: hot slots with many clients, what a loser waits, and $find among very many slots.

python -m bench.booking --database sqlite --concurrency 64 --slots 30000 --find-slots 1000000

The unit is what a bare ASGI answer costs on this machine at this moment.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import uvloop

from bench.__main__ import Options, database, load, yardstick
from bench.client import JSON_BODY, request_bytes
from bench.measure import Measurement, Request, Script, Workload, measure
from bench.processes import DatabaseProcesses, cpu_seconds
from bench.region import Region
from tools.serving import ServerProcess

Json = dict[str, Any]
START = datetime(2040, 1, 2, 8, tzinfo=UTC)
PER_SCHEDULE = 200
MINUTES = 15


def slot(number: int) -> Json:
    """The slots of a schedule follow one another on working hours of its days."""
    schedule, place = divmod(number, PER_SCHEDULE)
    day, within = divmod(place, 32)
    start = START + timedelta(days=day, minutes=MINUTES * within)
    return {
        "resourceType": "Slot",
        "id": f"bench-{number}",
        "schedule": {"reference": f"Schedule/bench-{schedule}"},
        "status": "free",
        "start": start.isoformat(),
        "end": (start + timedelta(minutes=MINUTES)).isoformat(),
    }


def clinic(slots: int) -> Iterator[Json]:
    """Schedules and their slots."""
    for schedule in range((slots + PER_SCHEDULE - 1) // PER_SCHEDULE):
        actor = [{"reference": f"Practitioner/bench-{schedule}"}]
        yield {"resourceType": "Schedule", "id": f"bench-{schedule}", "actor": actor}
        first = schedule * PER_SCHEDULE
        for number in range(first, min(first + PER_SCHEDULE, slots)):
            yield slot(number)


def appointment(of: Json, patient: int) -> bytes:
    """A booking of a slot."""
    made = {
        "resourceType": "Appointment",
        "status": "booked",
        "start": of["start"],
        "end": of["end"],
        "slot": [{"reference": f"Slot/{of['id']}"}],
        "participant": [{"actor": {"reference": f"Patient/bench-{patient}"}, "status": "accepted"}],
    }
    return orjson.dumps(made)


def _post(body: bytes, status: int, *needles: bytes) -> Request:
    wire = request_bytes("POST", "/fhir/Appointment", body, JSON_BODY)
    return Request(wire, status, needles)


def booking(slots: int) -> Workload:
    """POST of an Appointment to a free slot: 201."""
    numbers = count()

    def script(client: int) -> Script:
        del client
        while True:
            number = next(numbers)
            if number >= slots:
                raise RuntimeError("There are no free slots left; make more with --slots")
            yield _post(appointment(slot(number), number), 201, b'"status":"booked"')

    return Workload("booking", script)


def losing(taken: int) -> Workload:
    """POST of an Appointment to a slot that is taken: 409."""

    def script(client: int) -> Script:
        while True:
            yield _post(appointment(slot(taken), client), 409, b"SLOT_NOT_AVAILABLE")

    return Workload("booking what is taken", script)


def finding(slots: int) -> Workload:
    """GET Appointment/$find: a practitioner's first free times of a day, 10 on a page."""
    schedules = max(slots // PER_SCHEDULE, 1)

    def script(client: int) -> Script:
        for number in count(client * 7919):
            schedule = number % schedules
            query = "start=2040-01-05&end=2040-01-06&_count=10&practitioner=" + quote(
                f"Practitioner/bench-{schedule}"
            )
            wire = request_bytes("GET", f"/fhir/Appointment/$find?{query}")
            yield Request(wire, 200, (b'"proposed"', f"Practitioner/bench-{schedule}".encode()))

    return Workload("$find", script)


def write(file: Path, slots: int) -> Region:
    """The clinic as NDJSON, in the shape in which the benchmark loads it."""
    with file.open("wb") as lines:
        for resource in clinic(slots):
            lines.write(orjson.dumps(resource) + b"\n")
    return Region(file, 1, slots, file.stat().st_size)


async def _measure(server: ServerProcess, workload: Workload, options: Options) -> Measurement:
    of_database = DatabaseProcesses(server.database)
    pids = server.processes()
    return await measure(
        server.port,
        workload,
        seconds=options.seconds,
        concurrency=options.concurrency,
        rounds=options.rounds,
        usage=lambda: (cpu_seconds(pids), of_database.cpu_seconds()),
    )


def told(measurement: Measurement, unit: float) -> str:
    """A row of the table."""
    server = measurement.median(lambda item: item.server_cost)
    behind = measurement.median(lambda item: item.database_cost)
    rate = measurement.median(lambda item: item.rate)
    return (
        f"| {measurement.name} | {rate:,.0f} | {measurement.percentile(0.5):.1f} |"
        f" {measurement.percentile(0.99):.1f} | {server:,.0f} | {behind:,.0f} |"
        f" {(server + behind) / unit:.1f} | {measurement.errors} |"
    )


def main() -> int:
    """Print Markdown; exit status 1 when an answer was not the one expected."""
    parser = argparse.ArgumentParser(prog="python -m bench.booking", description=__doc__)
    parser.add_argument("--database", default="sqlite")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--slots", type=int, default=30_000, help="free slots to book")
    parser.add_argument(
        "--find-slots", type=int, default=0, help="slots to search; 0: those to book"
    )
    given = parser.parse_args()
    options = Options(
        given.database, given.seconds, given.concurrency, given.rounds, given.workers, 0.0, 1, ()
    )
    stored = max(given.slots, given.find_slots)
    with database(options.database) as url, tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        load(write(Path(folder) / "clinic.ndjson", stored), url)
        loaded = time.perf_counter() - began
        unit = uvloop.run(yardstick(options)).median(lambda item: item.server_cost)
        with ServerProcess(url, workers=options.workers) as server:
            done = [
                uvloop.run(_measure(server, workload, options))
                for workload in (finding(stored), booking(stored), losing(0))
            ]
    print(
        f"{stored:,} slots, loaded in {loaded:.0f} s; {options.concurrency} clients; a unit is {unit:.0f} µs\n"
    )
    print("| workload | a second | p50 ms | p99 ms | server µs | database µs | units | errors |")
    print("|---|---|---|---|---|---|---|---|")
    for measurement in done:
        print(told(measurement, unit))
        if measurement.errors:
            print(measurement.first_error, file=sys.stderr)
    return 1 if any(item.errors for item in done) else 0


if __name__ == "__main__":
    sys.exit(main())
