"""Scenario 4: what happens to pods, nodes and the control plane takes nothing from who asks for predictions.

In anything planned no request fails. For a crash the number of failures is printed, and all is whole again without help.
"""

import json
import time
from collections.abc import Callable

import pytest

from . import processes
from .clients import Client, Traffic, under_load
from .cluster import CommandError
from .load import Shape
from .namespace import Object, is_ready
from .polling import poll
from .release import Release

LIGHT = Shape(keep_alive=4, fresh=2, rate=100, seconds=400)

SPREAD = (
    *("--set", "store.pvc.accessMode=ReadWriteMany,store.pvc.storageClass=shared"),
    *("--set", "serving.replicas=2,serving.spread.nodes=true,serving.podDisruptionBudget.enabled=true"),
)

OUTAGE_SECONDS = 20


def test_evictions_fail_no_request_and_come_one_by_one(release: Release, clients: Callable[..., list[Client]]) -> None:
    release.install(*SPREAD)
    first, second = release.await_settled(2)
    assert first["spec"]["nodeName"] != second["spec"]["nodeName"]

    with under_load(*clients(LIGHT)) as traffic:
        traffic.await_more(500)
        evict(release, first)
        with pytest.raises(CommandError, match="disruption budget"):
            evict(release, second)
        poll(
            lambda: all(pod["metadata"]["uid"] != first["metadata"]["uid"] for pod in release.pods()),
            "the first is gone",
        )
        release.await_settled(2)
        evict(release, second)
        poll(
            lambda: all(pod["metadata"]["uid"] != second["metadata"]["uid"] for pod in release.pods()),
            "the second is gone",
        )
        release.await_settled(2)
        traffic.await_more(500)
    traffic.assert_none_failed(2000)


def test_a_killed_process_is_whole_again_without_help(release: Release, clients: Callable[..., list[Client]]) -> None:
    release.install("--set", "serving.replicas=2")
    victim = release.await_settled(2)[0]["metadata"]["name"]

    with under_load(*clients(LIGHT)) as traffic:
        traffic.await_more(500)
        processes.kill(victim)
        poll(lambda: restarts(release)[victim] == 1, f"{victim} has restarted")
        release.await_settled(2)
        whole = time.time()
        traffic.await_more(500)
    assert_none_failed_after(traffic, whole)


@pytest.mark.disruptive
def test_draining_a_node_fails_no_request(release: Release, clients: Callable[..., list[Client]]) -> None:
    release.install(*SPREAD, "--set", f"serving.podLabels.scenario={release.namespace.name}")
    pods = release.await_settled(2)
    kubectl = release.namespace.kubectl
    selector = f"--pod-selector=scenario={release.namespace.name}"

    with under_load(*clients(LIGHT)) as traffic:
        traffic.await_more(500)
        try:
            kubectl("drain", "node2", selector, "--delete-emptydir-data", "--ignore-daemonsets", "--timeout=120s")
            assert {pod["spec"].get("nodeName") for pod in release.pods() if is_ready(pod)} == {"node1"}
            traffic.await_more(500)
        finally:
            kubectl("uncordon", "node2")
        after = release.await_settled(2)
        assert (
            {pod["spec"]["nodeName"] for pod in after}
            == {"node1", "node2"}
            == {pod["spec"]["nodeName"] for pod in pods}
        )
        traffic.await_more(500)
    traffic.assert_none_failed(2000)


@pytest.mark.disruptive
def test_an_outage_of_the_api_server_fails_no_request(release: Release, clients: Callable[..., list[Client]]) -> None:
    release.install("--set", "serving.replicas=2")
    before = release.await_settled(2)

    with under_load(*clients(LIGHT)) as traffic:
        traffic.await_more(500)
        release.namespace.cluster.stop("kube-apiserver")
        try:
            stopped = time.monotonic()
            poll(lambda: time.monotonic() > stopped + OUTAGE_SECONDS, "the outage is over")
        finally:
            release.namespace.cluster.start("kube-apiserver")
        traffic.await_more(500)
        after = release.await_settled(2)
    assert {pod["metadata"]["uid"] for pod in after} == {pod["metadata"]["uid"] for pod in before}
    assert set(restarts(release).values()) == {0}
    traffic.assert_none_failed(5000)


def evict(release: Release, pod: Object) -> None:
    """What a drain asks for."""
    name = {"name": pod["metadata"]["name"], "namespace": release.namespace.name}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": name}
    path = f"/api/v1/namespaces/{name['namespace']}/pods/{name['name']}/eviction"
    release.namespace.kubectl("create", "--raw", path, "--filename", "-", stdin=json.dumps(eviction))


def restarts(release: Release) -> dict[str, int]:
    """How often the container of each serving pod was started again."""
    return {
        str(pod["metadata"]["name"]): sum(each["restartCount"] for each in pod["status"].get("containerStatuses", ()))
        for pod in release.pods()
    }


def assert_none_failed_after(traffic: Traffic, moment: float) -> None:
    """No request that began after a Unix time failed."""
    failures = [failure for result in traffic.results.values() for failure in result.failures]
    assert [failure for failure in failures if failure.begun > moment] == [], traffic.summary()
