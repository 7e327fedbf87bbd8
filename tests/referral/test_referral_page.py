"""docs/referrals.md tells what capability/referral.json holds."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "referrals.md").read_text("utf-8")
RULES = json.loads((ROOT / "capability" / "referral.json").read_bytes())


def test_the_diagram_has_every_state() -> None:
    found = re.search(r"```mermaid\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    drawn = set(re.findall(r"^  ([A-Z_]+) -->|--> ([A-Z_]+)", found[1], re.MULTILINE))
    assert {name for pair in drawn for name in pair if name} == set(RULES["states"])


def test_the_table_has_every_task_with_its_due_days() -> None:
    _, _, section = PAGE.partition("\n## Tasks\n")
    rows = re.findall(r"^\| ([A-Z_, ]+) \|.*\| ([\d, ]*)\|$", section, re.MULTILINE)
    told = {code: days.strip() for codes, days in rows for code in codes.split(", ")}
    expected = {
        code: ", ".join(str(held["workingDays"][name]) for name in ("routine", "urgent", "asap"))
        if "workingDays" in held
        else ""
        for code, held in RULES["tasks"].items()
    }
    assert told == expected
