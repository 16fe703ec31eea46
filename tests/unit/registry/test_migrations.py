"""The steps make exactly the tables that the code uses, whoever takes them, and however many at once."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select, text

from mlplat.registry import tables
from mlplat.registry.database import Database
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


def test_a_database_of_a_newer_release_is_left_as_it_is(empty_url: str) -> None:
    database = Database(empty_url)
    migrate(database)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'from the future'"))
    migrate(database)
    with database.read() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "from the future"
    database.close()
