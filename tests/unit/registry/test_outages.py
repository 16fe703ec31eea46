"""PostgreSQL hangs, is killed, or takes no writes: a 503 that comes in time, and then all is as before."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from bench.servers import free_port
from httpx import Client
from sqlalchemy import text
from tests.registries import await_true

from mlplat.registry.access import KeyRing, make_key
from mlplat.registry.bodies import NewKey
from mlplat.registry.database import Database, DatabaseError
from mlplat.registry.metrics import RegistryMetrics
from mlplat.registry.service import Service
from mlplat.store import open_object_store
from mlplat.store.aliases import utc_now

from .conftest import ADMIN, Own, serving
from .routes.uploading import upload

READY_SECONDS = 5
"""What the chart gives the probe of /ready."""


@pytest.fixture
def asked(own_postgresql: Own, tmp_path: Path) -> Iterator[tuple[Client, Service]]:
    """A registry over a PostgreSQL of its own, with an empty model."""
    database = Database(own_postgresql.databases.new_url(tables=True), pool_size=4, answer_seconds=1)
    store = open_object_store(str(tmp_path / "store"))
    service = Service(database, store, KeyRing(database, admin_key=ADMIN), tmp_path, 4 << 20, RegistryMetrics())
    with serving(service) as base, Client(base_url=base, headers={"X-API-Key": ADMIN}, timeout=20) as client:
        assert service.prepared.wait(30)
        assert client.post("/models", json={"name": "iris"}).status_code == 201
        yield client, service
        own_postgresql.go_on()


def is_refused(answer: httpx.Response) -> bool:
    said = (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    return said and int(answer.headers["retry-after"]) > 0


def is_ready(client: Client) -> bool:
    return client.get("/ready", timeout=READY_SECONDS).status_code == 200


def test_while_the_database_hangs_every_answer_comes_in_time(
    asked: tuple[Client, Service], own_postgresql: Own, draft: Callable[..., Any]
) -> None:
    client, service = asked
    version = draft("v1")
    with service.database.write() as connection:
        other = make_key(connection, NewKey(name="ann"), now=utc_now()).key
    with ThreadPoolExecutor(100) as threads:
        list(threads.map(lambda _: client.get("/models"), range(8)))  # all connections of the pool are open
        own_postgresql.hang()
        paths = ["/models", "/models/iris", "/search?q=x", "/audit", "/models/iris/versions"] * 20
        asking = [threads.submit(client.get, path) for path in paths]
        asking.append(threads.submit(client.get, "/models", headers={"X-API-Key": other}))
        asking.append(threads.submit(client.post, "/models", json={"name": "rose"}))
        asking.append(threads.submit(upload, client, version))
        assert client.get("/health", timeout=READY_SECONDS).status_code == 200
        assert not is_ready(client)
        assert all(is_refused(each.result()) for each in asking)
    assert is_refused(client.get("/models"))
    assert "mlplat_registry_database_up 0.0" in client.get("/metrics").text
    own_postgresql.go_on()
    await_true(lambda: is_ready(client))
    with ThreadPoolExecutor(50) as threads:
        assert {each.status_code for each in threads.map(client.get, ["/models"] * 100)} == {200}
    assert upload(client, version).status_code in {200, 201}


def test_a_killed_database_is_a_503_and_all_that_was_answered_is_there(
    asked: tuple[Client, Service], own_postgresql: Own
) -> None:
    client, _ = asked
    own_postgresql.kill()
    assert is_refused(client.get("/models"))
    assert is_refused(client.post("/models", json={"name": "rose"}))
    assert not is_ready(client)
    own_postgresql.start()
    await_true(lambda: is_ready(client))
    assert [each["name"] for each in client.get("/models").json()["items"]] == ["iris"]
    assert client.post("/models", json={"name": "rose"}).status_code == 201


def test_connections_that_a_failover_cut_in_a_transaction_undo_it(
    asked: tuple[Client, Service], own_postgresql: Own
) -> None:
    client, service = asked

    def write() -> None:
        with service.database.write() as connection:
            connection.execute(text("UPDATE models SET owner = 'lost'"))
            own_postgresql.kill()
            connection.execute(text("UPDATE models SET owner = 'also lost'"))

    with pytest.raises(DatabaseError):
        write()
    own_postgresql.start()
    await_true(lambda: is_ready(client))
    assert client.get("/models/iris").json()["owner"] is None


def test_a_replica_is_read_and_writes_wait_until_it_is_the_primary(
    asked: tuple[Client, Service], own_postgresql: Own
) -> None:
    client, service = asked
    own_postgresql.become_replica()
    await_true(lambda: is_ready(client))
    assert client.get("/models/iris").status_code == 200
    with service.database.read() as connection:
        pids = connection.scalars(text("SELECT pid FROM pg_stat_activity WHERE datname = current_database()"))
        before = set(pids)
    assert is_refused(client.post("/models", json={"name": "rose"}))
    with service.database.read() as connection:
        assert connection.scalar(text("SELECT pg_backend_pid()")) not in before, "its connections are kept"
    own_postgresql.become_primary()
    await_true(lambda: client.post("/models", json={"name": "rose"}).status_code == 201)


@contextmanager
def process(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "mlplat", "registry", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as started:
        try:
            yield started
        finally:
            started.kill()


def test_a_registry_ends_while_its_database_hangs(own_postgresql: Own, tmp_path: Path) -> None:
    port = free_port()
    url = own_postgresql.databases.new_url(tables=True)
    words = ["--store", f"{tmp_path}/store", "--database", url, "--port", str(port), "--drain-seconds", "0", "--open"]
    with process(*words, "--sync-seconds", "0.1") as registry, Client(base_url=f"http://127.0.0.1:{port}") as client:

        def answers() -> bool:
            try:
                return is_ready(client)
            except httpx.TransportError:
                return False

        await_true(answers, 60)
        own_postgresql.hang()
        assert not is_ready(client)
        registry.send_signal(signal.SIGTERM)
        assert registry.wait(30) == 0
