"""The words of resources are found as they are, on every store (https://hl7.org/fhir/R4/search.html#content)."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wording import ODD, asked, found, indexed, is_sound, resource, store_all
from writing import put, write

from fhir_server.search.extraction import entries
from fhir_server.search.folding import fold
from fhir_server.spec import errors
from fhir_server.store.bulk import batch_of, write_postgresql, write_sqlite
from fhir_server.store.contract import Store, Transaction
from fhir_server.store.open import open_store

NOWHERE = [
    "sto", "top", "an", "sta", "sta*", "4*", "zuric", "l" * 63, "l" * 65, "m" * 64, "m" * 65, "m" * 100_000, "slash",
    "stop knee", "日本",
]  # fmt: skip


def test_a_word_is_found_whatever_is_in_it(store: Store) -> None:
    bodies = [resource("Patient", name, told) for name, (told, _) in ODD.items()]
    store_all(store, *bodies)
    for name, (_, values) in ODD.items():
        for value in values:
            assert found(store, "Patient", ("_text", value)) == [name], value
    for value in NOWHERE:
        assert found(store, "Patient", ("_text", value)) == [], value
    assert found(store, "Patient", ("_text", "stop,score,and not")) == ["1", "2", "3"]
    is_sound(store, *bodies)


@given(st.text())
def test_a_word_has_no_ascii_but_small_letters_and_digits(text: str) -> None:
    """What the full-text index takes for a word, and what needs no quoting there."""
    for word in fold(text).split():
        plain = "".join(filter(str.isascii, word))
        assert plain == "" or (plain.isalnum() and plain == plain.lower())


def test_what_is_written_anew_or_deleted_is_found_by_its_newest_words(store: Store) -> None:
    first, second = resource("Patient", "1", "knee pain"), resource("Patient", "1", "knee better")
    store_all(store, first, resource("Patient", "2", "pain"), second)
    assert found(store, "Patient", ("_text", "knee")) == ["1"]
    assert found(store, "Patient", ("_text", "better")) == ["1"]
    assert found(store, "Patient", ("_text", "pain")) == ["2"]
    is_sound(store, second)
    write(store, "Patient/1", method="DELETE")
    assert found(store, "Patient", ("_text", "knee")) == []
    store_all(store, first)
    assert found(store, "Patient", ("_text", "pain")) == ["1", "2"]
    is_sound(store, first)


def test_text_and_content_are_told_apart(store: Store) -> None:
    named = {"name": [{"family": "Knight"}]}
    bodies = [
        resource("Patient", "1", "lady", **named),
        resource("Patient", "2", **named),
        resource("Patient", "3", "knight"),
        resource("Patient", "4"),
        resource("Patient", "5", "!"),
        resource("Bundle", "6", type="collection", identifier={"value": "lady"}),
        resource("Parameters", "7", parameter=[{"name": "x", "valueString": "lady"}]),
        resource("Binary", "8", contentType="text/lady", data="bGFkeQ=="),
    ]
    store_all(store, *bodies)
    assert found(store, "Patient", ("_text", "lady")) == ["1"]
    assert found(store, "Patient", ("_text", "knight")) == ["3"]
    assert found(store, "Patient", ("_content", "knight")) == ["1", "2", "3"]
    assert found(store, "Patient", ("_content", "lady knight")) == ["1"]
    assert found(store, "Patient", ("_text:missing", "true")) == ["2", "4", "5"]
    assert found(store, "Patient", ("_text:missing", "false")) == ["1", "3"]
    assert found(store, "Patient", ("_content:missing", "true")) == ["4", "5"]
    assert found(store, "Patient", ("_content:missing", "false")) == ["1", "2", "3"]
    assert found(store, "Bundle", ("_content", "lady")) == ["6"]
    assert found(store, "Parameters", ("_content", "lady")) == ["7"]
    assert found(store, "Binary", ("_content:missing", "true")) == ["8"]
    assert asked(store, ("Patient", "Bundle"), ("_content", "lady")) == ["1", "6"]
    is_sound(store, *bodies)


def test_words_go_with_other_parameters_orders_and_chains(store: Store) -> None:
    people = [resource("Patient", "1", "anxious"), resource("Patient", "2", "calm")]
    orders = [
        resource(
            "ServiceRequest", f"{number}", "knee" if number % 2 else "hip",
            status="active" if number < 7 else "draft", authoredOn=f"2026-01-{30 - number}",
            subject={"reference": f"Patient/{1 + number % 3 % 2}"},
        )
        for number in range(3, 11)
    ]  # fmt: skip
    store_all(store, *people, *orders)

    def hits(*query: tuple[str, str]) -> list[str]:
        return found(store, "ServiceRequest", *query)

    assert hits(("_text", "knee"), ("status", "active")) == ["3", "5"]
    assert hits(("_text", "knee"), ("status:not", "active")) == ["7", "9"]
    assert hits(("_text", "knee"), ("_sort", "authored")) == ["9", "7", "5", "3"]
    assert hits(("_text", "knee,hip"), ("_sort", "-authored"), ("_count", "9")) == [
        "3", "4", "5", "6", "7", "8", "9", "10"
    ]  # fmt: skip
    assert hits(("subject:Patient._text", "calm"), ("_text", "hip")) == ["4", "10"]
    assert found(store, "Patient", ("_has:ServiceRequest:subject:_text", "hip")) == ["1", "2"]
    assert found(store, "Patient", ("_has:ServiceRequest:subject:_text", "back")) == []
    assert asked(store, ("Patient", "ServiceRequest"), ("_text", "anxious,hip")) == [
        "1", "4", "6", "8", "10"
    ]  # fmt: skip


def test_a_refused_work_in_a_group_leaves_no_words(store: Store) -> None:
    """The calls are queued while the store is busy with one, so that SQLite commits them as a group."""
    before = resource("Patient", "0", "before")
    store_all(store, before)
    busy = threading.Event()
    futures = [store.submit(lambda _: busy.wait(0.5))]

    def work(number: int, transaction: Transaction) -> None:
        put(transaction, f"Patient/{number}", indexed(resource("Patient", "1", f"word w{number}")))
        put(transaction, "Patient/0", indexed(resource("Patient", "0", f"before w{number}")))
        if number % 2:
            raise errors.conflict("no")

    futures += [store.submit(lambda t, n=number: work(n, t)) for number in range(1, 7)]  # type: ignore[misc] # bound early
    busy.set()
    for future in futures:
        with contextlib.suppress(errors.FhirError):
            future.result(10)
    assert sorted(found(store, "Patient", ("_text", "word"))) == ["2", "4", "6"]
    assert found(store, "Patient", ("_text", "w3")) == []
    assert found(store, "Patient", ("_text", "before")) == ["0"]
    is_sound(store)


def test_words_that_another_setting_left_are_replaced(store: Store) -> None:
    body = resource("Patient", "1", name=[{"family": "Knight"}])
    newer = resource("Patient", "1", "lady")
    store_all(store, body)

    def change(transaction: Transaction) -> None:
        version = transaction.current("Patient", "1")
        transaction.put(
            resource_type="Patient", logical_id="1", previous=version, last_updated=transaction.floor, method="PUT",
            created=False, body=b"2", entries=entries(newer), previous_entries=entries(body),
        )  # fmt: skip

    store.write(change)
    assert found(store, "Patient", ("_text", "lady")) == ["1"]
    assert found(store, "Patient", ("_content", "knight")) == []


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_was_filled_is_found_by_its_words(
    kind: str, tmp_path: Any, empty_database: Callable[[str], str]
) -> None:
    path = tmp_path / "filled.sqlite"
    url = f"sqlite:///{path}" if kind == "sqlite" else empty_database(kind)
    bodies = [resource("Patient", f"{number}", f"word w{number}") for number in range(1, 6)]
    made = (batch_of([(body, indexed(body))], int(body["id"]), 1_000_000) for body in bodies)
    (write_sqlite if kind == "sqlite" else write_postgresql)(url, made)
    store = open_store(url)
    try:
        assert found(store, "Patient", ("_text", "word")) == ["1", "2", "3", "4", "5"]
        changed = resource("Patient", "2", "word other")
        store_all(store, changed)
        assert found(store, "Patient", ("_text", "w2")) == []
        assert found(store, "Patient", ("_text", "other")) == ["2"]
        is_sound(store, changed)
    finally:
        store.close()
