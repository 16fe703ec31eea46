"""The steps make exactly the tables that the code uses, whoever takes them, and however many at once."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, select, text

from mlplat.registry import catalogue, migrations, tables
from mlplat.registry.database import Database, DatabaseError
from mlplat.registry.keyset import Slice
from mlplat.registry.migrations import migrate


def migrate_at(url: str) -> int:
    database = Database(url, pool_size=1)
    try:
        migrate(database)
        with database.read() as connection:
            return len(connection.execute(select(tables.models)).all())
    finally:
        database.close()


def test_the_steps_make_the_tables_of_the_code(empty_url: str) -> None:
    database = Database(empty_url)
    migrate(database)
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
    database.close()


def test_any_number_of_registries_may_start_at_once(empty_url: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(migrate_at, [empty_url] * 8)) == [0] * 8


def test_processes_that_start_at_once_do_not_disturb_each_other(empty_url: str) -> None:
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as processes:
        assert list(processes.map(migrate_at, [empty_url] * 4)) == [0] * 4


def test_tables_that_were_dropped_are_made_anew(empty_url: str) -> None:
    database = Database(empty_url)
    migrate(database)
    with database.write() as connection:
        for table in (*reversed(tables.metadata.sorted_tables), "alembic_version"):
            connection.execute(text(f"DROP TABLE {table}"))
    migrate(database)
    with database.read() as connection:
        assert connection.execute(select(tables.models)).all() == []
    database.close()


def test_a_step_does_not_wait_for_a_dump_as_all_others_would_wait_behind_it(postgresql: Any) -> None:
    url = postgresql.new_url()
    database = Database(url)
    upgrade(database, "0002")
    with psycopg.connect(url) as dump:
        dump.execute("LOCK TABLE metrics IN ACCESS SHARE MODE")
        with pytest.raises(DatabaseError, match="lock timeout"):
            migrate(database)
        dump.execute("SELECT * FROM metrics")
    migrate(database)
    with database.read() as connection:
        assert connection.execute(select(tables.metrics)).all() == []
    database.close()


def test_a_database_of_a_newer_release_is_left_as_it_is(empty_url: str) -> None:
    database = Database(empty_url)
    migrate(database)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'from the future'"))
    migrate(database)
    with database.read() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "from the future"
    database.close()


def upgrade(database: Database, revision: str) -> None:
    """Take the steps up to one."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with database.write(patient=True) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def put_version_as_of_0002(connection: Connection, number: int, **metrics: float) -> None:
    """What a registry that knows no later step writes for a version, into the one model `iris`."""
    connection.execute(
        text(
            'INSERT INTO versions (id, model_id, version, "natural", created_at, published_at, task, recipe, params,'
            ' runtime, "rows", bytes, metrics, tags, sha256, facts) VALUES (:id, 1, :name, :name,'
            " '2026-01-01 00:00:00', '2026-01-01 00:00:00', 't', 'r', '{}', 'onnx', 1, 1, '{}', '{}', '', '{}')"
        ),
        {"id": number, "name": f"v{number}"},
    )
    for name, value in metrics.items():
        connection.execute(
            text("INSERT INTO metrics (version_id, name, value) VALUES (:id, :name, :value)"),
            {"id": number, "name": name, "value": value},
        )


def test_versions_are_listed_by_metrics_that_were_written_before_the_step_and_by_older_releases_after_it(
    empty_url: str,
) -> None:
    database = Database(empty_url)
    upgrade(database, "0002")
    with database.write() as connection:
        connection.execute(
            text(
                "INSERT INTO models (id, name, tags, created_at, updated_at, versions)"
                " VALUES (1, 'iris', '{}', '2026-01-01 00:00:00', '2026-01-01 00:00:00', 0)"
            )
        )
        put_version_as_of_0002(connection, 1, accuracy=0.5, loss=3)
        put_version_as_of_0002(connection, 2, accuracy=0.7)
        put_version_as_of_0002(connection, 3)
    migrate(database)
    with database.write() as connection:
        put_version_as_of_0002(connection, 4, accuracy=0.6, loss=2)
    with database.read() as connection:
        listed = catalogue.list_versions(connection, "iris", Slice(50), sort="-metric:accuracy")
        assert [version.version for version in listed.items] == ["v2", "v4", "v1"]
        found = catalogue.list_versions(connection, "iris", Slice(50), conditions=["loss<=2"])
        assert [version.version for version in found.items] == ["v4"]
    database.close()
