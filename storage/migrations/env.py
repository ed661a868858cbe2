"""What Alembic runs for a migration: `storage.schema` hands it a connection that is already in a transaction."""

from alembic import context

from storage.schema import belongs
from storage.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    include_name=belongs,
)
with context.begin_transaction():
    context.run_migrations()
