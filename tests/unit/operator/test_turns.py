"""A changed base rolls a few Deployments at a time."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import Any

import httpx2
import pytest

from mlplat.operator.base import Base
from mlplat.operator.children import BASE_ANNOTATION, Manifest, Owner
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


def test_one_that_rolls_keeps_its_turn_though_something_beside_it_could_not_be_written() -> None:
    seen = fleet()
    turns = Turns(seen, digest=NEW, most=1)
    assert not turns.waits(KEYS[0])
    seen[KEYS[0]] = deployment(NEW, ready=False)
    turns.give_back(KEYS[0])
    assert turns.waits(KEYS[1])


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


@asynccontextmanager
async def operating(
    server: ApiServer, worlds: Sequence[World], metrics: OperatorMetrics, *deployments: Manifest, status: Manifest
) -> AsyncIterator[Reconciler]:
    """What looks at ModelDeployments of this status, whose base has changed, beside more Deployments; there is one turn."""
    async with server.client() as client, httpx2.AsyncClient() as pods:

        def informer(kind: Any, *objects: Manifest) -> Informer:
            out = Informer(client, kind, namespaces=["ml"], changed=lambda _: None)
            for each in objects:
                out.apply(_read(each))
            return out

        children = {kind: informer(resource) for kind, resource in CHILDREN.items()}
        for (kind, _), child in [pair for world in worlds for pair in world.children.items()]:
            children[kind].apply(_read(child))
        for each in deployments:
            children["Deployment"].apply(_read(each))
        resources = [
            {
                "metadata": {**asdict(world.owner), "generation": world.generation},
                "spec": world.spec,
                "status": status,
            }
            for world in worlds
        ]
        cluster = Cluster(client)
        yield Reconciler(
            cluster,
            informer(ModelDeployments, *resources),
            children,
            versions=VersionBook(lambda: open_store("memory://"), seconds=1, changed=lambda _: None),
            scraper=Scraper(lambda key: cluster.pods(*key), lambda _: None, client=pods),
            base=replace(worlds[0].base, digest=NEW),
            metrics=metrics,
            max_rolling=1,
        )


async def wait_for_a_turn(server: ApiServer, world: World, status: Manifest, metrics: OperatorMetrics) -> float | None:
    """Look at a ModelDeployment while another one has the only turn."""
    busy = deployment(NEW, ready=False)
    busy["metadata"] |= {"namespace": "ml", "name": "other"}
    async with operating(server, [world], metrics, busy, status=status) as reconciler:
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


def test_one_that_did_not_hear_of_its_write_lets_another_have_its_turn(
    server: ApiServer, world: World, owner: Owner, base: Base
) -> None:
    other = World(replace(owner, name="other"), base)
    for each in (world, other):
        each.spec["store"] = {"url": "s3://elsewhere"}  # what the pods find there is not asked here
        status = each.settle().status.model_dump(mode="json", by_alias=True, exclude_none=True)
    server.refusals["/deployments/iris"] = (0, "cut")
    metrics = OperatorMetrics()

    async def scenario() -> None:
        async with operating(server, [world, other], metrics, status=status) as reconciler:
            with pytest.raises(httpx2.TransportError):
                await reconciler.reconcile(("ml", "iris"))
            await reconciler.reconcile(("ml", "other"))

    asyncio.run(scenario())
    assert "PATCH /apis/apps/v1/namespaces/ml/deployments/other" in server.writes
