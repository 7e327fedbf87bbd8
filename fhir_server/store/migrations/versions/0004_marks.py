"""The mark that tells of definitions stored here, for databases that hold some already"""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

from fhir_server.store.rows import type_numbers

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_KINDS = ("StructureDefinition", "ValueSet", "CodeSystem", "Questionnaire")


def upgrade() -> None:
    """Leave the mark where one of the kinds is stored."""
    numbers = ", ".join(str(type_numbers()[kind]) for kind in _KINDS)
    found = op.get_bind().execute(
        sa.text(f"SELECT 1 FROM resource WHERE type IN ({numbers}) LIMIT 1")
    )
    if found.first() is not None:
        op.get_bind().execute(
            sa.text("INSERT INTO setting (name, value) VALUES ('definitions', :value)"),
            {"value": secrets.token_bytes(16)},
        )


def downgrade() -> None:
    """Going back is not offered: a newer schema may hold what an older one cannot."""
    raise NotImplementedError("Restore a backup to go back to an older schema")
