"""What alembic runs for each migration: in the transaction of `migrate`."""

from alembic import context

from mlplat.registry.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
