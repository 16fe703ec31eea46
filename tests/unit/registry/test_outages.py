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
from httpx import Client
from sqlalchemy import text
from tests.registries import await_listening, await_true

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
    database = Database(own_postgresql.databases.new_url(tables=True), pool_size=4, answer_seconds=3)
    store = open_object_store(str(tmp_path / "store"))
    service = Service(database, store, KeyRing(database, admin_key=ADMIN), tmp_path, 4 << 20, RegistryMetrics())
    limits = httpx.Limits(max_connections=None)  # the probes wait for none of the others
    with (
        serving(service) as base,
        Client(base_url=base, headers={"X-API-Key": ADMIN}, timeout=60, limits=limits) as client,
    ):
        assert service.prepared.wait(30)
        await_true(lambda: client.post("/models", json={"name": "iris"}).status_code in {201, 409}, 60)
        yield client, service
        own_postgresql.go_on()


def is_refused(answer: httpx.Response) -> bool:
    said = (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    return said and int(answer.headers["retry-after"]) > 0


def probe(client: Client, path: str) -> int:
    """What a probe is told; 0 if that is too late, as it may be once on a busy machine."""
    try:
        return client.get(path, timeout=READY_SECONDS).status_code
    except httpx.TransportError:
        return 0


def await_probe(client: Client, path: str, status: int) -> None:
    await_true(lambda: probe(client, path) == status, 60)


def await_answer(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """What is answered once the database is as fast as it was: it comes back under load."""
    answers: list[httpx.Response] = []

    def is_given() -> bool:
        answers.append(ask())
        return answers[-1].status_code != 503

    await_true(is_given, 60)
    return answers[-1]


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
        await_probe(client, "/health", 200)
        await_probe(client, "/ready", 503)
        assert all(is_refused(each.result()) for each in asking)
    assert is_refused(client.get("/models"))
    assert "mlplat_registry_database_up 0.0" in client.get("/metrics").text
    own_postgresql.go_on()
    await_probe(client, "/ready", 200)
    with ThreadPoolExecutor(50) as threads:
        await_true(lambda: {each.status_code for each in threads.map(client.get, ["/models"] * 100)} == {200}, 60)
    assert await_answer(lambda: upload(client, version)).status_code in {200, 201}


def test_a_killed_database_is_a_503_and_all_that_was_answered_is_there(
    asked: tuple[Client, Service], own_postgresql: Own
) -> None:
    client, _ = asked
    own_postgresql.kill()
    assert is_refused(client.get("/models"))
    assert is_refused(client.post("/models", json={"name": "rose"}))
    await_probe(client, "/ready", 503)
    own_postgresql.start()
    await_probe(client, "/ready", 200)
    found = await_answer(lambda: client.get("/models")).json()["items"]
    assert [each["name"] for each in found] == ["iris"]
    assert await_answer(lambda: client.post("/models", json={"name": "rose"})).status_code == 201


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
    await_probe(client, "/ready", 200)
    assert await_answer(lambda: client.get("/models/iris")).json()["owner"] is None


def test_a_replica_is_read_and_writes_wait_until_it_is_the_primary(
    asked: tuple[Client, Service], own_postgresql: Own
) -> None:
    client, service = asked
    own_postgresql.become_replica()
    await_probe(client, "/ready", 200)
    assert await_answer(lambda: client.get("/models/iris")).status_code == 200
    with service.database.read() as connection:
        pids = connection.scalars(text("SELECT pid FROM pg_stat_activity WHERE datname = current_database()"))
        before = set(pids)
    assert is_refused(client.post("/models", json={"name": "rose"}))
    with service.database.read() as connection:
        assert connection.scalar(text("SELECT pg_backend_pid()")) not in before, "its connections are kept"
    own_postgresql.become_primary()
    assert await_answer(lambda: client.post("/models", json={"name": "rose"})).status_code == 201


@contextmanager
def process(log: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "mlplat", "registry", *words]
    with log.open("wb") as output, subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=output) as started:
        try:
            yield started
        finally:
            started.kill()


def test_a_registry_ends_while_its_database_hangs(own_postgresql: Own, tmp_path: Path) -> None:
    log = tmp_path / "log"
    url = own_postgresql.databases.new_url(tables=True)
    words = ["--store", f"{tmp_path}/store", "--database", url, "--port", "0", "--drain-seconds", "0", "--open"]
    with process(log, *words, "--sync-seconds", "0.1") as registry:
        with Client(base_url=await_listening(log, registry)) as client:
            await_probe(client, "/ready", 200)
            own_postgresql.hang()
            await_probe(client, "/ready", 503)
        registry.send_signal(signal.SIGTERM)
        assert registry.wait(30) == 0
