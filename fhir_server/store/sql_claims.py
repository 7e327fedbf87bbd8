"""The statements about claims and replies, the same text for both databases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from fhir_server.store.claims import Claim, Reply

Row = tuple[Any, ...]
_CHUNK = 500


class Driver(Protocol):
    """The part of a transaction's driver that is needed here; clock: SQL for microseconds since 1970."""

    @property
    def clock(self) -> str:
        """An expression that is evaluated by the database."""

    def fetch(self, text: str, values: Sequence[Any]) -> list[Row]:
        """All rows of a query."""

    def change(self, text: str, values: Sequence[Any]) -> int:
        """How many rows a change touched."""


_COLUMNS = "slot_id, seat, kind, owner, appointment_id, expires_at"


class SqlClaims:
    """Claims over a driver."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._select = f"SELECT {_COLUMNS}, CASE WHEN expires_at <= {driver.clock} THEN 1 ELSE 0 END FROM slot_claim"

    def of_slots(self, slot_ids: Sequence[str]) -> list[Claim]:
        """The claims of those slots."""
        return self._of("slot_id", slot_ids)

    def of_appointments(self, appointment_ids: Sequence[str]) -> list[Claim]:
        """The claims that those appointments have."""
        return self._of("appointment_id", appointment_ids)

    def _of(self, column: str, values: Sequence[str]) -> list[Claim]:
        found: list[Claim] = []
        for start in range(0, len(values), _CHUNK):
            part = values[start : start + _CHUNK]
            marks = ", ".join("?" * len(part))
            text = f"{self._select} WHERE {column} IN ({marks}) ORDER BY slot_id, seat"
            found += map(_claim, self._driver.fetch(text, part))
        return found

    def lapsed(self, limit: int) -> list[Claim]:
        """Expired claims, the oldest first."""
        text = (
            f"{self._select} WHERE expires_at IS NOT NULL AND expires_at <= {self._driver.clock}"
            " ORDER BY expires_at LIMIT ?"
        )
        return [_claim(row) for row in self._driver.fetch(text, (limit,))]

    def everything(self, after: tuple[str, int], limit: int) -> list[Claim]:
        """A page of all claims."""
        text = (
            f"{self._select} WHERE slot_id > ? OR (slot_id = ? AND seat > ?)"
            " ORDER BY slot_id, seat LIMIT ?"
        )
        return [
            _claim(row) for row in self._driver.fetch(text, (after[0], after[0], after[1], limit))
        ]

    def holds(self, owner: str) -> int:
        """Appointments of the owner with a running hold."""
        text = (
            "SELECT COUNT(DISTINCT appointment_id) FROM slot_claim"
            f" WHERE owner = ? AND expires_at IS NOT NULL AND expires_at > {self._driver.clock}"
        )
        return int(self._driver.fetch(text, (owner,))[0][0])

    def now(self) -> int:
        """The database's clock."""
        return int(self._driver.fetch(f"SELECT {self._driver.clock}", ())[0][0])

    def take(self, claim: Claim) -> bool:
        """Insert, or replace what may be replaced."""
        text = (
            f"INSERT INTO slot_claim ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (slot_id, seat) DO UPDATE SET kind = excluded.kind, owner = excluded.owner,"
            " appointment_id = excluded.appointment_id, expires_at = excluded.expires_at"
            f" WHERE slot_claim.expires_at <= {self._driver.clock}"
            " OR (slot_claim.kind = 'blocked' AND slot_claim.owner = excluded.owner)"
            " OR (slot_claim.appointment_id = excluded.appointment_id AND excluded.appointment_id <> '')"
        )
        values = (
            claim.slot_id,
            claim.seat,
            claim.kind,
            claim.owner,
            claim.appointment_id,
            claim.expires_at,
        )
        return self._driver.change(text, values) == 1

    def release(self, claims: Sequence[Claim]) -> None:
        """Delete those rows."""
        for claim in claims:
            self._driver.change(
                "DELETE FROM slot_claim WHERE slot_id = ? AND seat = ? AND appointment_id = ?",
                (claim.slot_id, claim.seat, claim.appointment_id),
            )


def _claim(row: Row) -> Claim:
    return Claim(row[0], row[1], row[2], row[3], row[4], row[5], bool(row[6]))


class SqlReplies:
    """Replies over a driver."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def begin(self, client: str, key: str, digest: str, now: int) -> Reply | None:
        """Insert; a key that another transaction is using is waited for."""
        done = self._driver.change(
            "INSERT INTO reply (client, idempotency_key, digest, answer, made) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (client, idempotency_key) DO NOTHING",
            (client, key, digest, b"", now),
        )
        if done == 1:
            return None
        row = self._driver.fetch(
            "SELECT digest, answer FROM reply WHERE client = ? AND idempotency_key = ?",
            (client, key),
        )[0]
        return Reply(row[0], bytes(row[1]))

    def finish(self, client: str, key: str, answer: bytes) -> None:
        """Update the row."""
        self._driver.change(
            "UPDATE reply SET answer = ? WHERE client = ? AND idempotency_key = ?",
            (answer, client, key),
        )

    def forget(self, before: int, limit: int) -> int:
        """Delete the oldest."""
        text = (
            "DELETE FROM reply WHERE (client, idempotency_key) IN"
            " (SELECT client, idempotency_key FROM reply WHERE made < ? ORDER BY made LIMIT ?)"
        )
        return self._driver.change(text, (before, limit))
