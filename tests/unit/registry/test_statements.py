"""Queries that are asked of the driver itself fail as all others do."""

import os
import signal
from typing import Any

import pytest
from sqlalchemy import func, select, text
from tests.registries import await_true

from mlplat.errors import RequestError
from mlplat.registry import catalogue
from mlplat.registry.database import Database, DatabaseError
from mlplat.registry.keyset import Slice
from mlplat.registry.statements import Statement

from .conftest import Own, is_there


def test_a_connection_that_is_cut_is_a_503_and_is_not_used_again(postgresql: Any) -> None:
    url = postgresql.new_url(tables=True)
    database = Database(url, pool_size=1)

    def read() -> None:
        with database.read() as connection:
            assert catalogue.list_models(connection, Slice()).items == []
            postgresql.go(url)
            catalogue.list_models(connection, Slice())

    with pytest.raises(DatabaseError, match="does not answer"):
        read()
    postgresql.come(url)
    await_true(lambda: is_there(database))
    with database.read() as connection:
        assert catalogue.list_models(connection, Slice()).items == []
    database.close()


def test_those_as_old_as_one_that_is_lost_are_not_waited_for(own_postgresql: Own) -> None:
    database = Database(own_postgresql.databases.new_url(tables=True), pool_size=2, answer_seconds=5)
    with database.read() as one, database.read() as two:
        for connection in (one, two):
            os.kill(connection.execute(select(func.pg_backend_pid())).scalar_one(), signal.SIGSTOP)
    with pytest.raises(DatabaseError, match="said nothing"), database.read() as connection:
        catalogue.list_models(connection, Slice())
    await_true(lambda: is_there(database))
    with database.read() as one, database.read() as two:
        for connection in (one, two):
            assert catalogue.list_models(connection, Slice()).items == []
    database.close()


def test_one_that_takes_too_long_is_a_503(postgresql: Any) -> None:
    database = Database(postgresql.new_url(), pool_size=1)

    def wait() -> None:
        with database.write() as connection:
            connection.execute(text("SET LOCAL statement_timeout = '10ms'"))  # and not for what is asked afterwards
            Statement(select(func.pg_sleep(5))).rows(connection, {})

    with pytest.raises(DatabaseError, match="statement timeout"):
        wait()
    with database.read() as connection:
        assert Statement(select(func.now())).rows(connection, {})
    database.close()


def test_a_value_that_the_database_cannot_hold_is_the_requests_fault(postgresql: Any) -> None:
    database = Database(postgresql.new_url(tables=True))
    with pytest.raises(RequestError), database.read() as connection:
        catalogue.get_model(connection, "a\0b")
    database.close()


def test_a_file_that_is_no_database_is_a_503(tmp_path: Any) -> None:
    (tmp_path / "registry.db").write_bytes(b"not a database" * 100)
    database = Database(f"sqlite:///{tmp_path}/registry.db")
    with pytest.raises(DatabaseError), database.read() as connection:
        catalogue.list_models(connection, Slice())
    database.close()
