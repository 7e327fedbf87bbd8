"""Rows that wait until something asks for them: nobody can tell that they do (docs/decisions/0022 and 0023)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from test_turns import Loop
from writing import current
from writing import put as put_version

from fhir_server.search import expression as x
from fhir_server.search.entries import (
    IndexEntry,
    ReferenceEntry,
    StringEntry,
    TokenEntry,
    WordsEntry,
)
from fhir_server.search.expression import Query
from fhir_server.spec.errors import FhirError
from fhir_server.store import postgresql, sqlite_driver
from fhir_server.store.contract import (
    HistoryQuery,
    Recoded,
    Store,
    StoredVersion,
    Transaction,
)
from fhir_server.store.open import open_store
from fhir_server.store.rows import type_numbers
from fhir_server.store.schema import INSERT_ROW, system_number
from fhir_server.store.sqlite import SqliteStore

CODE, NAME, TO, TEXT = 2_000_001, 2_000_002, 2_000_003, 2_000_004


Put = Callable[..., StoredVersion]


@pytest.fixture(params=[False, True], ids=["found at once", "found later"])
def put(request: pytest.FixtureRequest) -> Put:
    """Puts a version, of a new resource with entries that are found at once or later."""
    return partial(put_version, later=request.param)


def entries_of(code: str) -> list[IndexEntry]:
    """Some of each kind of table, words among them."""
    return [
        TokenEntry(CODE, "urn:x", code),
        StringEntry(NAME, code, code),
        ReferenceEntry(TO, "Patient", code, "", ""),
        WordsEntry(TEXT, code),
    ]


KINDS: dict[str, Callable[[str], x.Leaf]] = {
    "token": lambda code: x.TokenMatch((CODE,), (x.Token("urn:x", code),)),
    "string": lambda code: x.StringMatch((NAME,), "exact", (code,)),
    "reference": lambda code: x.ReferenceMatch((TO,), (x.Target("Patient", code),)),
    "words": lambda code: x.WordMatch((TEXT,), (code,)),
}


def found(transaction: Transaction, code: str, kind: str = "token") -> list[str]:
    where = KINDS[kind](code)
    ids = [hit.version.logical_id for hit in transaction.search(Query(("Task",), where, (), 100))]
    assert transaction.count(("Task",), where) == len(ids)
    return ids


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_question_of_a_work_finds_what_it_has_put(
    store: Store, kind: str, put: Put
) -> None:
    def work(transaction: Transaction) -> None:
        put(transaction, "Task/1", entries_of("a"))
        assert found(transaction, "a", kind) == ["1"]

    store.write(work)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_work_puts_in_place_of_its_own_leaves_no_row(
    store: Store, kind: str, put: Put
) -> None:
    def work(transaction: Transaction) -> None:
        put(transaction, "Task/1", entries_of("a"))
        for before, after in ("ab", "ba", "ac"):
            put(
                transaction,
                "Task/1",
                entries_of(after),
                previous_entries=entries_of(before),
            )

    store.write(work)
    with store.read() as view:
        assert [found(view, code, kind) for code in "abc"] == [[], [], ["1"]]


def test_a_work_finds_what_it_has_put_by_every_kind_of_value(store: Store, put: Put) -> None:
    def work(transaction: Transaction) -> None:
        put(transaction, "Task/1", entries_of("a"))
        assert found(transaction, "a") == ["1"]
        put(transaction, "Task/2", entries_of("a"))
        first = put(transaction, "Task/1", entries_of("b"))
        assert found(transaction, "a") == ["2"]
        assert found(transaction, "b") == ["1"]
        put(transaction, "Task/2", method="DELETE")
        assert found(transaction, "a") == []
        put(transaction, "Task/2", entries_of("b"))
        assert found(transaction, "b") == ["1", "2"]
        assert [link.source_key for link in transaction.links_to([("Patient", "b")], [TO], 9)] == [
            first.key,
            first.key + 1,
        ]
        assert transaction.history_total(HistoryQuery("Task")) == 5
        assert transaction.by_key([first.key])[first.key].version_id == 2
        assert transaction.stray_rows() == {}

    store.write(work)
    with store.read() as view:
        assert view.stray_rows() == {}
        for name in ("1", "2"):
            version = view.current("Task", name)
            assert version is not None
            assert view.index_difference(version.key, frozenset(entries_of("b"))) == (0, 0)


def test_a_code_that_is_changed_alone_is_changed_where_it_waits(store: Store, put: Put) -> None:
    def work(transaction: Transaction) -> None:
        first = put(transaction, "Task/1", entries_of("a"))
        transaction.put(
            resource_type="Task",
            logical_id="1",
            previous=first,
            last_updated=first.last_updated + 1000,
            method="PUT",
            created=False,
            body=b"2",
            entries=Recoded(CODE, "a", "b"),
        )

    store.write(work)
    with store.read() as view:
        assert [found(view, code) for code in "ab"] == [[], ["1"]]


def test_what_a_refused_work_has_put_is_not_found_by_the_next(store: Store, put: Put) -> None:
    def refused(transaction: Transaction) -> None:
        put(transaction, "Task/1", entries_of("a"))
        raise ValueError

    with pytest.raises(ValueError):
        store.write(refused)
    store.write(lambda transaction: put(transaction, "Task/2", entries_of("a")))
    with store.read() as view:
        assert found(view, "a") == ["2"]


def test_a_work_that_puts_much_leaves_it_all(
    store: Store, monkeypatch: pytest.MonkeyPatch, put: Put
) -> None:
    for driver in (sqlite_driver, postgresql):
        monkeypatch.setattr(driver, "_MOST_WAITING", 7)
    monkeypatch.setattr(sqlite_driver, "_MOST_LATER", 3)

    def work(transaction: Transaction) -> None:
        for number in range(40):
            put(transaction, f"Task/{number}", entries_of("ab"[number % 2]))

    store.write(work)
    with store.read() as view:
        assert len(found(view, "a")) == len(found(view, "b", "words")) == 20
        assert view.stray_rows() == {}


@pytest.fixture
def sqlite(empty_database: Callable[[str], str]) -> Iterator[SqliteStore]:
    opened = open_store(empty_database("sqlite"))
    assert isinstance(opened, SqliteStore)
    yield opened
    opened.close()


def outcomes(
    store: SqliteStore, works: list[Callable[[Transaction], Any]]
) -> list[BaseException | None]:
    """What each work of one turn was refused with."""
    loop = Loop()
    promises = [store.submit(work, loop.soon) for work in works]
    loop.run_until(promises)
    return [promise.exception(5) for promise in promises]


def putting(put: Put, name: str, code: str) -> Callable[[Transaction], Any]:
    return lambda transaction: put(transaction, f"Task/{name}", entries_of(code))


def test_a_work_finds_what_another_of_its_turn_has_put(sqlite: SqliteStore, put: Put) -> None:
    loop = Loop()
    asked: list[list[str]] = []

    def ask(transaction: Transaction) -> None:
        asked.append(found(transaction, "a"))

    def refused(transaction: Transaction) -> None:
        ask(transaction)
        raise ValueError

    works = [work for name in ("1", "2") for work in (putting(put, name, "a"), refused, ask)]
    loop.run_until([sqlite.submit(work, loop.soon) for work in works])
    # A refusal that has changed nothing does not have the turn run again, though rows were written for its question.
    assert asked == [["1"], ["1"], ["1", "2"], ["1", "2"]]


STRAYS = {
    "token": (CODE, "b", None, system_number("urn:x")),
    "string": (NAME, "b", None, "b"),
    "reference": (TO, "b", None, type_numbers()["Patient"], "", ""),
}


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("asks", [False, True], ids=["at the end", "for a question"])
@pytest.mark.parametrize("table", STRAYS)
def test_a_row_that_cannot_be_written_refuses_its_own_work_alone(
    sqlite: SqliteStore, table: str, asks: bool, place: int, put: Put
) -> None:
    """Such as one that a fault of the disk has left behind; whichever work has it written with its own question."""
    first = sqlite.write(putting(put, "0", "a"))
    connection = apsw.Connection(sqlite.path)
    stray = [first.key + 1 + place if value is None else value for value in STRAYS[table]]
    connection.execute(INSERT_ROW[table], stray)
    connection.close()
    number = STRAYS[table][0]
    alone = [entry for entry in entries_of("b") if entry[0] == number]
    works = [putting(put, "1", "c"), putting(put, "2", "c")]
    works.insert(place, lambda transaction: put(transaction, "Task/3", alone))
    if asks:
        works.insert(place + 1, lambda transaction: found(transaction, "c", table))
    refused = [isinstance(error, FhirError) for error in outcomes(sqlite, works)]
    assert refused == [work == place for work in range(len(works))]
    with sqlite.read() as view:
        for kind in KINDS:
            assert found(view, "c", kind) == ["1", "2"]
    assert current(sqlite, "Task/3") is None


class Unfindable:
    def __iter__(self) -> Iterator[IndexEntry]:
        raise ZeroDivisionError


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("asks", [False, True], ids=["at the end", "for a question"])
def test_entries_that_cannot_be_found_refuse_their_own_work_alone(
    sqlite: SqliteStore, asks: bool, place: int
) -> None:
    later = partial(put_version, later=True)
    works = [putting(later, "1", "c"), putting(later, "2", "c")]
    works.insert(place, lambda transaction: later(transaction, "Task/3", Unfindable()))
    if asks:
        works.insert(place + 1, lambda transaction: found(transaction, "c"))
    refused = [isinstance(error, ZeroDivisionError) for error in outcomes(sqlite, works)]
    assert refused == [work == place for work in range(len(works))]
    with sqlite.read() as view:
        assert found(view, "c") == ["1", "2"]
        assert view.stray_rows() == {}
    assert current(sqlite, "Task/3") is None


def reading(version_id: int) -> Callable[[Transaction], Any]:
    def read(transaction: Transaction) -> None:
        version = transaction.current("Task", "1")
        history = transaction.history(HistoryQuery("Task", "1", limit=9))
        assert version == history[0].version
        assert version.version_id == len(history) == version_id

    return read


def test_a_work_reads_what_another_of_its_turn_has_put(sqlite: SqliteStore, put: Put) -> None:
    first, second = putting(put, "1", "a"), putting(put, "1", "b")
    works = [first, reading(1), second, putting(put, "2", "b"), reading(2)]
    assert outcomes(sqlite, works) == [None] * 5


ACTS = some.lists(
    some.tuples(
        some.sampled_from(("put", "delete", "ask")),
        some.sampled_from(("1", "2", "3")),
        some.sampled_from("abc"),
    ),
    max_size=12,
)


EXAMPLES = count(1)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(some.lists(ACTS, max_size=4))
def test_whatever_is_put_and_asked_in_whatever_order_the_answers_are_those_of_a_plain_list(
    store: Store, put: Put, works: list[list[tuple[str, str, str]]]
) -> None:
    known: dict[str, str] = {}
    # Resources of each example's own, as only new ones have entries that are found later.
    example = next(EXAMPLES)

    def clear(transaction: Transaction) -> None:
        for code in "abc":
            for name in found(transaction, code):
                put(transaction, f"Task/{name}", method="DELETE")

    store.write(clear)
    for acts in works:

        def work(transaction: Transaction, acts: Any = acts) -> None:
            for act, number, code in acts:
                name = f"{example}-{number}"
                if act == "put":
                    put(transaction, f"Task/{name}", entries_of(code))
                    known[name] = code
                elif act == "delete" and known.pop(name, None):
                    put(transaction, f"Task/{name}", method="DELETE")
                elif act == "ask":
                    wanted = sorted(item for item, held in known.items() if held == code)
                    assert sorted(found(transaction, code)) == wanted

        store.write(work)
        with store.read() as view:
            for code in "abc":
                wanted = sorted(item for item, held in known.items() if held == code)
                assert sorted(found(view, code)) == wanted
            assert view.stray_rows() == {}
