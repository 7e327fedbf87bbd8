"""Claims on the seats of slots, and answers that are given again"""

from __future__ import annotations

from typing import Any

import orjson
import sqlalchemy as sa
from alembic import op

from fhir_server.store.rows import type_numbers

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_LIVE = frozenset({"pending", "booked", "arrived", "checked-in", "fulfilled", "noshow"})
_BLOCKED = frozenset({"busy", "busy-tentative"})


def upgrade() -> None:
    """Change the schema."""
    claim = op.create_table(
        "slot_claim",
        sa.Column("slot_id", _TEXT, nullable=False),
        sa.Column("seat", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("owner", _TEXT, nullable=False),
        sa.Column("appointment_id", _TEXT, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("slot_id", "seat", name="slot_claim_seat"),
        sa.CheckConstraint("kind IN ('held', 'blocked', 'booked')", name="slot_claim_kind"),
        sa.CheckConstraint(
            "(kind = 'blocked') = (appointment_id = '')", name="slot_claim_appointment"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("slot_claim_by_appointment", "slot_claim", ["appointment_id", "slot_id"])
    op.create_index("slot_claim_expiry", "slot_claim", ["expires_at"])
    op.create_table(
        "reply",
        sa.Column("client", _TEXT, nullable=False),
        sa.Column("idempotency_key", _TEXT, nullable=False),
        sa.Column("digest", _TEXT, nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("made", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client", "idempotency_key", name="reply_key"),
    )
    op.create_index("reply_made", "reply", ["made"])
    rows = _claims()
    if rows:
        op.bulk_insert(claim, rows)


def _claims() -> list[dict[str, Any]]:
    """The claims of what is stored already: a seat for every live appointment, a block for other busy slots."""
    seats: dict[str, int] = {}
    found: list[dict[str, Any]] = []

    def add(slot_id: str, kind: str, appointment_id: str) -> None:
        seat = seats[slot_id] = seats.get(slot_id, -1) + 1
        row = {"slot_id": slot_id, "seat": seat, "kind": kind, "owner": "anonymous"}
        found.append(row | {"appointment_id": appointment_id, "expires_at": None})

    for appointment in _current("Appointment"):
        if appointment["status"] in _LIVE:
            kind = "held" if appointment["status"] == "pending" else "booked"
            for slot_id in dict.fromkeys(_slots(appointment)):
                add(slot_id, kind, appointment["id"])
    for slot in _current("Slot"):
        if slot["status"] in _BLOCKED and slot["id"] not in seats:
            add(slot["id"], "blocked", "")
    return found


def _current(resource_type: str) -> list[dict[str, Any]]:
    text = sa.text(
        "SELECT v.body FROM resource r JOIN version v ON v.seq = r.seq"
        " WHERE r.type = :number AND r.deleted = 0 ORDER BY r.key"
    )
    number = type_numbers()[resource_type]
    return [orjson.loads(bytes(row[0])) for row in op.get_bind().execute(text, {"number": number})]


def _slots(appointment: dict[str, Any]) -> list[str]:
    found = []
    for slot in appointment.get("slot", ()):
        parts = slot.get("reference", "").split("/")
        if len(parts) in (2, 4) and parts[0] == "Slot":
            found.append(parts[1])
    return found


def downgrade() -> None:
    """Going back is not offered: a newer schema may hold what an older one cannot."""
    raise NotImplementedError("Restore a backup to go back to an older schema")
