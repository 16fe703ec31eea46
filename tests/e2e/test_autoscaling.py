"""Scenario 5: load brings more pods and its end takes them away, without a failed request, and an upgrade resets nothing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pykube

from .clients import Client, MachineClient, under_load
from .load import Shape, Target
from .polling import poll
from .release import NAME, Release

LEAST, MOST = 2, 3
TARGET = 50

SETTINGS = {
    "serving.autoscaling.enabled": "true",
    "serving.autoscaling.minReplicas": str(LEAST),
    "serving.autoscaling.maxReplicas": str(MOST),
    "serving.autoscaling.targetCPUUtilizationPercentage": str(TARGET),
    "serving.autoscaling.behavior.scaleDown.stabilizationWindowSeconds": "20",
    "serving.resources.requests.cpu": "50m",
}
WORDS = ("--set", ",".join(f"{name}={value}" for name, value in SETTINGS.items()))


def wanted(release: Release) -> int:
    """How many pods the Deployment shall have."""
    return int(release.namespace.object(pykube.Deployment, NAME)["spec"]["replicas"])


def rests(release: Release) -> bool:
    """Whether the autoscaler has seen that the least number of pods is enough."""
    status = release.namespace.object(pykube.HorizontalPodAutoscaler, NAME)["status"]
    metrics = [each["resource"]["current"] for each in status.get("currentMetrics") or () if "resource" in each]
    used = [each["averageUtilization"] for each in metrics if "averageUtilization" in each]
    return status.get("currentReplicas") == LEAST and bool(used) and max(used) < TARGET


def test_pods_follow_the_load_and_an_upgrade_resets_nothing(
    release: Release, clients: Callable[..., list[Client]], tmp_path: Path
) -> None:
    release.install(*WORDS)
    poll(lambda: rests(release), "what starting cost is forgotten", 120)
    release.await_settled(LEAST)
    steady = MachineClient(
        "steady", Target(release.url()), Shape(keep_alive=4, fresh=2, rate=10, seconds=600), tmp_path
    )

    with under_load(steady) as calm:
        with under_load(*clients(Shape(keep_alive=6, fresh=3, rate=80, seconds=600))) as rush:
            grown = poll(lambda: wanted(release) if wanted(release) > LEAST else None, "there are more pods", 120)
            with ThreadPoolExecutor(1) as threads:
                upgrade = threads.submit(release.upgrade, *WORDS, "--set", "model.version=v2")
                seen = [grown]
                while not upgrade.done():
                    seen.append(poll(lambda: wanted(release), "the Deployment is there"))
                upgrade.result()
            assert min(seen) >= grown, seen
            rush.await_more(1000)
        poll(lambda: rests(release) and wanted(release) == LEAST, "the pods are fewer again", 180)
        release.await_settled(LEAST)
        calm.await_more(100)

    calm.assert_none_failed(500)
    rush.assert_none_failed(5000)
    assert release.predict()["model_version"] == "v2"
    print(f"{LEAST} pods, {grown} when the upgrade began, {max(seen)} at most, {LEAST} again")  # noqa: T201
