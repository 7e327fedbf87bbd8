"""The example tells the truth: one booking, fifteen conflicts (https://hl7.org/fhir/R4/appointment.html)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.rule(354, "appointment.html")
def test_one_of_sixteen_gets_the_slot(client):
    base = str(client.base_url).rstrip("/")
    command = [sys.executable, "examples/booking_race.py", base]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SLOT_NOT_AVAILABLE" in done.stdout
    assert "201: 1\n409: 15" in done.stdout
