"""Resources, versions and index tables"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the schema."""
    op.create_table(
        "date",
        sa.Column("parameter", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("low", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("high", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("parameter", "low", "high", "key", name="date_value"),
        sqlite_with_rowid=False,
    )
    op.create_index("date_high", "date", ["parameter", "high", "low", "key"], unique=False)
    op.create_index("date_key", "date", ["key", "parameter"], unique=False)

    op.create_table(
        "number",
        sa.Column("parameter", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("low", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("high", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("parameter", "low", "high", "key", name="number_value"),
        sqlite_with_rowid=False,
    )
    op.create_index("number_key", "number", ["key", "parameter"], unique=False)

    op.create_table(
        "quantity",
        sa.Column("parameter", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("low", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("high", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("system", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "code",
            sa.Text().with_variant(sa.Text(collation="C"), "postgresql"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column(
            "unit",
            sa.Text().with_variant(sa.Text(collation="C"), "postgresql"),
            autoincrement=False,
            nullable=False,
        ),
        sa.PrimaryKeyConstraint(
            "parameter", "low", "high", "key", "system", "code", "unit", name="quantity_value"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("quantity_key", "quantity", ["key", "parameter"], unique=False)

    op.create_table(
        "reference",
        sa.Column("parameter", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "target_id",
            sa.Text().with_variant(sa.Text(collation="C"), "postgresql"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("target_type", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "url",
            sa.Text().with_variant(sa.Text(collation="C"), "postgresql"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column(
            "version",
            sa.Text().with_variant(sa.Text(collation="C"), "postgresql"),
            autoincrement=False,
            nullable=False,
        ),
        sa.PrimaryKeyConstraint(
            "parameter", "target_id", "key", "target_type", "url", "version", name="reference_value"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("reference_key", "reference", ["key", "parameter"], unique=False)

    op.create_table(
        "resource",
        sa.Column(
            "key",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("type", sa.SmallInteger(), nullable=False),
        sa.Column(
            "logical_id",
            sa.Text().with_variant(sa.Text(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("last_updated", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.SmallInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sa.UniqueConstraint("type", "logical_id", name="resource_identity"),
    )
    op.create_index("resource_type", "resource", ["type", "deleted", "key"], unique=False)
    op.create_index("resource_updated", "resource", ["type", "last_updated", "key"], unique=False)

    op.create_table(
        "setting",
        sa.Column(
            "name", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "string",
        sa.Column("parameter", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "folded",
            sa.Text().with_variant(sa.Text(collation="C"), "postgresql"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "value",
            sa.Text().with_variant(sa.Text(collation="C"), "postgresql"),
            autoincrement=False,
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("parameter", "folded", "key", "value", name="string_value"),
        sqlite_with_rowid=False,
    )
    op.create_index("string_key", "string", ["key", "parameter"], unique=False)

    op.create_table(
        "token",
        sa.Column("parameter", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "code",
            sa.Text().with_variant(sa.Text(collation="C"), "postgresql"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("system", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("parameter", "code", "key", "system", name="token_value"),
        sqlite_with_rowid=False,
    )
    op.create_index("token_key", "token", ["key", "parameter"], unique=False)

    op.create_table(
        "uri",
        sa.Column("parameter", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "value",
            sa.Text().with_variant(sa.Text(collation="C"), "postgresql"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "version",
            sa.Text().with_variant(sa.Text(collation="C"), "postgresql"),
            autoincrement=False,
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("parameter", "value", "key", "version", name="uri_value"),
        sqlite_with_rowid=False,
    )
    op.create_index("uri_key", "uri", ["key", "parameter"], unique=False)

    op.create_table(
        "version",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.SmallInteger(), nullable=False),
        sa.Column(
            "logical_id",
            sa.Text().with_variant(sa.Text(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("last_updated", sa.BigInteger(), nullable=False),
        sa.Column("method", sa.SmallInteger(), nullable=False),
        sa.Column("created", sa.SmallInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("key", "version_id", name="version_identity"),
    )
    op.create_index("version_type", "version", ["type", "last_updated", "seq"], unique=False)
    op.create_index("version_updated", "version", ["last_updated", "seq"], unique=False)


def downgrade() -> None:
    """Going back is not offered: a newer schema may hold what an older one cannot."""
    raise NotImplementedError("Restore a backup to go back to an older schema")
