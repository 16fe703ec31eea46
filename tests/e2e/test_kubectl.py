"""Scenario 2, the other hands: what people do to a release with kubectl, and what Helm says afterwards."""

import time
from collections.abc import Callable

import pykube
import pytest

from .clients import Client, under_load
from .cluster import CommandError
from .load import Shape
from .namespace import Object
from .polling import poll
from .release import NAME, Release

DEPLOYMENT = f"deployment/{NAME}"


def test_kubectl_does_what_people_expect(release: Release, clients: Callable[..., list[Client]]) -> None:
    two = ("--set", "serving.replicas=2")
    kubectl = release.namespace.kubectl
    release.install(*two)
    release.upgrade(*two, "--set", "model.version=v2")
    release.await_settled(2)

    with under_load(*clients(Shape(keep_alive=4, fresh=2, rate=100, seconds=400))) as traffic:
        causes = [
            line.split(maxsplit=1)[1] for line in kubectl("rollout", "history", DEPLOYMENT).splitlines()[2:] if line
        ]
        assert causes == ["iris v1", "iris v2"]

        kubectl("rollout", "undo", DEPLOYMENT)
        kubectl("rollout", "status", DEPLOYMENT, "--timeout=120s")
        before = names(release.await_settled(2))
        assert release.predict()["model_version"] == "v1"

        kubectl("rollout", "restart", DEPLOYMENT)
        kubectl("rollout", "status", DEPLOYMENT, "--timeout=120s")
        assert names(release.await_settled(2)).isdisjoint(before)
        assert release.predict()["model_version"] == "v1"

        kubectl("scale", DEPLOYMENT, "--replicas=3")
        three = names(release.await_settled(3))
        kubectl("set", "image", DEPLOYMENT, f"serve={release.image}-that-is-nowhere")
        poll(lambda: waiting(release) & {"ErrImagePull", "ImagePullBackOff"}, "the image is not found")
        assert three < names(release.pods())
        kubectl("rollout", "undo", DEPLOYMENT)
        assert names(release.await_settled(3)) == three

        with pytest.raises(CommandError, match="conflict"):
            release.upgrade(*two, "--set", "model.version=v2")
        release.upgrade(*two, "--set", "model.version=v2", "--force-conflicts")
        release.await_settled(2)
        assert release.predict()["model_version"] == "v2"
        traffic.await_more(500)
    traffic.assert_none_failed(5000)


def test_a_pod_deleted_by_force_is_replaced(release: Release, clients: Callable[..., list[Client]]) -> None:
    release.install("--set", "serving.replicas=2")
    victim = release.await_settled(2)[0]["metadata"]["name"]

    with under_load(*clients(Shape(keep_alive=4, fresh=2, rate=100, seconds=400))) as traffic:
        traffic.await_more(500)
        release.namespace.kubectl("delete", "pod", victim, "--force", "--grace-period=0")
        poll(lambda: victim not in names(release.pods()), f"{victim} is gone")
        release.await_settled(2)
        whole = time.time()
        traffic.await_more(500)

    failures = [failure for result in traffic.results.values() for failure in result.failures]
    assert [failure for failure in failures if failure.begun > whole] == [], "whole again"


def names(pods: list[Object]) -> set[str]:
    return {str(pod["metadata"]["name"]) for pod in pods}


def waiting(release: Release) -> set[str]:
    """Why containers of serving pods wait."""
    states = [
        status["state"]
        for pod in release.namespace.objects(pykube.Pod, component="inference-server")
        for status in pod["status"].get("containerStatuses", ())
    ]
    return {str(state["waiting"].get("reason")) for state in states if "waiting" in state}
