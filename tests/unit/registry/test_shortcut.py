"""What the shortcut answers is what the framework would."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from threading import Thread

import pytest
from httpx import Client
from tests.registries import await_true

from mlplat.objects.cloud import CloudObjects
from mlplat.registry import indexing
from mlplat.registry.access import KeyRing
from mlplat.registry.database import Database
from mlplat.registry.metrics import RegistryMetrics
from mlplat.registry.service import LOOKS, Service
from mlplat.store import ObjectStore

from .conftest import ADMIN, Publish, serving

PATHS = (
    "/models",
    "/models/iris",
    "/models/iris/versions",
    "/models/iris/versions/v1",
    "/models/nowhere",
    "/models/nowhere/versions",
    "/models/nowhere/versions/v1",
    "/models/iris/versions/v9",
    "/models/.iris",
    "/models/iris..x/versions",
    "/models/iris/versions/v1%0A",
    "/models/iris%2Fx",
    "/models/iris/",
    "/search",
)
QUERIES = (
    "limit=1",
    "limit=200",
    "limit=201",
    "limit=0",
    "limit=",
    "limit=01",
    "limit=%C2%B2",
    "limit=1&limit=2",
    "limit=2&cursor=nonsense",
    "cursor=",
    "cursor=" + "x" * 3000,
    "sort=-created_at",
    "sort=name",
    "sort=",
    "sort=" + "x" * 201,
    "sort=" + "x" * 221,
    "sort=%00",
    "tag=a:b",
    "q=ir",
    "q=ir+ro&limit=1",
    "q=%C3%A4%FF;",
    "q=",
    "q=" + "x" * 201,
    "q=" + "x+" * 20,
    "q=a&q=ir",
    "&limit=1&",
    "=1",
    "%00=1",
)
ASKED = [*PATHS, *(f"{path}?{query}" for path in (PATHS[0], PATHS[2], "/search") for query in QUERIES)]


@pytest.mark.parametrize("path", ASKED)
def test_a_plain_read_is_answered_as_the_framework_does(
    client: Client, service: Service, publish: Publish, path: str
) -> None:
    for model in ("iris", "rose"):
        for version in ("v1", "v2"):
            publish(version, model=model)
    indexing.index_store(service.database, service.store)
    plain, asked = client.get(path), client.get(f"{path}{'&' if '?' in path else '?'}unknown=1")
    assert (plain.status_code, plain.content) == (asked.status_code, asked.content)
    fresh = {"x-request-id", "date"}
    assert [(n, v) for n, v in plain.headers.multi_items() if n not in fresh] == [
        (n, v) for n, v in asked.headers.multi_items() if n not in fresh
    ]


def test_the_pages_of_a_list_follow_each_other(client: Client, service: Service, publish: Publish) -> None:
    for version in ("v1", "v2", "v3"):
        publish(version)
    indexing.index_store(service.database, service.store)
    first = client.get("/models/iris/versions?limit=2&sort=version").json()
    second = client.get(f"/models/iris/versions?limit=2&sort=version&cursor={first['next']}").json()
    assert [found["version"] for found in first["items"] + second["items"]] == ["v1", "v2", "v3"]
    assert second["next"] is None


def test_a_key_sees_no_more_by_it(
    client: Client, service: Service, publish: Publish, key: Callable[..., dict[str, str]]
) -> None:
    publish("v1")
    indexing.index_store(service.database, service.store)
    headers = key("reader", "team-*")
    assert client.get("/models", headers=headers).json()["items"] == []
    for path in ("/models/iris", "/models/iris/versions", "/models/iris/versions/v1"):
        assert client.get(path, headers=headers).status_code == client.get(path + "?a=1", headers=headers).status_code
        assert client.get(path, headers=headers).status_code in {403, 404}


class HangingStore:
    """An object store that takes connections and says nothing until it is closed."""

    def __init__(self) -> None:
        self.taken: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = Thread(target=self._take)
        self._thread.start()

    def close(self) -> None:
        """Cut all connections, and take no more."""
        with suppress(OSError):  # it is closed already
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for each in [self._listener, *self.taken]:
            each.close()

    def _take(self) -> None:
        with suppress(OSError):
            while True:
                self.taken.append(self._listener.accept()[0])


@pytest.fixture
def hanging_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[HangingStore]:
    store = HangingStore()
    monkeypatch.setenv("AWS_ENDPOINT_URL", store.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    yield store
    store.close()


def test_a_store_that_hangs_leaves_threads_to_those_who_ask_the_database_only(
    url: str, key: Callable[..., dict[str, str]], hanging_store: HangingStore, tmp_path: Path
) -> None:
    database = Database(url)
    store = ObjectStore(CloudObjects("s3://bucket", timeout=timedelta(minutes=10), retry=timedelta(0)))
    service = Service(database, store, KeyRing(database, admin_key=ADMIN), tmp_path, 4 << 20, RegistryMetrics())
    with serving(service) as base, Client(base_url=base, headers={"X-API-Key": ADMIN}, timeout=110) as client:
        assert service.prepared.wait(30)
        assert client.post("/models", json={"name": "iris", "tags": {"team": "a"}}).status_code == 201
        with ThreadPoolExecutor(60) as threads, closing(hanging_store):  # the threads end with it
            missing = [threads.submit(client.get, f"/models/none{number}") for number in range(60)]
            await_true(lambda: sum(each.done() for each in missing) == 60 - LOOKS, 60)
            await_true(lambda: len(hanging_store.taken) >= LOOKS)
            for path in ("/models/iris", "/models?tag=team:a", "/models"):
                assert client.get(path, headers=key("reader")).status_code == 200
            assert sum(each.done() for each in missing) == 60 - LOOKS
        assert {each.result().status_code for each in missing} == {503}
        assert all(int(each.result().headers["Retry-After"]) > 0 for each in missing)


def test_its_requests_are_counted_under_their_route(client: Client) -> None:
    client.get("/models")
    client.get("/models/nowhere/versions/v1")
    client.get("/search?q=x")
    counted = client.get("/metrics").text
    assert 'mlplat_registry_requests_total{method="GET",route="/models",status="200"}' in counted
    assert 'mlplat_registry_requests_total{method="GET",route="/search",status="200"}' in counted
    assert 'route="/models/{name}/versions/{version}",status="404"' in counted
