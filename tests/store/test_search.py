"""Every kind of expression, order and page, on every store (https://hl7.org/fhir/R4/search.html)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from numbering import aimed_query, entries_of
from writing import NOON, SECOND, put

from fhir_server.search import entries as e
from fhir_server.search import expression as x
from fhir_server.search.expression import Expression, Query, Range, SortKey
from fhir_server.store.contract import Hit, Store, Transaction

CODE, NAME, SUBJECT, WHEN, SIZE, WEIGHT, URL = range(1, 8)
KG = ("http://unitsofmeasure.org", "kg", "kilo")

CONTENT: dict[str, list[e.IndexEntry]] = {
    "Task/1": [
        e.TokenEntry(CODE, "http://s", "a"),
        e.StringEntry(NAME, "smith", "Smith"),
        e.ReferenceEntry(SUBJECT, "Patient", "p", "", ""),
        e.DateEntry(WHEN, 10, 20),
        e.NumberEntry(SIZE, 1.0, 1.0),
        e.QuantityEntry(WEIGHT, 69.5, 70.5, *KG),
        e.UriEntry(URL, "http://x/a", "1"),
    ],
    "Task/2": [
        e.TokenEntry(CODE, "", "a"),
        e.TokenEntry(CODE, "http://t", "b"),
        e.StringEntry(NAME, "smithson", "Smithson"),
        e.StringEntry(NAME, "ann", "Ann"),
        e.ReferenceEntry(SUBJECT, "", "", "http://far/Patient/p", "7"),
        e.DateEntry(WHEN, 20, 30),
        e.DateEntry(WHEN, 2, 4),
        e.NumberEntry(SIZE, 2.0, 2.0),
        e.QuantityEntry(WEIGHT, 69.5, 70.5, "", "", "kilo"),
        e.UriEntry(URL, "http://x/a/b", ""),
    ],
    "Task/3": [
        e.TokenEntry(CODE, "http://s", "A"),
        e.StringEntry(NAME, "blacksmith", "Blacksmith"),
        e.ReferenceEntry(SUBJECT, "Group", "p", "", "2"),
        e.DateEntry(WHEN, 12, 15),
        e.UriEntry(URL, "http://x/ab", "1"),
    ],
    "Task/4": [],
    "Patient/p": [e.StringEntry(NAME, "ann", "Ann"), e.TokenEntry(CODE, "http://s", "a")],
    "Patient/q": [e.StringEntry(NAME, "bob", "Bob")],
}


@pytest.fixture
def filled(store: Store) -> Store:
    def fill(transaction: Transaction) -> None:
        for number, (identity, entries) in enumerate(CONTENT.items()):
            moment = NOON + number * SECOND
            own = entries_of(identity.partition("/")[0], entries)
            put(transaction, identity, own, at=moment, above_floor=False)
        put(transaction, "Task/gone", entries_of("Task", CONTENT["Task/1"]))
        put(transaction, "Task/gone", method="DELETE")
        put(transaction, "Slot/changed", entries_of("Slot", [e.TokenEntry(CODE, "", "old")]))
        put(transaction, "Slot/changed", entries_of("Slot", [e.TokenEntry(CODE, "", "new")]))

    store.write(fill)
    return store


def found(store: Store, query: Query) -> list[str]:
    query = aimed_query(query)
    with store.read() as view:
        hits = view.search(query)
        assert view.count(query.resource_types, query.where) == len(hits)
    return [hit.version.logical_id for hit in hits]


def token(system: str | None, code: str | None) -> x.TokenMatch:
    return x.TokenMatch((CODE,), (x.Token(system, code),))


def when(prefix: x.Prefix, low: int, high: int) -> x.DateMatch:
    return x.DateMatch((WHEN,), (Range(prefix, low, high),))


def size(prefix: x.Prefix, low: float, high: float) -> x.NumberMatch:
    return x.NumberMatch((SIZE,), (Range(prefix, low, high),))


def weight(system: str | None, code: str | None) -> x.QuantityMatch:
    return x.QuantityMatch((WEIGHT,), (x.Quantity(Range("eq", 69.5, 70.5), system, code),))


def uri(mode: Any, value: str, version: str = "") -> x.UriMatch:
    return x.UriMatch((URL,), mode, (value,), version)


def to(*target: str, **more: str) -> x.ReferenceMatch:
    return x.ReferenceMatch((SUBJECT,), (x.Target(*target, **more),))


CASES: dict[str, tuple[Expression, str]] = {
    "everything": (x.And(()), "1234"),
    "nothing": (x.Or(()), ""),
    "id": (x.IdIn(("3", "1", "gone", "p")), "13"),
    "code of any system": (token(None, "a"), "12"),
    "code of no system": (token("", "a"), "2"),
    "code of a system": (token("http://s", "a"), "1"),
    "any code of a system": (token("http://s", None), "13"),
    "any code": (token(None, None), "123"),
    "one of two codes": (
        x.TokenMatch((CODE,), (x.Token(None, "b"), x.Token("http://s", "A"))), "23"
    ),
    "a parameter of another number": (x.TokenMatch((CODE + 100,), (x.Token(None, "a"),)), ""),
    "one of two parameters": (x.TokenMatch((CODE + 100, CODE), (x.Token(None, "a"),)), "12"),
    "string starts": (x.StringMatch((NAME,), "starts", ("smith",)), "12"),
    "string contains": (x.StringMatch((NAME,), "contains", ("smith",)), "123"),
    "string exact": (x.StringMatch((NAME,), "exact", ("Smith",)), "1"),
    "string exact minds case": (x.StringMatch((NAME,), "exact", ("smith",)), ""),
    "one of two strings": (x.StringMatch((NAME,), "starts", ("ann", "bl")), "23"),
    "a wildcard is a character": (x.StringMatch((NAME,), "contains", ("s%h", "s_ith")), ""),
    "reference": (to("Patient", "p"), "1"),
    "reference to any type": (x.ReferenceMatch((SUBJECT,), (x.Target(None, "p"),)), "13"),
    "reference elsewhere": (to("", "", url="http://far/Patient/p"), "2"),
    "reference to a version": (to("Group", "p", version="2"), "3"),
    "reference to another version": (to("Group", "p", version="1"), ""),
    "date eq": (when("eq", 10, 20), "13"),
    "date ne": (when("ne", 10, 20), "2"),
    "date gt": (when("gt", 10, 20), "2"),
    "date lt": (when("lt", 12, 15), "12"),
    "date ge": (when("ge", 12, 15), "123"),
    "date le": (when("le", 10, 15), "23"),
    "date sa": (when("sa", 15, 20), "2"),
    "date eb": (when("eb", 15, 16), "23"),
    "date ap": (when("ap", 14, 16), "13"),
    "number eq": (size("eq", 0.5, 1.5), "1"),
    "number gt": (size("gt", 1.0, 1.0), "2"),
    "quantity": (weight(None, None), "12"),
    "quantity by unit": (weight(None, "kilo"), "12"),
    "quantity by code of any system": (weight(None, "kg"), "1"),
    "quantity by code of a system": (weight(KG[0], "kg"), "1"),
    "quantity of no system": (weight("", None), "2"),
    "uri": (uri("exact", "http://x/a"), "1"),
    "uri below": (uri("below", "http://x/a"), "12"),
    "uri above": (uri("above", "http://x/a/b"), "12"),
    "uri of a version": (uri("below", "http://x", "1"), "13"),
    "present": (x.Present("number", (SIZE,)), "12"),
    "missing": (x.Not(x.Present("number", (SIZE,))), "34"),
    "not": (x.Not(token(None, "a")), "34"),
    "last updated": (
        x.LastUpdated((Range("ge", NOON + 2 * SECOND, NOON + 2 * SECOND),)), "34"
    ),
    "and": (x.And((token(None, "a"), when("gt", 10, 20), to("", "", url="http://far/Patient/p"))), "2"),
    "or": (x.Or((token(None, "A"), size("eq", 2.0, 2.0))), "23"),
    "or with what cannot start": (x.Or((token(None, "A"), x.Not(token(None, None)))), "34"),
    "and of nots": (x.And((x.Not(token(None, "a")), x.Not(token(None, "A")))), "4"),
    "chain": (x.Chain((SUBJECT,), "Patient", x.StringMatch((NAME,), "starts", ("ann",))), "1"),
    "chain by id": (x.Chain((SUBJECT,), "Patient", x.IdIn(("p",))), "1"),
    "chain to another type": (x.Chain((SUBJECT,), "Group", x.And(())), ""),
    "chain through a not": (x.Chain((SUBJECT,), "Patient", x.Not(token(None, "zzz"))), "1"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_expression_finds(filled: Store, name: str) -> None:
    expression, ids = CASES[name]
    assert found(filled, Query(("Task",), expression)) == list(ids)


@pytest.mark.parametrize("inner", [x.And(()), token(None, "a"), x.IdIn(("1",))])
def test_has_finds_what_is_referred_to(filled: Store, inner: Expression) -> None:
    assert found(filled, Query(("Patient",), x.Has("Task", (SUBJECT,), inner))) == ["p"]
    assert found(filled, Query(("Patient",), x.Has("Slot", (SUBJECT,), inner))) == []


def test_several_types_are_searched_at_once(filled: Store) -> None:
    query = Query(("Task", "Patient"), token("http://s", "a"))
    assert found(filled, query) == ["1", "p"]
    assert found(filled, replace(query, resource_types=("Task", "Patient", "Task"))) == ["1", "p"]


def test_only_the_newest_version_is_found(filled: Store) -> None:
    assert found(filled, Query(("Slot",), token(None, "old"))) == []
    assert found(filled, Query(("Slot",), token(None, "new"))) == ["changed"]


ORDERS: list[tuple[tuple[SortKey, ...], str]] = [
    ((), "1234"),
    ((SortKey("token", (CODE,), False),), "3124"),
    ((SortKey("token", (CODE,), True),), "2134"),
    ((SortKey("string", (NAME,), False),), "2314"),
    ((SortKey("string", (NAME,), True),), "2134"),
    ((SortKey("date", (WHEN,), False),), "2134"),
    ((SortKey("date", (WHEN,), True),), "2134"),
    ((SortKey("number", (SIZE,), False),), "1234"),
    ((SortKey("number", (SIZE,), True),), "2143"),
    ((SortKey("quantity", (WEIGHT,), False),), "1234"),
    ((SortKey("reference", (SUBJECT,), False),), "2134"),
    ((SortKey("uri", (URL,), True),), "3214"),
    ((SortKey("last-updated", (), True),), "4321"),
    ((SortKey("id", (), True),), "4321"),
    ((SortKey("number", (SIZE,), True), SortKey("id", (), True)), "2143"),
    ((SortKey("quantity", (WEIGHT,), False), SortKey("last-updated", (), True)), "2143"),
]


@pytest.mark.parametrize(("sort", "ids"), ORDERS)
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_pages_follow_the_order_without_gaps_or_repeats(
    filled: Store, sort: tuple[SortKey, ...], ids: str, size: int
) -> None:
    query = aimed_query(Query(("Task",), x.And(()), sort, size))
    pages: list[list[Hit]] = []
    with filled.read() as view:
        while page := view.search(query):
            pages.append(page)
            query = replace(query, after=page[-1].position)
    assert [hit.version.logical_id for page in pages for hit in page] == list(ids)
    assert all(len(page) == size for page in pages[:-1])


def test_a_page_goes_on_where_the_last_one_ended_whatever_was_written_since(filled: Store) -> None:
    query = Query(("Task",), x.And(()), (SortKey("id", (), False),), 2)
    with filled.read() as view:
        first = view.search(query)

    def change(transaction: Transaction) -> None:
        put(transaction, "Task/1", method="DELETE")
        put(transaction, "Task/0")
        put(transaction, "Task/25")

    filled.write(change)
    with filled.read() as view:
        rest = view.search(replace(query, limit=10, after=first[-1].position))
    assert [hit.version.logical_id for hit in rest] == ["25", "3", "4"]


def test_a_hit_holds_the_version_that_is_read(filled: Store) -> None:
    with filled.read() as view:
        (hit,) = view.search(Query(("Task",), x.IdIn(("1",))))
        assert hit.version == view.current("Task", "1")
        assert hit.position == (hit.version.key,)


def test_hundreds_of_codes_are_one_search(filled: Store) -> None:
    tokens = tuple(x.Token(None, code) for code in ("b", *(f"c{number}" for number in range(600))))
    assert found(filled, Query(("Task",), x.TokenMatch((CODE,), tokens))) == ["2"]
