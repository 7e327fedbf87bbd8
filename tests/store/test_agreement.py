"""SQLite and PostgreSQL find what the in-memory predicate finds, in the same order.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
from expressions import ENTRIES, EXPRESSION, IDS, SEARCHED, SORT, TYPES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numbering import aimed_query, entries_of
from writing import plain, put

from fhir_server.search.entries import IndexEntries
from fhir_server.search.expression import Query
from fhir_server.search.extraction import entries
from fhir_server.search.parameters import parameters, supported
from fhir_server.search.query import SearchSettings, parse_search
from fhir_server.spec.errors import FhirError
from fhir_server.store.contract import Hit, Store, Transaction
from fhir_server.store.open import open_store
from fhir_server.store.tables import METADATA

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "validation"))
from random_resources import resource

EXAMPLES = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
BASE = "http://localhost:8000/fhir"


class Stores:
    """The reference and both databases with the same content."""

    def __init__(self, make: Callable[[str], str], emptying: psycopg.Connection[object]) -> None:
        self.databases = {kind: open_store(make(kind)) for kind in ("sqlite", "postgresql")}
        self.memory: Store = open_store("memory://")
        self.emptying = emptying

    def fill(self, put_all: Callable[[Transaction], None]) -> None:
        """Take everything out, then put the same into each."""
        tables = [f'"{name}"' for name in METADATA.tables if name != "setting"]
        self.emptying.execute("; ".join(f"DELETE FROM {table}" for table in tables))
        emptying = [f"DELETE FROM {table}" for table in tables]
        emptying.append("INSERT INTO words_found(words_found) VALUES ('delete-all')")
        self.databases["sqlite"].write(
            lambda transaction: [
                transaction._driver.change(text, ())  # type: ignore[attr-defined] # of the SQL stores only
                for text in emptying
            ]
        )
        self.memory = open_store("memory://")
        for store in self.all():
            store.write(put_all)

    def all(self) -> list[Store]:
        return [self.memory, *self.databases.values()]


@pytest.fixture
def stores(empty_database: Callable[[str], str]) -> Iterator[Stores]:
    url = empty_database("postgresql")
    with psycopg.connect(plain(url), autocommit=True) as connection:
        made = Stores(empty_database, connection)
        yield made
        for store in made.all():
            store.close()


def shown(hits: list[Hit]) -> list[tuple[object, ...]]:
    """What stores may not differ in: a key is a number of the store's own, only its order is agreed."""
    return [
        (hit.version.resource_type, hit.version.logical_id, hit.version.body, *hit.position[:-1])
        for hit in hits
    ]


def check(stores: Stores, query: Query) -> None:
    """The same hits in the same order, the same count, and pages that make up the whole."""
    with stores.memory.read() as view:
        wanted = shown(view.search(replace(query, limit=1000)))
    for kind, store in stores.databases.items():
        with store.read() as view:
            assert shown(view.search(replace(query, limit=1000))) == wanted, kind
            assert view.count(query.resource_types, query.where) == len(wanted), kind
            paged: list[Hit] = []
            page = view.search(query)
            while page:
                paged += page
                page = view.search(replace(query, after=page[-1].position))
            assert shown(paged) == wanted, kind


CONTENT = st.dictionaries(
    st.tuples(st.sampled_from(TYPES), st.sampled_from(IDS)),
    st.tuples(ENTRIES, ENTRIES, st.sampled_from(["once", "twice", "deleted"]), st.integers(0, 6)),
    max_size=10,
)


@EXAMPLES
@given(
    content=CONTENT,
    queries=st.lists(
        st.builds(Query, SEARCHED, EXPRESSION, SORT, st.integers(1, 4)), min_size=1, max_size=8
    ),
)
def test_generated_expressions_have_the_same_hits_everywhere(
    stores: Stores,
    content: dict[tuple[str, str], tuple[IndexEntries, IndexEntries, str, int]],
    queries: list[Query],
) -> None:
    def fill(transaction: Transaction) -> None:
        for (resource_type, logical_id), (first, second, story, moment) in content.items():
            identity = f"{resource_type}/{logical_id}"
            first, second = entries_of(resource_type, first), entries_of(resource_type, second)
            version = transaction.put(
                resource_type=resource_type, logical_id=logical_id, previous=None,
                last_updated=moment * 1_000_000, method="PUT", created=True, body=identity.encode(), entries=first,
            )  # fmt: skip
            if story != "once":
                transaction.put(
                    resource_type=resource_type, logical_id=logical_id, previous=version,
                    last_updated=(moment - 3) * 1_000_000, method="DELETE" if story == "deleted" else "PUT",
                    created=False, body=b"2", entries=second if story == "twice" else frozenset(),
                    previous_entries=first if moment % 2 else None,
                )  # fmt: skip

    stores.fill(fill)
    for query in queries:
        check(stores, aimed_query(query))


_PREFIXES = ("", "", "", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
_MODIFIERS = {
    "token": ("", "", ":not", ":missing", ":in", ":of-type", ":text"),
    "string": ("", ":exact", ":contains", ":missing"),
    "reference": ("", ":missing", ":identifier", ":Patient"),
    "uri": ("", ":below", ":above", ":missing"),
    "date": ("", ":missing"),
    "number": ("", ":missing"),
    "quantity": ("", ":missing"),
}


def _text(entry: Any, random: Random) -> str:
    """A search value near that entry."""
    match type(entry).__name__:
        case "TokenEntry":
            told = f"{entry.system}|{entry.code}"
            return random.choice((told, entry.code, f"{entry.system}|"))
        case "StringEntry":
            return random.choice((entry.value, entry.value[:2], entry.folded[-3:]))
        case "ReferenceEntry":
            told = f"{entry.target_type}/{entry.target_id}"
            return entry.url or random.choice((told, entry.target_id, f"{BASE}/{told}"))
        case "UriEntry":
            return str(entry.value)
        case "DateEntry":
            return random.choice(("2026", "2026-03", "2024-02-29", "2026-03-05T10:00:00Z"))
    return random.choice(("0", "1.00", "-5", "7", "1e-7", "2147483647"))


def _parameter(resource_type: str, found: list[Any], random: Random) -> tuple[str, str]:
    """A parameter and a value: of an entry that is there, mostly."""
    offered = [item for item in parameters(resource_type) if supported(item)]
    numbers = {item.number: item for item in offered}
    hit = [entry for entry in found if entry.parameter in numbers]
    if hit and random.random() < 0.8:
        entry = random.choice(hit)
        chosen = numbers[entry.parameter]
        value = _text(entry, random)
    else:
        chosen = random.choice(offered)
        value = random.choice(("x", "2026", "http://example.org/a", "Patient/1", "1"))
    modifier = random.choice(_MODIFIERS.get(chosen.type, ("",)))
    if modifier == ":missing":
        return chosen.code + modifier, random.choice(("true", "false"))
    if chosen.type in ("date", "number", "quantity"):
        value = random.choice(_PREFIXES) + value
    if random.random() < 0.2:
        value += ",nothing-like-it"
    return chosen.code + modifier, value.replace("\\", "\\\\").replace("$", "\\$")


def _query(resource_type: str, found: list[Any], random: Random) -> list[tuple[str, str]]:
    made = [_parameter(resource_type, found, random) for _ in range(random.choice((1, 1, 2, 3)))]
    sortable = [item.code for item in parameters(resource_type) if supported(item)]
    if random.random() < 0.6:
        keys = [
            random.choice(("", "-")) + random.choice(sortable) for _ in range(random.choice((1, 2)))
        ]
        made.append(("_sort", ",".join(keys)))
    return [*made, ("_count", str(random.randint(1, 5)))]


_RICH = ("ServiceRequest", "Appointment", "Patient", "Observation", "ValueSet", "ChargeItem")


@settings(EXAMPLES, max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_generated_resources_and_queries_have_the_same_hits_everywhere(
    stores: Stores, seed: int
) -> None:
    random = Random(seed)
    resource_type = random.choice(_RICH)
    bodies = {f"r{number}": resource(resource_type, random) for number in range(8)}
    indexed = {
        logical_id: entries({**body, "id": logical_id}, base_urls=(BASE,))
        for logical_id, body in bodies.items()
    }

    def fill(transaction: Transaction) -> None:
        for logical_id, listed in indexed.items():
            put(transaction, f"{resource_type}/{logical_id}", listed, above_floor=False)

    stores.fill(fill)
    for logical_id, listed in indexed.items():
        for store in stores.all():
            with store.read() as view:
                version = view.current(resource_type, logical_id)
                assert version is not None
                assert view.index_difference(version.key, listed) == (0, 0)
    everything = sorted((entry for listed in indexed.values() for entry in listed), key=repr)
    asked = 0
    for _ in range(40):
        query = _query(resource_type, list(everything), random)
        try:
            wanted = parse_search(
                (resource_type,), query, settings=SearchSettings(base_urls=(BASE,))
            )
        except FhirError:
            continue
        asked += 1
        check(stores, wanted.query)
    assert asked
