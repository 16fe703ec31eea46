"""What one look writes, and what it tells of what the API server refuses."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from mlplat.operator.base import Base
from mlplat.operator.cluster import CHILDREN, Cluster, ModelDeployments
from mlplat.operator.informer import Informer
from mlplat.operator.metrics import OperatorMetrics
from mlplat.operator.reconcile import REFUSED_SECONDS, TOLERATED_FAILURES, Reconciler, wish_of
from mlplat.operator.scrape import Scraper
from mlplat.operator.status import Reason
from mlplat.operator.versions import VersionBook, Wish
from mlplat.store import open_store

from .apiserver import ApiServer

KEY = ("ml", "iris")
STATUS = "PATCH /apis/mlplat.dev/v1/namespaces/ml/modeldeployments/iris/status"
UNTYPED = (
    "failed to create typed patch object (ml/iris; apps/v1, Kind=Deployment): "
    ".spec.template.spec.tolerations[0].keyy: field not declared in schema"
)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """An API server."""
    with ApiServer() as running:
        yield running


class Looking:
    """An operator that looks at one ModelDeployment.

    Attributes:
        resources: that it knows.
        again: when it wants to look again.
        metrics: what it counted.
    """

    def __init__(self, server: ApiServer, base: Base, **spec: Any) -> None:
        self._server = server
        self._base = base
        self.metrics = OperatorMetrics()
        self._spec = {"modelName": "iris", "modelVersion": "v1", **spec}

    async def look(self, *, failures: int = 0) -> None:
        """Look at it for the first time, after so many looks that fail and tell nothing."""
        async with self._server.client() as client, httpx2.AsyncClient() as pods:
            cluster = Cluster(client)

            def informer(kind: Any) -> Informer:
                return Informer(client, kind, namespaces=["ml"], changed=lambda _: None)

            self.resources = informer(ModelDeployments)
            self.resources.apply(
                {
                    "metadata": {
                        "namespace": "ml",
                        "name": "iris",
                        "uid": "u",
                        "resourceVersion": "9",
                        "generation": 1,
                    },
                    "spec": self._spec,
                }
            )
            reconciler = Reconciler(
                cluster,
                self.resources,
                {kind: informer(resource) for kind, resource in CHILDREN.items()},
                versions=VersionBook(lambda: open_store("memory://"), seconds=1, changed=lambda _: None),
                scraper=Scraper(lambda key: cluster.pods(*key), lambda _: None, client=pods),
                base=self._base,
                metrics=self.metrics,
                max_rolling=1,
            )
            for _ in range(failures):
                with pytest.raises(httpx2.HTTPStatusError):
                    await reconciler.reconcile(KEY)
                assert STATUS not in self._server.writes
            self.again = await reconciler.reconcile(KEY)

    def told(self) -> tuple[str, str]:
        """Reason and message of the status that was written."""
        ready = self._server.writes[STATUS]["status"]["conditions"][0]
        return ready["reason"], ready["message"]


def test_one_that_is_gone_is_forgotten(server: ApiServer, base: Base) -> None:
    server.refusals["/iris/status"] = (404, 'modeldeployments.mlplat.dev "iris" not found')
    looking = Looking(server, base, environment="moon")
    asyncio.run(looking.look())
    assert looking.told()[0] == Reason.INVALID_SPEC
    assert KEY not in looking.resources.objects


def test_a_field_that_kubernetes_does_not_know_is_told(server: ApiServer, base: Base) -> None:
    server.refusals["PATCH /apis/apps/v1"] = (500, UNTYPED)
    looking = Looking(server, base, store={"url": "s3://elsewhere"}, tolerations=[{"keyy": "gpu"}])
    asyncio.run(looking.look())
    assert looking.told() == (Reason.REFUSED, UNTYPED)
    assert looking.again == REFUSED_SECONDS


def test_another_failure_is_told_when_it_lasts(server: ApiServer, base: Base) -> None:
    server.refusals["PATCH /apis/apps/v1"] = (500, "failed calling webhook")
    looking = Looking(server, base, store={"url": "s3://elsewhere"})
    asyncio.run(looking.look(failures=TOLERATED_FAILURES - 1))
    assert looking.told() == (Reason.REFUSED, "failed calling webhook")


def test_looks_are_counted_by_outcome_and_those_that_are_done_timed(server: ApiServer, base: Base) -> None:
    server.refusals["PATCH /apis/apps/v1"] = (500, "failed calling webhook")
    looking = Looking(server, base, store={"url": "s3://elsewhere"})
    asyncio.run(looking.look(failures=TOLERATED_FAILURES - 1))
    told = looking.metrics.exposition().decode().splitlines()
    expected = {
        f'mlplat_operator_reconciles_total{{outcome="failed"}} {TOLERATED_FAILURES - 1}.0',
        'mlplat_operator_reconciles_total{outcome="done"} 1.0',
        "mlplat_operator_reconcile_seconds_count 1.0",
    }
    assert expected <= set(told)


def test_the_store_of_an_environment_is_left_to_the_pods(server: ApiServer, base: Base) -> None:
    base = replace(base, environments={"elsewhere": {"store": {"url": "s3://elsewhere"}}})
    looking = Looking(server, base, environment="elsewhere")
    asyncio.run(looking.look())
    assert looking.told()[0] == Reason.ROLLING_OUT
    looking = Looking(server, base, environment="elsewhere", modelVersion=None, alias="champion")
    asyncio.run(looking.look())
    assert looking.told()[0] == Reason.INVALID_SPEC
    assert wish_of({"spec": {"modelName": "iris", "modelVersion": "v1", "environment": "elsewhere"}}, base) is None
    assert wish_of({"spec": {"modelName": "iris", "modelVersion": "v1"}}, base) == Wish("iris", "v1", None)
