"""The tables: resources with their versions, and an index table for each kind of search parameter.

The same on SQLite and PostgreSQL. Loaded where a database is migrated or a column's type asked for, since SQLAlchemy
takes a good part of a start.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeEngine

from fhir_server.store.schema import INDEX_COLUMNS, UNIQUE

METADATA = MetaData()

# SQLite gives an INTEGER PRIMARY KEY the next number by itself; BIGINT it would not.
_KEY = BigInteger().with_variant(Integer(), "sqlite")
# Keys compare byte by byte: prefix ranges work, and the order is that of SQLite's and Python's code points.
_TEXT = Text().with_variant(Text(collation="C"), "postgresql")

RESOURCE = Table(
    "resource",
    METADATA,
    Column("key", _KEY, primary_key=True, autoincrement=True),
    Column("type", SmallInteger, nullable=False),
    Column("logical_id", _TEXT, nullable=False),
    Column("version_id", Integer, nullable=False),
    Column("last_updated", BigInteger, nullable=False),
    Column("deleted", SmallInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    UniqueConstraint("type", "logical_id", name="resource_identity"),
    Index("resource_type", "type", "deleted", "key"),
    Index("resource_updated", "type", "last_updated", "key"),
)

VERSION = Table(
    "version",
    METADATA,
    Column("seq", _KEY, primary_key=True, autoincrement=True),
    Column("key", BigInteger, nullable=False),
    Column("type", SmallInteger, nullable=False),
    Column("logical_id", _TEXT, nullable=False),
    Column("version_id", Integer, nullable=False),
    Column("last_updated", BigInteger, nullable=False),
    Column("method", SmallInteger, nullable=False),
    Column("created", SmallInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("key", "version_id", name="version_identity"),
    Index("version_type", "type", "last_updated", "seq"),
    Index("version_updated", "last_updated", "seq"),
)


SETTING = Table(
    "setting",
    METADATA,
    Column("name", _TEXT, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

SEARCH_PARAMETER = Table(
    "search_parameter",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("url", _TEXT, nullable=False),
    Column("type", SmallInteger, nullable=False),
    Column("code", _TEXT, nullable=False),
    Column("definition", LargeBinary, nullable=False),
    Column("state", _TEXT, nullable=False),
    Column("defined_at", BigInteger, nullable=False),
    Column("last_key", BigInteger, nullable=False),
)

# One row for each occupied seat of a Slot: the primary key is what lets one of several bookings win.
SLOT_CLAIM = Table(
    "slot_claim",
    METADATA,
    Column("slot_id", _TEXT, nullable=False),
    Column("seat", Integer, nullable=False, autoincrement=False),
    Column("kind", _TEXT, nullable=False),
    Column("owner", _TEXT, nullable=False),
    Column("appointment_id", _TEXT, nullable=False),
    Column("expires_at", BigInteger, nullable=True),
    PrimaryKeyConstraint("slot_id", "seat", name="slot_claim_seat"),
    CheckConstraint("kind IN ('held', 'blocked', 'booked')", name="slot_claim_kind"),
    CheckConstraint("(kind = 'blocked') = (appointment_id = '')", name="slot_claim_appointment"),
    Index("slot_claim_by_appointment", "appointment_id", "slot_id"),
    Index("slot_claim_expiry", "expires_at"),
    sqlite_with_rowid=False,
)

# Answers to requests with a key of the client's, to be given again.
REPLY = Table(
    "reply",
    METADATA,
    Column("client", _TEXT, nullable=False),
    Column("idempotency_key", _TEXT, nullable=False),
    Column("digest", _TEXT, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("made", BigInteger, nullable=False),
    PrimaryKeyConstraint("client", "idempotency_key", name="reply_key"),
    Index("reply_made", "made"),
)

_KINDS: dict[str, TypeEngine[Any]] = {
    "key": BigInteger(),
    "system": BigInteger(),
    "target_type": SmallInteger(),
    "low": BigInteger(),
    "high": BigInteger(),
    "system1": BigInteger(),
    "system2": BigInteger(),
    **dict.fromkeys(("x", "y", "z", "low2", "high2", "low3", "high3"), Double()),
}


def _index_table(name: str, columns: tuple[str, ...]) -> Table:
    kinds = dict(_KINDS)
    if name in ("number", "quantity"):
        kinds["low"] = kinds["high"] = Double()
    return Table(
        name,
        METADATA,
        Column("parameter", Integer, nullable=False, autoincrement=False),
        *(
            Column(item, kinds.get(item, _TEXT), nullable=False, autoincrement=False)
            for item in columns
        ),
        PrimaryKeyConstraint("parameter", *UNIQUE.get(name, columns), name=f"{name}_value"),
        Index(f"{name}_key", "key", "parameter"),
        sqlite_with_rowid=False,
    )


# Words are found by an index that the migration makes: of arrays on PostgreSQL, on SQLite the full-text index
# words_found, which its driver keeps.
_WORDS = Table(
    "words",
    METADATA,
    Column("parameter", Integer, nullable=False),
    Column("key", _KEY, primary_key=True, autoincrement=False),
    Column("listed", _TEXT, nullable=False),
)
INDEX_TABLES = {
    name: _WORDS if name == "words" else _index_table(name, columns)
    for name, columns in INDEX_COLUMNS.items()
}
Index("date_high", *(INDEX_TABLES["date"].c[item] for item in ("parameter", "high", "low", "key")))
