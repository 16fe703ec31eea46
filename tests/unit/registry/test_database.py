"""Transactions, and what is answered while the database is away."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import exc as sql
from sqlalchemy import insert, select, text
from tests.registries import await_true

from mlplat.errors import MlplatError, RequestError, UsageError
from mlplat.registry import tables
from mlplat.registry.columns import utc
from mlplat.registry.database import Database, DatabaseError

from .conftest import is_there

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))


def key(name: str) -> dict[str, Any]:
    return {"id": name, "sha256": "0" * 64, "name": name, "role": "reader", "created_at": NOW}


def names(database: Database) -> set[str]:
    with database.read() as connection:
        return set(connection.scalars(select(tables.keys.c.id)))


def test_a_transaction_is_there_whole_or_not_at_all(database: Database) -> None:
    with database.write() as connection:
        connection.execute(insert(tables.keys), key("a"))
    with pytest.raises(sql.IntegrityError), database.write() as connection:
        connection.execute(insert(tables.keys), [key("b"), key("a")])
    assert names(database) == {"a"}


def test_times_keep_their_zone(database: Database) -> None:
    with database.write() as connection:
        connection.execute(insert(tables.keys), key("a"))
    with database.read() as connection:
        found = connection.scalar(select(tables.keys.c.created_at))
    assert found == NOW
    assert found is not None
    assert found.tzinfo is UTC


def test_a_time_at_the_end_of_the_calendar_is_no_error() -> None:
    assert utc(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))) == datetime(1, 1, 1, tzinfo=UTC)


def test_writers_at_once_wait_for_each_other(database: Database) -> None:
    def write(number: int) -> None:
        with database.write() as connection:
            connection.scalar(select(tables.keys.c.id).limit(1))
            connection.execute(insert(tables.keys), key(f"k{number}"))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(100)))
    assert len(names(database)) == 100


def test_a_value_that_the_database_cannot_hold_is_the_requests_fault(postgresql: Any) -> None:
    database = Database(postgresql.new_url(tables=True))
    with pytest.raises(RequestError), database.write() as connection:
        connection.execute(insert(tables.keys), key("a\0b"))
    database.close()


def test_a_database_that_goes_is_a_503_until_it_comes_back(postgresql: Any) -> None:
    url = postgresql.new_url(tables=True)
    database = Database(url)
    database.check()
    postgresql.go(url)
    for _ in range(2):
        with pytest.raises(DatabaseError, match="does not answer") as caught:
            database.check()
        assert (caught.value.status, caught.value.code, caught.value.retry_after) == (503, "unavailable", 2)
    assert database.failures == 2
    postgresql.come(url)
    await_true(lambda: is_there(database))
    database.close()


def test_a_connection_that_is_cut_in_a_transaction_is_a_503(postgresql: Any) -> None:
    url = postgresql.new_url(tables=True)
    database = Database(url)

    def write() -> None:
        with database.write() as connection:
            connection.execute(insert(tables.keys), key("a"))
            postgresql.go(url)
            connection.execute(insert(tables.keys), key("b"))

    with pytest.raises(DatabaseError):
        write()
    postgresql.come(url)
    await_true(lambda: is_there(database))
    assert names(database) == set()
    database.close()


def test_a_server_that_is_not_there_is_a_503() -> None:
    database = Database("postgresql://nobody:secret@127.0.0.1:1/none")
    with pytest.raises(DatabaseError) as caught:
        database.check()
    assert "secret" not in str(caught.value)


def test_a_statement_that_takes_too_long_is_a_503(postgresql: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlplat.registry.postgresql.SESSION", "SET statement_timeout = '10ms'")
    database = Database(postgresql.new_url())
    with pytest.raises(DatabaseError, match="statement timeout"), database.read() as connection:
        connection.execute(text("SELECT pg_sleep(5)"))
    database.close()


def test_more_transactions_than_connections_wait_and_then_are_a_503(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database.engine.pool, "_timeout", 0.05)
    monkeypatch.setattr("mlplat.registry.database.FULL_SECONDS", 600)
    held = [database.engine.connect() for _ in range(10)]
    with pytest.raises(DatabaseError, match="timed out"), database.read():
        pass
    monkeypatch.setattr(database.engine.pool, "_timeout", 60)
    with pytest.raises(DatabaseError, match="all connections are in use"), database.read():
        pass  # who comes next does not wait, as there may be many
    for each in held:
        each.close()
    assert names(database) == set()
    await_true(lambda: is_there(database))


def test_a_file_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MlplatError, match="Cannot make the folder"):
        Database(f"sqlite:///{tmp_path}/file/registry.db")
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(DatabaseError, match="unable to open"):
        Database(f"sqlite:///{tmp_path}/folder.db").check()


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://x/y", "sqlite://", "sqlite:///:memory:"])
def test_another_url_is_refused_with_what_to_use(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        Database(url)
    assert "sqlite:///FILE" in caught.value.hint
