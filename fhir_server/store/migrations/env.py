"""Alembic's environment: runs the migrations on the connection that open.migrate gives it."""

from alembic import context

from fhir_server.store.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
