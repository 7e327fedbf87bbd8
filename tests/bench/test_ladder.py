"""The loader of the ladder makes what the server would have made."""

from __future__ import annotations

from bench.ladder import Ladder, fill
from fhir_server.checking import differences
from fhir_server.interactions.call import Context, Policy, Search
from fhir_server.interactions.search import search
from fhir_server.spec.json_format import parse
from fhir_server.store.open import open_store


def test_a_filled_database_has_every_index_row_and_can_be_searched_and_written(blank_database):
    url = blank_database()
    number, _ = fill(url, 1000)
    store = open_store(url)
    try:
        context = Context(Policy(), lambda: 1_800_000_000_000_000, lambda: "x")
        checked = list(differences(store, context))
        assert len(checked) == number
        assert not [item for item in checked if item[1] or item[2]]
        call = Search("Slot", (("status", "free"), ("start", "2026-03-16"), ("_sort", "start")))
        with store.read() as transaction:
            answer = search(call, context, transaction)
        assert answer.body is not None
        assert parse(answer.body)["total"] > 0
    finally:
        store.close()


def test_six_in_ten_are_slots():
    parts = dict(Ladder(100_000).parts())
    assert abs(parts["Slot"] / sum(parts.values()) - 0.6) < 0.01
