"""A changed base rolls a few Deployments at a time."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from mlplat.operator.children import BASE_ANNOTATION, Manifest
from mlplat.operator.cluster import CHILDREN, Cluster, ModelDeployments
from mlplat.operator.informer import Informer
from mlplat.operator.metrics import OperatorMetrics
from mlplat.operator.reconcile import Reconciler
from mlplat.operator.scrape import Scraper
from mlplat.operator.status import Reason
from mlplat.operator.turns import Turns
from mlplat.operator.versions import VersionBook
from mlplat.store import open_store

from .apiserver import ApiServer
from .conftest import World

NEW, OLD = "new", "old"
KEYS = [("ml", f"m{number}") for number in range(4)]


def deployment(base: str | None, *, ready: bool = True, late: bool = False) -> Manifest:
    reason = "ProgressDeadlineExceeded" if late else "NewReplicaSetAvailable"
    return {
        "metadata": {"generation": 1, "annotations": {} if base is None else {BASE_ANNOTATION: base}},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{}]}}},
        "status": {
            "observedGeneration": 1,
            "replicas": 1,
            "updatedReplicas": int(ready),
            "availableReplicas": 1,
            "conditions": [{"type": "Progressing", "reason": reason}],
        },
    }


def fleet(base: str | None = OLD) -> dict[tuple[str, str], Manifest]:
    return {key: deployment(base) for key in KEYS}


def test_so_many_have_a_turn_and_the_others_wait_until_those_have_rolled() -> None:
    seen = fleet()
    turns = Turns(seen, digest=NEW, most=2)
    assert [turns.waits(key) for key in KEYS] == [False, False, True, True]
    seen[KEYS[0]] = deployment(NEW, ready=False)
    assert turns.waits(KEYS[2])
    seen[KEYS[0]] = deployment(NEW)
    assert [turns.waits(key) for key in KEYS] == [False, False, False, True]


def test_who_has_a_turn_keeps_it() -> None:
    turns = Turns(fleet(), digest=NEW, most=1)
    assert not turns.waits(KEYS[0])
    assert not turns.waits(KEYS[0])


def test_what_is_of_the_present_base_never_waits() -> None:
    seen = fleet(NEW)
    turns = Turns(seen, digest=NEW, most=1)
    assert [turns.waits(key) for key in [*KEYS, ("ml", "not there yet")]] == [False] * 5


def test_one_that_gets_nowhere_holds_up_no_other() -> None:
    seen = fleet()
    turns = Turns(seen, digest=NEW, most=1)
    assert [turns.waits(key) for key in KEYS[:2]] == [False, True]
    seen[KEYS[0]] = deployment(NEW, ready=False, late=True)
    assert not turns.waits(KEYS[1])


def test_one_that_is_deleted_or_cannot_be_written_lets_another_have_its_turn() -> None:
    seen = fleet()
    turns = Turns(seen, digest=NEW, most=1)
    assert not turns.waits(KEYS[0])
    del seen[KEYS[0]]
    assert not turns.waits(KEYS[1])
    turns.give_back(KEYS[1])
    assert not turns.waits(KEYS[2])


def test_after_a_restart_those_under_way_are_counted() -> None:
    seen = fleet(None) | {KEYS[0]: deployment(NEW, ready=False)}
    turns = Turns(seen, digest=NEW, most=1)
    assert turns.waits(KEYS[1])


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """An API server."""
    with ApiServer() as running:
        yield running


def _read(manifest: Manifest) -> Manifest:
    """As the API server answers it."""
    return manifest | {"metadata": {"resourceVersion": "1", **manifest["metadata"]}}


async def wait_for_a_turn(server: ApiServer, world: World, status: Manifest, metrics: OperatorMetrics) -> float | None:
    """Look at a ModelDeployment whose base has changed while another one has the only turn."""
    busy = deployment(NEW, ready=False)
    busy["metadata"] |= {"namespace": "ml", "name": "other"}
    async with server.client() as client, httpx2.AsyncClient() as pods:

        def informer(kind: Any, *objects: Manifest) -> Informer:
            out = Informer(client, kind, namespaces=["ml"], changed=lambda _: None)
            for each in objects:
                out.apply(_read(each))
            return out

        children = {kind: informer(resource) for kind, resource in CHILDREN.items()}
        for (kind, _), child in world.children.items():
            children[kind].apply(_read(child))
        children["Deployment"].apply(_read(busy))
        metadata = {"namespace": "ml", "name": "iris", "uid": world.owner.uid, "generation": world.generation}
        cluster = Cluster(client)
        reconciler = Reconciler(
            cluster,
            informer(ModelDeployments, {"metadata": metadata, "spec": world.spec, "status": status}),
            children,
            versions=VersionBook(lambda: open_store("memory://"), seconds=1, changed=lambda _: None),
            scraper=Scraper(lambda key: cluster.pods(*key), lambda _: None, client=pods),
            base=replace(world.base, digest=NEW),
            metrics=metrics,
            max_rolling=1,
        )
        return await reconciler.reconcile(("ml", "iris"))


def test_whoever_waits_is_told_of(server: ApiServer, world: World) -> None:
    """Its pods may die meanwhile."""
    status = world.settle().status.model_dump(mode="json", by_alias=True, exclude_none=True)
    world.roll_out(ready=0)
    metrics = OperatorMetrics()
    assert asyncio.run(wait_for_a_turn(server, world, status, metrics)) is not None
    (written,) = [body for path, body in server.writes.items() if path.endswith("/iris/status")]
    assert written["status"]["conditions"][0]["status"] == "False"
    assert not any("/apis/apps/v1" in path for path in server.writes)
    assert b'mlplat_operator_deployment_ready{name="iris",namespace="ml"} 0.0' in metrics.exposition()


def test_what_was_refused_is_told_until_it_is_tried_again(server: ApiServer, world: World) -> None:
    status = world.settle().status.model_dump(mode="json", by_alias=True, exclude_none=True)
    for condition in status["conditions"]:
        condition |= {"reason": Reason.REFUSED, "status": "False"}
    asyncio.run(wait_for_a_turn(server, world, status, OperatorMetrics()))
    assert server.writes == {}
