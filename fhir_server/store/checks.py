"""Refusing a database that forgets what it acknowledged.

https://www.postgresql.org/docs/current/runtime-config-wal.html, https://www.sqlite.org/pragma.html#pragma_synchronous
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_MUST_BE_ON = ("fsync", "synchronous_commit", "full_page_writes")


class UnsafeDatabase(Exception):
    """The server does not start on this database; the text says why and what to change."""


class UnknownDatabase(UnsafeDatabase):
    """The URL names no database that this server can work with."""


def check_postgresql(connection: Connection) -> None:
    """Raises UnsafeDatabase when a commit would be acknowledged before it is durable."""
    for name in _MUST_BE_ON:
        value = connection.exec_driver_sql(f"SHOW {name}").scalar_one()
        if value in ("off", "local") or (name != "synchronous_commit" and value != "on"):
            raise UnsafeDatabase(
                f"PostgreSQL runs with {name} = {value}: a crash could lose acknowledged writes."
                f" Set {name} = on in postgresql.conf, or for this role and database"
            )
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise UnsafeDatabase(
            f"The database's encoding is {encoding}; create it with ENCODING 'UTF8'"
        )
