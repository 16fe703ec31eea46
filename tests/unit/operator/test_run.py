"""An operator at work beside answers of an API server, and what its probes tell."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Self

import httpx2
import pytest

from mlplat.operator import informer, run
from mlplat.operator.base import Base
from mlplat.operator.children import Manifest
from mlplat.operator.metrics import OperatorMetrics
from mlplat.operator.run import Operator, probes

from .apiserver import ApiServer

REFUSED = (403, "modeldeployments.mlplat.dev is forbidden")


def iris(namespace: str) -> Manifest:
    """A ModelDeployment that was just made."""
    return {
        "apiVersion": "mlplat.dev/v1",
        "kind": "ModelDeployment",
        "metadata": {"name": "iris", "namespace": namespace, "uid": "u", "resourceVersion": "9", "generation": 1},
        "spec": {"modelName": "iris", "modelVersion": "v1", "store": {"url": "s3://elsewhere"}},
    }


def writes(server: ApiServer, namespace: str) -> bool:
    """Whether there were any in a namespace."""
    return any(f"/namespaces/{namespace}/" in each for each in list(server.writes))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    """An API server without HTTPRoutes, and a ModelDeployment in each of two namespaces."""
    monkeypatch.setattr(run, "UNKNOWN_SECONDS", 0.02)
    monkeypatch.setattr(informer, "FIRST_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(informer, "LONGEST_RETRY_SECONDS", 0.1)
    with ApiServer() as running:
        running.refusals["/httproutes"] = (404, "not found")
        running.items["modeldeployments"] = [iris("ml"), iris("gone")]
        yield running


class Operating:
    """An operator that runs until something holds."""

    def __init__(self, server: ApiServer, base: Base, store: Path) -> None:
        self._server = server
        self._base = base
        self._store = store

    async def __aenter__(self) -> Self:
        self._client = self._server.client()
        self.operator = Operator(
            self._client,
            OperatorMetrics(),
            namespaces=["gone", "ml"],
            base=self._base,
            store=self._store.as_uri(),
            poll_seconds=1,
            max_rolling=1,
        )
        self._running = asyncio.create_task(self.operator.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        await asyncio.wait([self._running])
        await self._client.close()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(60):
            while not condition():
                assert not self._running.done(), self._running.exception()
                await asyncio.sleep(0.001)

    async def ready(self) -> httpx2.Response:
        """What the probe answers."""
        app = httpx2.ASGITransport(app=probes(self.operator))
        async with httpx2.AsyncClient(transport=app, base_url="http://operator") as client:
            return await client.get("/ready")


@pytest.fixture
def operating(server: ApiServer, base: Base, tmp_path: Path) -> Operating:
    """An operator of two namespaces."""
    return Operating(server, base, tmp_path)


class TestNamespaces:
    def test_one_that_refuses_does_not_stop_the_others(self, server: ApiServer, operating: Operating) -> None:
        server.refusals["/namespaces/gone/"] = REFUSED

        async def scenario() -> None:
            async with operating:
                await operating.until(lambda: writes(server, "ml"))
                answer = await operating.ready()
                assert answer.status_code == 200
                assert "ModelDeployment in gone" in answer.json()["failing"]
                told = operating.operator.metrics.exposition().decode()
                assert 'mlplat_operator_failing_watches{kind="ModelDeployment"} 1.0' in told

        asyncio.run(scenario())

    def test_it_is_not_ready_where_all_refuse(self, server: ApiServer, operating: Operating) -> None:
        server.refusals["/modeldeployments"] = REFUSED

        async def scenario() -> None:
            async with operating:
                await operating.until(lambda: len(operating.operator.failing) == 2)
                assert (await operating.ready()).status_code == 503

        asyncio.run(scenario())

    def test_nothing_is_changed_before_every_kind_is_known(self, server: ApiServer, operating: Operating) -> None:
        server.refusals["/namespaces/gone/deployments"] = REFUSED

        async def scenario() -> None:
            async with operating:
                await operating.until(lambda: writes(server, "ml"))
                assert not writes(server, "gone")
                del server.refusals["/namespaces/gone/deployments"]
                await operating.until(lambda: writes(server, "gone"))
                assert operating.operator.failing == []

        asyncio.run(scenario())


def test_those_that_wait_are_told_while_no_worker_is_free(
    server: ApiServer, operating: Operating, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The only one waits for an answer when another ModelDeployment comes."""
    monkeypatch.setattr(run, "WORKERS", 1)
    answers = server.holds["/iris/status"] = Event()
    server.refusals["/namespaces/gone/modeldeployments"] = REFUSED

    async def scenario() -> None:
        async with operating:
            told = operating.operator.metrics.exposition
            try:
                await operating.until(lambda: any("/iris/status" in each for each in list(server.writes)))
                assert b"mlplat_operator_queue 0.0" in told()
                del server.refusals["/namespaces/gone/modeldeployments"]
                await operating.until(lambda: b"mlplat_operator_queue 1.0" in told())
            finally:
                answers.set()
            await operating.until(lambda: b"mlplat_operator_queue 0.0" in told())

    asyncio.run(scenario())


class TestRoutes:
    """Whether the cluster has HTTPRoutes is not told by one answer."""

    @pytest.fixture(autouse=True)
    def often(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Look often."""
        monkeypatch.setattr(run, "GATEWAY_SECONDS", 0.01)
        monkeypatch.setattr(run, "FIRST_RETRY_SECONDS", 0.01)

    @pytest.mark.parametrize(
        ("lapses", "lists"),
        [
            ([(404, "not found")] * 2, 1),
            ([REFUSED] * 5, 1),
            ([(503, "starting")] * 5, 1),
            ([(404, "not found")] * 3, 2),
        ],
        ids=["not-yet", "refused", "starting", "gone"],
    )
    def test_they_are_given_up_only_when_they_are_gone_for_some_time(
        self, server: ApiServer, operating: Operating, lapses: list[tuple[int, str]], lists: int
    ) -> None:
        def count(limit: int) -> int:
            return sum(f"/gone/httproutes?limit={limit}" in read for read in server.reads)

        async def scenario() -> None:
            async with operating:
                await operating.until(lambda: operating.operator.synced and count(500) == 1)
                server.lapses["/gone/httproutes?limit=1"] = lapses
                await operating.until(lambda: not lapses)
                looks = count(1)
                await operating.until(lambda: count(1) >= looks + 2)
                assert count(500) == lists  # they are followed as before, or anew

        del server.refusals["/httproutes"]
        asyncio.run(scenario())

    def test_one_namespace_that_refuses_does_not_hide_them(self, server: ApiServer, operating: Operating) -> None:
        server.refusals = {"/gone/httproutes": REFUSED}

        async def scenario() -> None:
            async with operating:
                await operating.until(lambda: any("/ml/httproutes?limit=500" in read for read in server.reads))

        asyncio.run(scenario())
