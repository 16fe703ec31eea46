"""Scenario 2: to v2 and back under load, without a failed request."""

import time
from collections.abc import Callable

import pykube
import pytest

from .clients import Client, under_load
from .load import Shape
from .release import NAME, Release

REQUESTS = 20_000

EDGE_SECONDS = 1.0
"""After the old pods are gone, answers that were under way may still be counted for so long."""


@pytest.mark.parametrize("helm", ["helm", "helm3"])
def test_upgrade_and_rollback_fail_no_request(release: Release, clients: Callable[..., list[Client]]) -> None:
    release.install("--set", "serving.replicas=2")
    release.await_settled(2)

    with under_load(*clients(Shape(keep_alive=6, fresh=3, rate=200, seconds=400))) as traffic:
        traffic.await_more(1000)
        upgrading = time.time()
        release.upgrade("--set", "serving.replicas=2", "--set", "model.version=v2")
        upgraded = time.time()
        release.await_settled(2)
        only_v2 = time.time() + EDGE_SECONDS
        traffic.await_more(2000)
        rolling_back = time.time()
        release.rollback()
        rolled_back = time.time()
        release.await_settled(2)
        only_v1 = time.time() + EDGE_SECONDS
        traffic.await_more(max(2000, REQUESTS - sum(traffic.answered().values())))
        end = time.time()

    traffic.assert_none_failed(REQUESTS)
    assert traffic.versions_between(0, upgrading) == {"v1"}
    assert traffic.versions_between(upgrading, upgraded) == {"v1", "v2"}
    assert traffic.versions_between(only_v2, rolling_back) == {"v2"}
    assert traffic.versions_between(rolling_back, rolled_back) == {"v1", "v2"}
    assert traffic.versions_between(only_v1, end) == {"v1"}
    assert {job["metadata"]["name"] for job in release.namespace.objects(pykube.Job)} == {
        release.job("v1")["metadata"]["name"]
    }
    assert [revision["status"] for revision in release.history()] == ["superseded", "superseded", "deployed"]
    assert release.namespace.object(pykube.Deployment, NAME)["spec"]["replicas"] == 2
