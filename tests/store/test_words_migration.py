"""A database whose words were codes without a system gets them in one row for a resource, as they are written now."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from wording import ODD, filled, found, is_sound, resource, store_all

from fhir_server.store.checks import UnsafeDatabase
from fhir_server.store.open import open_store, prepare_database

BODIES = [
    *(
        resource("Patient", name, told, name=[{"family": "Knight Ångström"}])
        for name, (told, _) in ODD.items()
    ),
    resource("Patient", "7", name=[{"family": "Knight"}]),
    resource("Patient", "8"),
    resource("Slot", "9", "free", schedule={"reference": "Schedule/1"}),
]


@pytest.fixture
def old_database(new_database: Callable[[], str]) -> str:
    """A database of the revision before."""
    url = new_database()
    engine = filled(url, *BODIES)
    with engine.begin() as connection:
        for number, key, listed in connection.execute(sa.text("SELECT * FROM words")).all():
            for item in listed.split(" "):
                number, _, word = item.partition(":")
                if word:
                    connection.execute(
                        sa.text("INSERT INTO token (parameter, code, key, system) VALUES (:n, :w, :k, 0)"),
                        {"n": int(number), "w": word, "k": key},
                    )  # fmt: skip
        connection.execute(sa.text("DROP TABLE words"))
        connection.execute(sa.text("DROP TABLE IF EXISTS words_found"))
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0004'"))
    engine.dispose()
    return url


def test_words_are_moved_as_they_are_written(old_database: str) -> None:
    store = open_store(old_database)
    try:
        is_sound(store, *BODIES)
        for name, (_, values) in ODD.items():
            assert found(store, "Patient", ("_text", values[0])) == [name]
        assert found(store, "Patient", ("_content", "angstrom")) == list(ODD)
        assert found(store, "Patient", ("_text:missing", "true")) == ["7", "8"]
        store_all(store, resource("Patient", "1", "other"))
        assert found(store, "Patient", ("_text", "stop")) == []
        assert found(store, "Patient", ("_text", "other")) == ["1"]
        is_sound(store, *BODIES[1:])
    finally:
        store.close()


def test_an_sqlite_without_a_full_text_index_is_told_of(tmp_path: Path) -> None:
    def refuse(action: int, *_: object) -> int:
        return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_CREATE_VTABLE else sqlite3.SQLITE_OK

    def guard(connection: Any, _: object) -> None:
        connection.set_authorizer(refuse)

    sa.event.listen(sa.Engine, "connect", guard)
    try:
        with pytest.raises(UnsafeDatabase, match="FTS5"):
            prepare_database(f"sqlite:///{tmp_path}/x.sqlite")
    finally:
        sa.event.remove(sa.Engine, "connect", guard)
    prepare_database(f"sqlite:///{tmp_path}/x.sqlite")
