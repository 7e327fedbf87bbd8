"""The same search of the same resources has the same answer in memory, on SQLite and on PostgreSQL.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from searchable import resources, searches
from sqlalchemy.engine import make_url

from fhir_server.interactions.call import Context, Policy
from fhir_server.interactions.write import index
from fhir_server.search.query import SearchSettings, parse_search
from fhir_server.spec.json_format import serialise
from fhir_server.store.contract import Store, Transaction
from fhir_server.store.open import open_store

SEED = 20260329
NOW = 1_770_000_000_000_000
CONTEXT = Context(Policy(), lambda: NOW, lambda: "new")
SETTINGS = SearchSettings(handling="strict", now=NOW)


def fill(store: Store) -> None:
    def work(transaction: Transaction) -> None:
        for number, resource in enumerate(resources(SEED)):
            transaction.put(
                resource_type=resource["resourceType"],
                logical_id=resource["id"],
                previous=None,
                last_updated=NOW + number // 3 * 1000,
                method="PUT",
                created=True,
                body=serialise(resource),
                entries=index(resource, CONTEXT),
            )

    store.write(work)


@pytest.fixture(scope="module")
def stores(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Store]]:
    url = make_url(postgresql)
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS three_stores")
        connection.execute("CREATE DATABASE three_stores ENCODING 'UTF8' TEMPLATE template0")
    urls = {
        "memory": "memory://",
        "sqlite": f"sqlite:///{tmp_path_factory.mktemp('three')}/fhir.sqlite",
        "postgresql": url.set(database="three_stores").render_as_string(hide_password=False),
    }
    opened = {name: open_store(value) for name, value in urls.items()}
    for store in opened.values():
        fill(store)
    yield opened
    for store in opened.values():
        store.close()


SLOW = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(search=searches())
@SLOW
def test_every_store_finds_the_same_in_the_same_order(stores, search):
    kind, parameters = search
    query = replace(parse_search((kind,), parameters, settings=SETTINGS).query, limit=1000)
    found = {}
    for name, store in stores.items():
        with store.read() as transaction:
            hits = transaction.search(query)
            assert transaction.count((kind,), query.where) == len(hits), name
        found[name] = [(hit.version.logical_id, hit.position) for hit in hits]
    assert found["sqlite"] == found["memory"]
    assert found["postgresql"] == found["memory"]


@given(search=searches(), size=st.integers(1, 7))
@SLOW
def test_pages_forward_and_backward_make_up_the_whole(stores, search, size):
    kind, parameters = search
    whole = replace(parse_search((kind,), parameters, settings=SETTINGS).query, limit=1000)
    for name in ("memory", "sqlite", "postgresql"):
        with stores[name].read() as transaction:
            wanted = [hit.version.logical_id for hit in transaction.search(whole)]
            forward: list[str] = []
            page = transaction.search(replace(whole, limit=size))
            while page:
                forward += [hit.version.logical_id for hit in page]
                last = page[-1].position
                page = transaction.search(replace(whole, limit=size, after=last))
            assert forward == wanted, name
            if not wanted:
                continue
            backward: list[str] = wanted[-1:]
            page = transaction.search(replace(whole, limit=size, after=last, backward=True))
            while page:
                backward = [hit.version.logical_id for hit in page] + backward
                first = page[0].position
                page = transaction.search(replace(whole, limit=size, after=first, backward=True))
            assert backward == wanted, name


@pytest.mark.rule(195, "http#paging")
@given(
    changes=st.lists(
        st.tuples(st.sampled_from(("create", "delete", "touch")), st.integers(0, 19)), max_size=12
    ),
    sort=st.sampled_from(("", "birthdate", "-birthdate", "_id", "family,-_id")),
    size=st.integers(1, 4),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_stays_unchanged_is_on_exactly_one_page_whatever_others_write(
    stores, changes, sort, size
):
    for store in stores.values():
        _page_under_writes(store, list(changes), sort, size)


NUMBERS = count(1)


def _page_under_writes(store: Store, changes: list[tuple[str, int]], sort: str, size: int) -> None:
    mark = f"w{next(NUMBERS)}"

    def patient(number: int, birth: int) -> dict[str, object]:
        return {
            "resourceType": "Patient",
            "id": f"{mark}-{number}",
            "meta": {"tag": [{"code": mark}]},
            "birthDate": f"20{birth % 7:02}-01-01",
            "name": [{"family": "abc"[number % 3]}],
        }

    def put(number: int, *, delete: bool = False, birth: int = 0) -> None:
        resource = patient(number, birth)

        def work(transaction: Transaction) -> None:
            previous = transaction.current("Patient", f"{mark}-{number}")
            if delete and (previous is None or previous.deleted):
                return
            transaction.put(
                resource_type="Patient",
                logical_id=f"{mark}-{number}",
                previous=previous,
                last_updated=NOW,
                method="DELETE" if delete else "PUT",
                created=not delete,
                body=b"" if delete else serialise(resource),
                entries=frozenset() if delete else index(resource, CONTEXT),
            )

        store.write(work)

    for number in range(10):
        put(number, birth=number)
    parameters = (("_tag", mark), *([("_sort", sort)] if sort else []))
    query = replace(parse_search(("Patient",), parameters, settings=SETTINGS).query, limit=size)
    seen: list[str] = []
    changed: set[str] = set()
    while True:
        with store.read() as transaction:
            page = transaction.search(query)
        if not page:
            break
        seen += [hit.version.logical_id for hit in page]
        query = replace(query, after=page[-1].position)
        if changes:
            what, number = changes.pop()
            changed.add(f"{mark}-{number}")
            put(number, delete=what == "delete", birth=number + 3)
    for logical_id in (f"{mark}-{number}" for number in range(10)):
        if logical_id not in changed:
            assert seen.count(logical_id) == 1, logical_id
