"""Scenario 4: what happens to pods, nodes and the control plane takes nothing from who asks for predictions.

In anything planned no request fails. For a crash the number of failures is printed, and all is whole again without help.
"""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from . import processes
from .clients import Client, MachineClient, Traffic, under_load
from .evictions import REFUSED, evict
from .load import Shape, Target
from .namespace import is_ready
from .pods import restricted_pod
from .polling import poll
from .release import Release

LIGHT = Shape(keep_alive=4, fresh=2, rate=100, seconds=400)

SPREAD = (
    *("--set", "store.pvc.accessMode=ReadWriteMany,store.pvc.storageClass=shared"),
    *("--set", "serving.replicas=2,serving.spread.nodes=true,serving.podDisruptionBudget.enabled=true"),
)

OUTAGE_SECONDS = 20
LEASE_SECONDS = 10
"""A controller manager that cannot renew its lease for so long ends by itself, and gives silent nodes their whole grace
when it is back. The one of this cluster runs without a lease, so the test stops it: else it would take all nodes for dead
as soon as the API is back, and their pods out of Services."""

STORE_OUTAGE_SECONDS = 60

CRASH_SECONDS = 60.0
"""After a crash requests fail at most for so long: Kubernetes takes up to 50 s to notice that a node is gone."""

SILENCE_SECONDS = 20.0
"""No client of several connections is without any answer for so long meanwhile, since not all of them lead to the dead."""


def test_evictions_fail_no_request_and_come_one_by_one(release: Release, clients: Callable[..., list[Client]]) -> None:
    release.install(*SPREAD)
    pods = release.await_settled(2)
    assert {pod["spec"]["nodeName"] for pod in pods} == {"node1", "node2"}
    first, second = (pod["metadata"]["name"] for pod in pods)

    with under_load(*clients(LIGHT)) as traffic:
        traffic.await_more(500)
        assert evict(release.namespace, first) == 201
        assert evict(release.namespace, second) == REFUSED
        poll(lambda: gone(release, first), f"{first} is gone")
        release.await_settled(2)
        assert evict(release.namespace, second) == 201
        poll(lambda: gone(release, second), f"{second} is gone")
        release.await_settled(2)
        traffic.await_more(500)
    traffic.assert_none_failed(2000)


def test_a_killed_process_is_whole_again_without_help(release: Release, clients: Callable[..., list[Client]]) -> None:
    release.install("--set", "serving.replicas=2")
    victim = release.await_settled(2)[0]

    with under_load(*clients(LIGHT)) as traffic:
        traffic.await_more(500)
        processes.kill(victim)
        poll(lambda: restarts(release)[victim["metadata"]["name"]] == 1, "the container has restarted")
        release.await_settled(2)
        whole = time.time()
        traffic.await_more(500)
    assert_whole_again(traffic, whole)


@pytest.mark.disruptive
def test_draining_a_node_fails_no_request(release: Release, clients: Callable[..., list[Client]]) -> None:
    release.install(*SPREAD, "--set", f"serving.podLabels.scenario={release.namespace.name}")
    assert {pod["spec"]["nodeName"] for pod in release.await_settled(2)} == {"node1", "node2"}
    kubectl = release.namespace.kubectl
    selector = f"--pod-selector=scenario={release.namespace.name}"

    with under_load(*clients(LIGHT)) as traffic:
        traffic.await_more(500)
        try:
            kubectl("drain", "node2", selector, "--delete-emptydir-data", "--ignore-daemonsets", "--timeout=120s")
            assert {pod["spec"]["nodeName"] for pod in release.await_settled(2)} == {"node1"}
            traffic.await_more(500)
        finally:
            kubectl("uncordon", "node2")
    traffic.assert_none_failed(2000)


@pytest.mark.disruptive
def test_an_outage_of_the_api_server_fails_no_request(release: Release, clients: Callable[..., list[Client]]) -> None:
    release.install("--set", "serving.replicas=2")
    before = release.await_settled(2)
    cluster = release.namespace.cluster

    with under_load(*clients(LIGHT)) as traffic:
        traffic.await_more(500)
        stopped = time.monotonic()
        cluster.stop("kube-apiserver")
        try:
            poll(lambda: time.monotonic() > stopped + LEASE_SECONDS, "the controller manager has lost its lease")
            cluster.stop("kube-controller-manager")
            poll(lambda: time.monotonic() > stopped + OUTAGE_SECONDS, "the outage is over")
        finally:
            cluster.start("kube-apiserver")
            cluster.start("kube-controller-manager")
        after = release.await_settled(2)
        traffic.await_more(1000)
    assert {pod["metadata"]["uid"] for pod in after} == {pod["metadata"]["uid"] for pod in before}
    assert set(restarts(release).values()) == {0}
    traffic.assert_none_failed(5000)


@pytest.mark.disruptive
def test_a_node_without_power_is_replaced_without_help(release: Release, tmp_path: Path) -> None:
    release.install(*SPREAD)
    release.await_settled(2)
    client = MachineClient("node1", Target(release.url()), replace(LIGHT, timeout=3), tmp_path)

    def replaced() -> bool:
        ready = [pod for pod in release.pods() if is_ready(pod)]
        return [pod["spec"]["nodeName"] for pod in ready] == ["node1", "node1"]

    try:
        with under_load(client) as traffic:
            traffic.await_more(500)
            release.namespace.cluster.stop("node2")
            poll(replaced, "two pods are Ready on the node that is left", 180)
            whole = time.time()
            traffic.await_more(1000)
    finally:
        release.namespace.cluster.start("node2")
    assert_whole_again(traffic, whole)


@pytest.mark.disruptive
def test_an_outage_of_the_store_fails_no_request_and_is_caught_up_with(
    release: Release, clients: Callable[..., list[Client]]
) -> None:
    release.namespace.cluster.addon("minio")
    store = {"MLPLAT_STORE": f"s3://models/{release.namespace.name}"}
    place = {"AWS_ENDPOINT_URL": "http://minio.minio.svc.cluster.local:9000", "AWS_REGION": "us-east-1"}
    keys = {"AWS_ACCESS_KEY_ID": "minioadmin", "AWS_SECRET_ACCESS_KEY": "minioadmin"}
    release.namespace.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "store"}, "stringData": keys})
    settings = [
        *(f"store.url={store['MLPLAT_STORE']},store.existingSecret=store", "model.version=,model.alias=champion"),
        *(f"store.env.{name}={value}" for name, value in place.items()),
        "serving.replicas=2,serving.settings.pollSeconds=1",
    ]
    release.install(*(word for setting in settings for word in ("--set", setting)))
    before = release.await_settled(2)
    first = release.predict()["model_version"]
    train = ["mlplat", "train", "--recipe", "iris", "--version", "v2", "--promote", "champion"]
    later = restricted_pod("later", release.image, train, {"/tmp": {"emptyDir": {}}})
    later["spec"]["containers"][0]["env"] = [{"name": k, "value": v} for k, v in (store | place | keys).items()]

    with under_load(*clients(LIGHT)) as traffic:
        traffic.await_more(500)
        (minio,) = processes.minio()
        os.kill(minio, signal.SIGSTOP)
        try:
            stopped = time.monotonic()
            poll(
                lambda: time.monotonic() > stopped + STORE_OUTAGE_SECONDS,
                "the outage is over",
                2 * STORE_OUTAGE_SECONDS,
            )
            release.await_settled(2)
        finally:
            os.kill(minio, signal.SIGCONT)
        release.namespace.apply(later)
        poll(lambda: release.predict()["model_version"] == "v2", "the alias is followed again")
        traffic.await_more(500)
        after = release.await_settled(2)
    assert {pod["metadata"]["uid"] for pod in after} == {pod["metadata"]["uid"] for pod in before}
    assert set(restarts(release).values()) == {0}
    traffic.assert_none_failed(5000)
    assert {version for result in traffic.results.values() for version in result.versions} == {first, "v2"}


def gone(release: Release, name: str) -> bool:
    """Whether no serving pod has this name any more."""
    return all(pod["metadata"]["name"] != name for pod in release.pods())


def restarts(release: Release) -> dict[str, int]:
    """How often the container of each serving pod was started again."""
    return {
        str(pod["metadata"]["name"]): sum(each["restartCount"] for each in pod["status"].get("containerStatuses", ()))
        for pod in release.pods()
    }


def assert_whole_again(traffic: Traffic, moment: float) -> None:
    """No request that began after a Unix time failed, and before it what was left went on answering."""
    results = traffic.results.values()
    late = [failure for result in results for failure in result.failures if failure.begun > moment]
    after = [f"{failure.begun - moment:.2f} s after it was whole: {failure}" for failure in late]
    assert after == [], traffic.summary()
    assert max(result.outage_seconds for result in results) < CRASH_SECONDS, traffic.summary()
    assert max(result.silence_seconds for result in results) < SILENCE_SECONDS, traffic.summary()
