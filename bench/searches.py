"""Searches of a ladder's data set over HTTP: python -m bench.searches URL --resources 1000000

Each shape is asked with varied values by one client after another; see bench/ladder.py for the data.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import httpx
import uvloop

from bench.__main__ import Options, yardstick
from bench.client import request_bytes
from bench.day import Usage, settle
from bench.ladder import CODES, SNOMED, Ladder
from bench.measure import Measurement, Request, Script, Workload, measure
from bench.processes import DatabaseProcesses, cpu_seconds
from bench.report import COLUMNS, measured_row, table_row
from tools.serving import ServerProcess

PAGE = 500
WEEK = "start=ge2026-03-16&start=lt2026-03-23"
DAY = "date=ge2026-03-16&date=lt2026-03-17"


@dataclass(frozen=True, slots=True)
class Shape:
    """A query with {service}, {patient} and {number} to be filled in."""

    name: str
    query: str


SHAPES = (
    Shape("slots of a service, free, 7 days, sorted, _include",
          f"Slot?schedule.actor=HealthcareService/{{service}}&status=free&{WEEK}&_sort=start&_include=Slot:schedule"),
    Shape("slots of a service type, free, 7 days, sorted, _include",
          f"Slot?service-type={SNOMED}|{{code}}&status=free&{WEEK}&_sort=start&_include=Slot:schedule"),
    Shape("free slots of 7 days, sorted", f"Slot?status=free&{WEEK}&_sort=start"),
    Shape("referrals of a patient", "ServiceRequest?subject=Patient/{patient}"),
    Shape("appointments of an actor in a week, sorted",
          "Appointment?actor=HealthcareService/{service}&date=ge2026-03-16&date=lt2026-03-23&_sort=date"),
    Shape("chain: referrals by the patient's identifier",
          "ServiceRequest?subject:Patient.identifier=https://fhir.nhs.uk/Id/nhs-number|{identifier}"),
    Shape("chain: referrals by the patient's name", "ServiceRequest?subject:Patient.family=adamsb"),
    Shape("_has: patients with an appointment on a day", f"Patient?_has:Appointment:patient:{DAY.partition('&')[0]}"),
    Shape("_has: patients with a booked appointment", "Patient?_has:Appointment:patient:status=booked"),
    Shape("OR of 200 tokens", "ServiceRequest?code=" + ",".join(str(394_800_000 + n) for n in range(200))),
    Shape("appointments of a day", f"Appointment?{DAY}"),
    Shape("appointments of a day, sorted", f"Appointment?{DAY}&_sort=date"),
    Shape("patients by _id with _revinclude",
          "Patient?_id={patient}&_revinclude=ServiceRequest:subject&_revinclude=Appointment:patient"),
    Shape("patients by the beginning of a name", "Patient?family=adamsb"),
    Shape("patients by name, sorted by it", "Patient?family=adams&_sort=family"),
    Shape("appointments, newest first", "Appointment?_sort=-date"),
    Shape("count of all slots", "Slot?_summary=count"),
    Shape("count of everything", "?_summary=count"),
    Shape("count of the free slots", "Slot?status=free&_summary=count"),
)  # fmt: skip


def _requests(shape: Shape, ladder: Ladder, client: int) -> Iterator[bytes]:
    number = client * 1009
    while True:
        number += 1
        patient = number * 131 % ladder.patients
        path = shape.query.format(
            service=number * 7 % ladder.services,
            patient=patient,
            identifier=9_000_000_000 + patient,
            code=CODES[number % len(CODES)],
        )
        yield request_bytes("GET", f"/fhir/{path}")


def _workload(shape: Shape, ladder: Ladder) -> Workload:
    def script(client: int) -> Script:
        for wire in _requests(shape, ladder, client):
            yield Request(wire, 200, (b'"searchset"',))

    return Workload(shape.name, script)


def _deep(server: ServerProcess) -> Workload:
    """The page that follows 500 others: the link is found by following them."""
    with httpx.Client(timeout=30) as client:
        url = f"{server.base}/Slot?_sort=start&_count=20"
        for _ in range(PAGE - 1):
            links = {item["relation"]: item["url"] for item in client.get(url).json()["link"]}
            url = links.get("next", url)
    parts = urlsplit(url)
    wire = request_bytes("GET", f"{parts.path}?{parts.query}")

    def script(client: int) -> Script:
        del client
        while True:
            yield Request(wire, 200, (b'"searchset"',))

    return Workload(f"page {PAGE} of all slots (or the last), sorted", script)


async def _drive(server: ServerProcess, given: argparse.Namespace) -> list[Measurement]:
    ladder = Ladder(given.resources)
    of_database = DatabaseProcesses(server.database)
    pids = server.processes()
    done = []
    workloads = [_workload(shape, ladder) for shape in SHAPES] + [_deep(server)]
    for workload in workloads:
        if given.only and given.only not in workload.name:
            continue
        done.append(
            await measure(
                server.port,
                workload,
                seconds=given.seconds,
                concurrency=given.concurrency,
                rounds=given.rounds,
                usage=lambda: (cpu_seconds(pids), of_database.cpu_seconds()),
            )
        )
        print(workload.name, file=sys.stderr)
    return done


def main() -> int:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("database")
    options.add_argument("--resources", type=int, required=True)
    options.add_argument("--seconds", type=float, default=2.0)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--concurrency", type=int, default=1)
    options.add_argument("--only", default="")
    given = options.parse_args()
    # Only how long and how often is read of the options there.
    unit = uvloop.run(yardstick(cast("Options", given)))
    with ServerProcess(given.database) as server:
        # A database that was filled is indexed by the server's own search parameters first.
        settle(Usage(server))
        measured = uvloop.run(_drive(server, given))
    cost = unit.median(lambda item: item.server_cost)
    print(table_row(COLUMNS))
    print(table_row("---" if place == 0 else "---:" for place in range(len(COLUMNS))))
    for item in (unit, *measured):
        print(measured_row(item, cost))
    for item in measured:
        if item.errors:
            print(f"{item.name}: {item.first_error}", file=sys.stderr)
    return 1 if any(item.errors for item in measured) else 0


if __name__ == "__main__":
    sys.exit(main())
