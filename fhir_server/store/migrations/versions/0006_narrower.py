"""What references are found by is kept once where one parameter has a part of another's values"""

from __future__ import annotations

from alembic import op

from fhir_server.search.narrower import narrower
from fhir_server.search.parameters import IDENTIFIER, TEXT, reference_numbers
from fhir_server.store.schema import INDEX_COLUMNS

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_OFFSETS = {"reference": 0, "token": IDENTIFIER, "string": TEXT}


def upgrade() -> None:
    """Take the rows of the wider parameter out that the narrower one has too."""
    connection = op.get_bind()
    wide = [number for number in reference_numbers() if narrower(number)]
    for table, offset in _OFFSETS.items():
        same = " AND ".join(f"n.{column} = {table}.{column}" for column in INDEX_COLUMNS[table])
        for number in wide:
            inner = ", ".join(str(item + offset) for item in narrower(number).values())
            connection.exec_driver_sql(
                f"DELETE FROM {table} WHERE parameter = {number + offset} AND EXISTS"
                f" (SELECT 1 FROM {table} n WHERE n.parameter IN ({inner}) AND {same})"
            )


def downgrade() -> None:
    """Going back is not offered: a newer schema may hold what an older one cannot."""
    raise NotImplementedError("Restore a backup to go back to an older schema")
