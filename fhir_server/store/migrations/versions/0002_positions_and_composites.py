"""Positions, composites, projections, unique identifiers, and search parameters of the deployment's own"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _column(name: str, kind: TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, autoincrement=False, nullable=False)


def upgrade() -> None:
    """Change the schema."""
    op.create_table(
        "position",
        _column("parameter", sa.Integer()),
        *(_column(name, sa.Double()) for name in ("z", "x", "y")),
        _column("key", sa.BigInteger()),
        sa.PrimaryKeyConstraint("parameter", "z", "x", "y", "key", name="position_value"),
        sqlite_with_rowid=False,
    )
    op.create_index("position_key", "position", ["key", "parameter"], unique=False)
    op.create_table(
        "composite",
        _column("parameter", sa.Integer()),
        _column("text1", _TEXT),
        _column("key", sa.BigInteger()),
        _column("system1", sa.BigInteger()),
        _column("text2", _TEXT),
        _column("system2", sa.BigInteger()),
        _column("unit2", _TEXT),
        *(_column(name, sa.Double()) for name in ("low2", "high2", "low3", "high3")),
        sa.PrimaryKeyConstraint(
            "parameter", "text1", "key", "system1", "text2", "system2", "unit2",
            "low2", "high2", "low3", "high3", name="composite_value",
        ),
        sqlite_with_rowid=False,
    )  # fmt: skip
    op.create_index("composite_key", "composite", ["key", "parameter"], unique=False)
    op.create_table(
        "projection",
        _column("parameter", sa.Integer()),
        _column("value1", _TEXT),
        _column("value2", _TEXT),
        _column("low", sa.BigInteger()),
        _column("key", sa.BigInteger()),
        _column("high", sa.BigInteger()),
        _column("system1", sa.BigInteger()),
        _column("system2", sa.BigInteger()),
        sa.PrimaryKeyConstraint(
            "parameter", "value1", "value2", "low", "key", "high", "system1", "system2",
            name="projection_value",
        ),
        sqlite_with_rowid=False,
    )  # fmt: skip
    op.create_index("projection_key", "projection", ["key", "parameter"], unique=False)
    op.create_table(
        "unique_identifier",
        _column("parameter", sa.Integer()),
        _column("code", _TEXT),
        _column("system", sa.BigInteger()),
        _column("key", sa.BigInteger()),
        sa.PrimaryKeyConstraint("parameter", "code", "system", name="unique_identifier_value"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "unique_identifier_key", "unique_identifier", ["key", "parameter"], unique=False
    )
    op.create_table(
        "search_parameter",
        _column("number", sa.Integer()),
        _column("url", _TEXT),
        _column("type", sa.SmallInteger()),
        _column("code", _TEXT),
        _column("definition", sa.LargeBinary()),
        _column("state", _TEXT),
        _column("defined_at", sa.BigInteger()),
        _column("last_key", sa.BigInteger()),
        sa.PrimaryKeyConstraint("number"),
    )


def downgrade() -> None:
    """Going back is not offered: a newer schema may hold what an older one cannot."""
    raise NotImplementedError("Restore a backup to go back to an older schema")
