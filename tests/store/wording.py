"""Resources with words in every kind of store, and searches for them."""

from __future__ import annotations

from typing import Any

import apsw
import sqlalchemy as sa
from writing import write

from fhir_server.search.entries import IndexEntries
from fhir_server.search.extraction import entries
from fhir_server.search.query import SearchSettings, parse_search
from fhir_server.store.contract import Store
from fhir_server.store.open import open_store

SETTINGS = SearchSettings(handling="strict", content=True)
LONGEST = "l" * 64


def resource(kind: str, logical_id: str, told: str | None = None, **content: Any) -> dict[str, Any]:
    text = {}
    if told is not None:
        div = f"<div xmlns='http://www.w3.org/1999/xhtml'>{told}</div>"
        text = {"text": {"status": "generated", "div": div}}
    return {"resourceType": kind, "id": logical_id, **text, **content}


def indexed(body: dict[str, Any]) -> IndexEntries:
    return entries(body, content=True)


def store_all(store: Store, *bodies: dict[str, Any]) -> None:
    for body in bodies:
        write(store, f"{body['resourceType']}/{body['id']}", indexed(body))


def filled(url: str, *bodies: dict[str, Any]) -> sa.Engine:
    """An engine of the database at that URL, which gets the resources."""
    store = open_store(url)
    store_all(store, *bodies)
    store.close()
    return sa.create_engine(url)


def asked(store: Store, kinds: tuple[str, ...], *query: tuple[str, str]) -> list[str]:
    search = parse_search(kinds, query, settings=SETTINGS).query
    with store.read() as view:
        found = [hit.version.logical_id for hit in view.search(search)]
        assert view.count(search.resource_types, search.where) == len(found)
    return found


def found(store: Store, kind: str, *query: tuple[str, str]) -> list[str]:
    """The ids, which are the same when words are looked up and when one resource after the other is tested."""
    everything = ",".join(f"{number}" for number in range(12))
    alone = asked(store, (kind,), *query)
    assert asked(store, (kind,), ("_id", everything), *query) == alone
    return alone


def is_sound(store: Store, *bodies: dict[str, Any]) -> None:
    """The rows are those of the resources, and SQLite's full-text index is that of the rows."""
    with store.read() as view:
        for body in bodies:
            version = view.current(body["resourceType"], body["id"])
            assert version is not None
            assert view.index_difference(version.key, indexed(body)) == (0, 0)
        assert view.stray_rows() == {}
    path = getattr(store, "path", None)
    if path is not None:
        check_full_text(path)


def check_full_text(path: str) -> None:
    connection = apsw.Connection(path)
    connection.execute(
        "INSERT INTO words_found(words_found, rank) VALUES ('integrity-check', 1)"
    ).fetchall()
    connection.close()


ODD = {
    "1": ("Mr O'Brien said &quot;stop&quot;", ["o'brien", "OBRIEN", '"stop"', "stop", "mr stop"]),
    "2": ("AND NOT NEAR OR knee", ["AND", "not", "near", "or", "AND knee", "NEAR(and knee)"]),
    "3": ("star* ca:ret c^d 50% under_score e+f", ["star*", "ca:ret", "c^d", "50%", "under_score", "score", "e+f"]),
    "4": ("Zürich naïve Straße ﬃ ½ 日本語 😀 Ωmega", ["zurich", "NAIVE", "strasse", "ffi", "日本語", "😀", "ωmega"]),
    "5": (f"{LONGEST} {'m' * 65}", [LONGEST, LONGEST.upper()]),
    "6": ("back\\slash d-e/f {g} [h] (i) it's", ["backslash", "d e", "f", "g", "h", "i", "its"]),
}  # fmt: skip
