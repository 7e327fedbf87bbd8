"""The walk through booking in docs/ is true: every command is run against a real server and its answer compared."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.serving import ServerProcess

ROOT = Path(__file__).resolve().parents[2]
_source = importlib.util.spec_from_file_location("tour", Path(__file__).with_name("test_tour.py"))
tour = importlib.util.module_from_spec(_source)
_source.loader.exec_module(tour)
PAGE = (ROOT / "docs" / "booking.md").read_text("utf-8")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_command_of_the_walk_gets_the_answer_shown(tmp_path):
    blocks = tour.BLOCK.findall(PAGE)
    assert len(blocks) > 12
    setup, answer = blocks[0][1], None
    with ServerProcess(f"sqlite:///{tmp_path / 'booking.sqlite'}") as server:
        setup = setup.replace("http://127.0.0.1:8000", f"http://127.0.0.1:{server.port}")
        for kind, text in blocks[1:]:
            if kind == "sh":
                command = ["bash", "-c", f"{setup}\n{text}"]
                done = subprocess.run(command, capture_output=True, check=True, timeout=30)
                answer = json.loads(done.stdout)
            else:
                assert tour.agrees(json.loads(text), answer), (
                    f"{text}\n{json.dumps(answer, indent=1)}"
                )


def test_the_page_shows_every_status_and_what_may_follow():
    table = json.loads((ROOT / "capability" / "transitions.json").read_text("utf-8"))
    drawn = {
        tuple(part.replace("_", "-") for part in line.partition(":")[0].strip().split(" --> "))
        for line in PAGE.splitlines()
        if " --> " in line
    }
    told = {("cancelled", "entered-in-error")}
    for kind in ("Appointment", "Slot"):
        for status, following in table[kind]["transitions"].items():
            assert any(status in pair for pair in drawn) or status == "entered-in-error"
            told |= {(status, after) for after in following}
    assert {pair for pair in drawn if "[*]" not in pair} <= told
