"""Alembic's entry: runs the scripts on the connection that it is handed."""

from alembic import context

from dateline.sql.tables import TRAIL

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=TRAIL,
    version_table="dateline_migration",
    # The application's tables are none of our business.
    include_name=lambda name, kind, parents: kind != "table" or str(name).startswith("dateline_"),
)
with context.begin_transaction():
    context.run_migrations()
