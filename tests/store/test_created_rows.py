"""What a create leaves in the index tables is what check-store works out of the stored resource."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path

import orjson
import pytest

from fhir_server.checking import differences
from fhir_server.interactions import call as calls
from fhir_server.interactions.perform import perform, prepare
from fhir_server.server import context_of
from fhir_server.settings import Settings
from fhir_server.spec.json_format import parse
from fhir_server.store.open import open_store

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from region import generate

# Of each type some, of which several make rows of projections and have references with a narrower parameter.
_EACH = 12


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_create_leaves_the_rows_that_its_resource_calls_for(
    empty_database: Callable[[str], str], kind: str
) -> None:
    url = empty_database(kind)
    store = open_store(url)
    try:
        # As they are loaded: what happened before is not refused.
        context = replace(context_of(Settings(database=url), store), recording=True)
        seen: Counter[str] = Counter()
        written = []
        for resource in generate(1, date(2026, 3, 25)):
            name = resource["resourceType"]
            seen[name] += 1
            if seen[name] <= _EACH:
                call = calls.Update(
                    name, resource["id"], parse(orjson.dumps(resource)), calls.Conditions()
                )
                made = prepare(call, context)
                written.append(store.submit(partial(perform, made, context)))
        for promise in written:
            assert promise.result(10).status == 201
        assert {"Appointment", "Slot", "ServiceRequest", "Task"} <= seen.keys()
        wrong = [item for item in differences(store, context) if item[1:] != (0, 0)]
        assert wrong == []
    finally:
        store.close()
