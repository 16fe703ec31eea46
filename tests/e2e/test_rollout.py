"""Scenario 2: to v2 and back under load, without a failed request."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import pykube
import pytest

from .clients import Client, MachineClient, Traffic, under_load
from .load import Shape, Target
from .polling import poll
from .release import FLOWER, NAME, Release

REQUESTS = 20_000

EDGE_SECONDS = 1.0
"""After the old pods are gone, answers that were under way may still be counted for so long."""

ROUTER = "http://{}:30880/predict"
"""Where the ingress controller of the cluster listens on each node."""


def upgrade_and_roll_back(release: Release, traffic: Traffic, *words: str) -> None:
    """Move a release of two pods to v2 and back under load; who answered when is as it should be.

    A router may lead to the new pods a moment after they are Ready, so after `helm --wait` has ended.
    """
    traffic.await_more(1000)
    upgrading = time.time()
    release.upgrade(*words, "--set", "model.version=v2")
    release.await_settled(2)
    only_v2 = time.time() + EDGE_SECONDS
    traffic.await_more(2000)
    rolling_back = time.time()
    release.rollback()
    rolled_back = time.time()
    release.await_settled(2)
    only_v1 = time.time() + EDGE_SECONDS
    traffic.await_more(max(2000, REQUESTS - sum(traffic.answered().values())))
    traffic.stop()

    traffic.assert_none_failed(REQUESTS)
    assert traffic.versions_between(0, upgrading) == {"v1"}
    assert traffic.versions_between(upgrading, only_v2) == {"v1", "v2"}
    assert traffic.versions_between(only_v2, rolling_back) == {"v2"}
    assert traffic.versions_between(rolling_back, only_v1) == {"v1", "v2"}
    assert traffic.versions_between(only_v1, time.time()) == {"v1"}
    back = traffic.first_after(rolling_back, "v1") - rolling_back
    print(f"v1 answers again {back:.1f} s after `helm rollback` began, which took {rolled_back - rolling_back:.1f} s")  # noqa: T201


def answers(url: str, host: str) -> bool:
    """Whether a prediction comes from there already."""
    return httpx.post(url, json=FLOWER, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("helm", ["helm", "helm3"])
def test_upgrade_and_rollback_fail_no_request(release: Release, clients: Callable[..., list[Client]]) -> None:
    two = ("--set", "serving.replicas=2")
    release.install(*two)
    release.await_settled(2)

    with under_load(*clients(Shape(keep_alive=6, fresh=3, rate=200, seconds=400))) as traffic:
        upgrade_and_roll_back(release, traffic, *two)

    jobs = {job["metadata"]["name"] for job in release.namespace.objects(pykube.Job)}
    assert jobs == {release.job("v1")["metadata"]["name"]}
    assert [revision["status"] for revision in release.history()] == ["superseded", "superseded", "deployed"]
    assert release.namespace.object(pykube.Deployment, NAME)["spec"]["replicas"] == 2


def test_upgrade_and_rollback_fail_no_request_behind_a_router(release: Release, tmp_path: Path) -> None:
    release.namespace.cluster.addon("traefik")
    hosts = {"ingress": f"ingress.{release.namespace.name}.test", "route": f"route.{release.namespace.name}.test"}
    settings = {
        "serving.replicas": "2",
        "serving.settings.drainSeconds": "20",  # the chart's own: a router has to notice that a pod leaves
        "serving.ingress.enabled": "true",
        "serving.ingress.hosts[0]": hosts["ingress"],
        "serving.httpRoute.enabled": "true",
        "serving.httpRoute.hostnames[0]": hosts["route"],
        "serving.httpRoute.parentRefs[0].name": "traefik",
        "serving.httpRoute.parentRefs[0].namespace": "traefik",
    }
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    release.install(*words)
    release.await_settled(2)
    urls = [ROUTER.format(release.address(node)) for node in (0, 1)]
    for host in hosts.values():
        poll(partial(answers, urls[0], host), f"{host} answers")
    shape = Shape(keep_alive=6, fresh=3, rate=300, seconds=400)
    targets = {name: Target(url, host=host) for (name, host), url in zip(hosts.items(), urls, strict=True)}

    with under_load(*(MachineClient(name, target, shape, tmp_path) for name, target in targets.items())) as traffic:
        upgrade_and_roll_back(release, traffic, *words)

    assert httpx.get(urls[0].replace("/predict", "/docs"), headers={"Host": hosts["ingress"]}).status_code == 404
    assert httpx.get(urls[0].replace("/predict", "/metrics"), headers={"Host": hosts["route"]}).status_code == 404
