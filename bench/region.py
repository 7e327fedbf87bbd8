"""The data set that is measured on, and where its resources are."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from tools.serving import ROOT

Json = dict[str, Any]


@dataclass(slots=True)
class Region:
    """A file of resources, and the identities that requests are made of."""

    file: Path
    seed: int
    resources: int = 0
    raw_bytes: int = 0
    referrals: list[Json] = field(default_factory=list)
    people: list[Json] = field(default_factory=list)
    patients: list[str] = field(default_factory=list)
    free_days: list[tuple[str, date]] = field(default_factory=list)


def make_region(file: Path, *, seed: int, scale: float, today: date) -> Region:
    """Write examples/region.py's resources to the file, and read what the workloads need to know of them."""
    arguments = ["--out", str(file), "--seed", str(seed), "--scale", str(scale)]
    script = ROOT / "examples" / "region.py"
    subprocess.run(
        [sys.executable, str(script), *arguments, "--today", today.isoformat()], check=True
    )
    region = Region(file, seed)
    services: dict[str, str] = {}
    free: defaultdict[tuple[str, date], int] = defaultdict(int)
    with file.open("rb") as lines:
        for line in lines:
            region.resources += 1
            region.raw_bytes += len(line) - 1
            resource = orjson.loads(line)
            match resource["resourceType"]:
                case "Schedule":
                    services[resource["id"]] = resource["actor"][0]["reference"]
                case "Slot" if resource["status"] == "free":
                    schedule = resource["schedule"]["reference"].removeprefix("Schedule/")
                    free[services[schedule], date.fromisoformat(resource["start"][:10])] += 1
                case "Patient":
                    region.people.append(resource)
                case "ServiceRequest":
                    region.referrals.append(resource)
    region.patients = sorted({item["subject"]["reference"] for item in region.referrals})
    region.free_days = sorted(free)
    return region
