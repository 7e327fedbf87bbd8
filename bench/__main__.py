"""Measure the server on a fresh database and print Markdown."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.request import urlopen

import orjson
import psycopg
import uvloop

from bench.client import Connection
from bench.measure import Measurement, measure
from bench.processes import DatabaseProcesses, cpu_seconds, resident_bytes
from bench.region import Region, make_region
from bench.report import Facts, report
from bench.workloads import bare, workloads
from tools.serving import ROOT, ServerProcess, command, free_port
from tools.temporary_postgresql import temporary_postgresql


@dataclass(frozen=True, slots=True)
class Options:
    database: str
    seconds: float
    concurrency: int
    rounds: int
    workers: int
    scale: float
    seed: int
    only: tuple[str, ...]


def read_options() -> Options:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--database",
        default="sqlite",
        help="sqlite or postgresql (both temporary), or the URL of an empty database",
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="of a round")
    parser.add_argument("--concurrency", type=int, default=32, help="clients")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--scale", type=float, default=4.0, help="1 is about 2,900 resources")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=(), help="words of the workloads to run")
    given = vars(parser.parse_args())
    return Options(**given | {"only": tuple(given["only"])})


@contextlib.contextmanager
def database(name: str) -> Iterator[str]:
    """The URL of an empty database."""
    if name == "sqlite":
        with tempfile.TemporaryDirectory(prefix="fhir-bench-") as folder:
            yield f"sqlite:///{folder}/fhir.sqlite"
    elif name == "postgresql":
        with temporary_postgresql() as url:
            yield url
    else:
        yield name


def load(region: Region, url: str) -> float:
    """Load the data set with `fhir-server load`; the seconds that took."""
    began = time.perf_counter()
    subprocess.run(
        command("load", str(region.file), "--database", url, "--quiet"),
        check=True,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - began


def stored_bytes(url: str) -> int:
    """What the database takes on disk."""
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        return sum(item.stat().st_size for item in path.parent.glob(path.name + "*"))
    with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        assert row is not None
        return int(row[0])


def start_up(url: str, workers: int, times: int = 5) -> float:
    """Seconds from the start of the process to the first 200 on /metadata; the middle of several starts."""
    took = []
    for _ in range(times):
        server = ServerProcess(url, workers=workers)
        began = time.perf_counter()
        server.start()
        server.wait_until_ready(path="/fhir/metadata")
        took.append(time.perf_counter() - began)
        server.stop()
    return sorted(took)[times // 2]


async def connectable(port: int, timeout: float = 30.0) -> None:
    """Return once somebody listens; raises TimeoutError otherwise."""
    async with asyncio.timeout(timeout):
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                (await Connection.open(port)).close()
                return
            await asyncio.sleep(0.02)


async def yardstick(options: Options) -> Measurement:
    """The cost of a bare ASGI answer on this machine, now."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "bench.bare", str(port)], cwd=ROOT)
    try:
        await connectable(port)
        return await measure(
            port,
            bare(),
            seconds=options.seconds,
            concurrency=options.concurrency,
            rounds=options.rounds,
            usage=lambda: (cpu_seconds([process.pid]), 0.0),
        )
    finally:
        process.terminate()
        process.wait()


def stored_versions(port: int) -> dict[str, int]:
    """The version of each patient and referral by its id: what is loaded about a referral makes new ones."""
    found: dict[str, int] = {}
    kinds = "_type=Patient,ServiceRequest&_elements=meta&_count=1000"
    url: str | None = f"http://127.0.0.1:{port}/fhir?{kinds}"
    while url is not None:
        with urlopen(url) as answer:
            page = orjson.loads(answer.read())
        for entry in page["entry"]:
            resource = entry["resource"]
            found[resource["id"]] = int(resource["meta"]["versionId"])
        url = next((item["url"] for item in page["link"] if item["relation"] == "next"), None)
    return found


async def drive(server: ServerProcess, region: Region, options: Options) -> list[Measurement]:
    """Every workload, one after the other."""
    of_database = DatabaseProcesses(server.database)
    pids = server.processes()
    done = []
    for workload in workloads(region, options.concurrency, stored_versions(server.port)):
        if options.only and not any(word in workload.name for word in options.only):
            continue
        measurement = await measure(
            server.port,
            workload,
            seconds=options.seconds,
            concurrency=options.concurrency,
            rounds=options.rounds,
            usage=lambda: (cpu_seconds(pids), of_database.cpu_seconds()),
        )
        print(
            f"{workload.name}: {measurement.median(lambda item: item.rate):,.0f}/s", file=sys.stderr
        )
        done.append(measurement)
    return done


def main() -> int:
    """Run it all; exit status 1 when an answer was not the one expected."""
    options = read_options()
    with database(options.database) as url, tempfile.TemporaryDirectory() as folder:
        empty = stored_bytes(url) if url.startswith("postgresql") else 0
        region = make_region(
            Path(folder) / "region.ndjson",
            seed=options.seed,
            scale=options.scale,
            today=date.today(),  # noqa: DTZ011 - any day will do
        )
        load_seconds = load(region, url)
        size = stored_bytes(url) - empty
        start_seconds = start_up(url, options.workers)
        unit = uvloop.run(yardstick(options))
        with ServerProcess(url, workers=options.workers) as server:
            idle = [resident_bytes(pid) for pid in server.processes()]
            measured = uvloop.run(drive(server, region, options))
            busy = [resident_bytes(pid) for pid in server.processes()]
        facts = Facts(
            database=url.partition(":")[0].partition("+")[0],
            workers=options.workers,
            concurrency=options.concurrency,
            rounds=options.rounds,
            seconds=options.seconds,
            resources=region.resources,
            raw_bytes=region.raw_bytes,
            stored_bytes=size,
            load_seconds=load_seconds,
            start_seconds=start_seconds,
            idle_bytes=max(idle),
            busy_bytes=max(busy),
        )
        print(report(facts, unit, measured))
        return 1 if any(item.errors for item in measured) else 0


if __name__ == "__main__":
    sys.exit(main())
