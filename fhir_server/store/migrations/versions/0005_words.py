"""The words of _text and _content in one row for a resource, with a full-text index"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from fhir_server.search.parameters import parameter
from fhir_server.spec.definitions import resource_types
from fhir_server.store.checks import UnsafeDatabase

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# A token is what stands between blanks: the words are folded, so that they have no other punctuation than this colon.
_FULL_TEXT = """
    CREATE VIRTUAL TABLE words_found USING fts5(
        listed, content='words', content_rowid='key', columnsize=0, detail=none, tokenize="ascii tokenchars ':'"
    )
"""
_LISTS = {
    "sqlite": "listed_words(parameter, code)",
    "postgresql": "string_agg(parameter || ':' || code, ' ' ORDER BY parameter, code COLLATE \"C\")",
}


class _ListedWords:
    """SQLite's aggregate of the words of a resource."""

    def __init__(self) -> None:
        self._words: list[tuple[int, str]] = []

    def step(self, number: int, word: str) -> None:
        self._words.append((number, word))

    def finalize(self) -> str:
        return " ".join([f"{number}:{word}" for number, word in sorted(self._words)])


def upgrade() -> None:
    """Make the table and move the words there that were codes without a system."""
    op.create_table(
        "words",
        sa.Column("parameter", sa.Integer(), nullable=False),
        sa.Column("key", _KEY, primary_key=True, autoincrement=False),
        sa.Column("listed", _TEXT, nullable=False),
    )
    connection = op.get_bind()
    dialect = connection.dialect.name
    if dialect == "sqlite":
        driver: Any = connection.connection.dbapi_connection
        driver.create_aggregate("listed_words", 2, _ListedWords)
    numbers = ", ".join(map(str, _numbers()))
    words = f"FROM token WHERE parameter IN ({numbers})"
    connection.exec_driver_sql(
        f"INSERT INTO words (parameter, key, listed) SELECT MIN(parameter), key, {_LISTS[dialect]}"
        f" FROM (SELECT parameter, key, code {words} UNION ALL SELECT DISTINCT parameter, key, '' {words}) AS moved"
        " GROUP BY key"
    )
    connection.exec_driver_sql(f"DELETE {words}")
    if dialect == "sqlite":
        _make_full_text(connection)
    else:
        # What waits to be put into the index is read by every search, so that it is kept small.
        op.execute(
            "CREATE INDEX words_listed ON words USING gin (string_to_array(listed, ' '))"
            " WITH (gin_pending_list_limit = 256)"
        )


def _numbers() -> list[int]:
    found = [parameter(name, code) for name in resource_types() for code in ("_text", "_content")]
    return sorted(item.number for item in found if item is not None)


def _make_full_text(connection: sa.Connection) -> None:
    try:
        connection.exec_driver_sql(_FULL_TEXT)
    except sa.exc.DatabaseError as error:
        raise UnsafeDatabase(
            f"The SQLite library of this Python has no full-text index FTS5 ({error.orig}); use a Python that has it,"
            " or PostgreSQL"
        ) from None
    connection.exec_driver_sql("INSERT INTO words_found(words_found) VALUES ('rebuild')")


def downgrade() -> None:
    """Going back is not offered: a newer schema may hold what an older one cannot."""
    raise NotImplementedError("Restore a backup to go back to an older schema")
