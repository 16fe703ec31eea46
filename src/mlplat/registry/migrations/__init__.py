"""The steps that made the tables what they are, and `migrate`, which takes those that a database lacks."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from mlplat import logs
from mlplat.registry.database import Database

LOCK = 6_872_340
"""The advisory lock of PostgreSQL under which one registry migrates, and others wait."""

TABLE_SECONDS = 2
"""How long a step may wait for a table before it is tried anew: behind it waits all else that older registries ask of that
table, while a dump, which reads it, may take an hour."""


def migrate(database: Database) -> None:
    """Bring the tables up to date; any number of registries may do it at once, and all see them when they return.

    A database of a newer release is left as it is, so that a rollback of the registry works: steps only add.

    Raises:
        DatabaseError: if the database does not answer.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    with database.write(patient=True) as connection:
        if database.is_shared:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            connection.execute(text(f"SET LOCAL lock_timeout = '{TABLE_SECONDS}s'"))
        current = MigrationContext.configure(connection).get_current_revision()
        if current == script.get_current_head():
            return
        if current is not None and current not in {step.revision for step in script.walk_revisions()}:
            logs.get().warning("database_of_newer_release", revision=current)
            return
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        logs.get().info("database_migrated", before=current, now=script.get_current_head())
