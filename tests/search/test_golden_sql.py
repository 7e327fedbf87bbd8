"""The SQL of each shape of search, on both databases: a change of it is seen, and meant.

FHIR_WRITE_GOLDEN=1 writes the file anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from fhir_server.interactions.grammar import parse_query
from fhir_server.search.query import SearchSettings, parse_search
from fhir_server.store.postgresql_marks import marked
from fhir_server.store.search_chains import guessed, resolved
from fhir_server.store.search_plan import FEW, plan
from fhir_server.store.search_sql import count, owner_told, statements, with_question

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "search_sql.md"
WEEK = "start=ge2026-03-16&start=lt2026-03-23"
ONE_QUESTION = (
    f"schedule.actor=HealthcareService/1&status=free&{WEEK}&_sort=start&_include=Slot:schedule"
)
SETTINGS = SearchSettings(handling="strict", now=0)

SHAPES = {
    "token": "Patient?gender=male",
    "token with system": "Patient?identifier=urn:a|1",
    "token not": "Patient?gender:not=male",
    "string": "Patient?family=smi",
    "string contains": "Patient?family:contains=smi",
    "reference": "ServiceRequest?subject=Patient/1",
    "reference by identifier": "ServiceRequest?subject:identifier=urn:a|1",
    "date": "Patient?birthdate=1990",
    "date window": "Appointment?date=ge2026-03-16&date=lt2026-03-17",
    "number": "RiskAssessment?probability=gt0.5",
    "quantity": "Observation?value-quantity=5||mg",
    "quantity in UCUM": "Observation?value-quantity=5|http://unitsofmeasure.org|mg",
    "uri below": "ValueSet?url:below=http://a.example.org",
    "missing": "Patient?family:missing=true",
    "composite": "Observation?code-value-quantity=a$gt5",
    "near": "Location?near=51|0|5",
    "conjunction": "Patient?gender=male&identifier=urn:a|1&birthdate=gt1990",
    "chain": "Slot?schedule.actor=HealthcareService/1",
    "has": "Patient?_has:Observation:subject:code=x",
    "filter": 'Patient?_filter=(gender eq male or family co "x") and not (birthdate lt 1990)',
    "sorted": "Patient?identifier=urn:a|1&_sort=-birthdate,family",
    "walk": "Appointment?_sort=date",
    "by lastUpdated": "Slot?_sort=-_lastUpdated",
    "projection": f"Slot?schedule=Schedule/1&status=free&{WEEK}&_sort=start",
    "projection unsorted": f"Slot?schedule=Schedule/1&status=free&{WEEK}",
    "projection of two schedules": f"Slot?schedule=Schedule/1,Schedule/2&{WEEK}&_sort=-start",
    "projection of two schedules' free slots": f"Slot?schedule=Schedule/1,Schedule/2&status=free&{WEEK}&_sort=start",
    "word": "ServiceRequest?_text=knee",
    "word beside a token": "ServiceRequest?_text=knee&status=active",
    "word missing": "ServiceRequest?_text:missing=true",
    "word of two types": "?_text=knee",
    "all types": "?_id=1",
}


def told(kind: str, query: str, *, broad: bool) -> str:
    """Every statement: probes with what they were told, then the page and the count."""
    asked: list[str] = []

    def fetch(text: str, values: object) -> list[tuple[object, ...]]:
        asked.append(text)
        return [(FEW if broad else 1,)] if "COUNT(*)" in text else []

    types = (kind,) if kind else ("Patient", "Slot")
    search = parse_search(types, parse_query(query), settings=SETTINGS)
    where, _ = resolved(search.query.where, fetch)
    planned = plan(types, where, search.query.sort, fetch)
    asked += [item.text for item in statements(search.query, planned)]
    asked.append(count(plan(types, where, None, fetch)).text)
    return "\n".join(_wrapped(text) for text in asked)


def one_question() -> str:
    """A page with what its chain led to last time, and whether it still does."""
    search = parse_search(("Slot",), parse_query(ONE_QUESTION), settings=SETTINGS)
    query, follow = search.query, frozenset(search.includes[0].parameters)
    answer = [(None, None, logical_id, None, 0, None, None, None) for logical_id in "12"]
    resolved(query.where, lambda *_: answer)
    guess = guessed(query.where, follow)
    assert guess is not None
    planned = plan(("Slot",), guess.where, query.sort, lambda *_: [])
    owner = owner_told(query, planned, follow)
    assert owner is not None
    return _wrapped(with_question(query.sort, 21, planned, owner, guess.question).text)


def _wrapped(text: str) -> str:
    return re.sub(r" (FROM|WHERE|ORDER BY|LIMIT|UNION) ", r"\n  \1 ", text) + ";"


def golden() -> str:
    """The whole file."""
    parts = ["# The SQL of each shape of search\n"]
    for name, path in SHAPES.items():
        kind, _, query = path.partition("?")
        for broad in (False, True):
            found = told(kind, query, broad=broad)
            if broad and found == told(kind, query, broad=False):
                continue
            title = f"{name}, where its parts are broad" if broad else name
            parts.append(f"## {title}\n\n`{path}`\n\n```sql\n{found}\n```\n")
            translated = "\n".join(marked(line) for line in found.splitlines())
            if translated.replace("%s", "?").replace("%%", "%") != found:
                parts.append(f"On PostgreSQL:\n\n```sql\n{translated}\n```\n")
    parts.append("## page and chain in one question\n")
    parts.append(f"`Slot?{ONE_QUESTION}`\n\n```sql\n{one_question()}\n```\n")
    return "\n".join(parts)


def test_the_sql_of_every_shape_is_the_one_agreed():
    if os.environ.get("FHIR_WRITE_GOLDEN"):
        GOLDEN.write_text(golden(), "utf-8")
        pytest.skip("the agreed SQL was written and not compared")
    assert golden() == GOLDEN.read_text("utf-8")
