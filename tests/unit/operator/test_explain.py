"""What a ModelDeployment waits for, in sentences."""

from typing import Any

import pytest

from mlplat.operator.children import Manifest
from mlplat.operator.explain import Sight, explain, trouble

POD = "iris-5d8f-x2k7z"


def resource(reason: str, message: str, *, ready: str = "False", stalled: str = "False", **spec: Any) -> Manifest:
    return {
        "metadata": {"name": "iris", "namespace": "ml", "generation": 2},
        "spec": {"modelName": "iris", "modelVersion": "v2", **spec},
        "status": {
            "observedGeneration": 2,
            "conditions": [
                {
                    "type": kind,
                    "status": status,
                    "reason": reason,
                    "message": message,
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                }
                for kind, status in (("Ready", ready), ("Stalled", stalled))
            ],
        },
    }


ROLLING = resource("RollingOut", "0 of 1 pod ready on the way to v2.")


def pod(status: Manifest, **metadata: str) -> Manifest:
    return {"metadata": {"name": POD, **metadata}, "status": status}


def container(**state: Any) -> Manifest:
    return {"containerStatuses": [{"image": "ml-platform:9", "restartCount": 3, **state}]}


def warning(message: str, at: str) -> Manifest:
    return {"involvedObject": {"name": POD}, "type": "Warning", "message": message, "lastTimestamp": at}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (
            container(state={"waiting": {"reason": "ErrImageNeverPull", "message": "not present"}}),
            f"The pod {POD} has no image: ml-platform:9 cannot be had (not present).",
        ),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/2 nodes: Insufficient cpu."}]},
            f"The pod {POD} finds no node: 0/2 nodes: Insufficient cpu.",
        ),
        (
            container(
                state={"waiting": {"reason": "CrashLoopBackOff"}},
                lastState={
                    "terminated": {"reason": "Error", "exitCode": 2, "message": "log\nError: no such option.\n"}
                },
            ),
            f"The pod {POD} crashes; it ended 4 times, last with exit code 2, and said: Error: no such option.",
        ),
        (
            container(state={"running": {}}, lastState={"terminated": {"reason": "OOMKilled", "exitCode": 137}}),
            f"The pod {POD} was killed for more memory than its limit: raise spec.resources.limits.memory.",
        ),
        (
            container(state={"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "s3" not found'}}),
            f'The pod {POD} does not start yet: secret "s3" not found (later).',
        ),
        (
            container(state={"running": {}}),
            f"The pod {POD} runs, and is not ready: golden sample 3 differs.",
        ),
        (
            {"reason": "Evicted", "message": "The node was low on resource: memory."},
            f"The pod {POD} was evicted: The node was low on resource: memory.",
        ),
        ({}, f"The pod {POD} is about to start (later)."),
    ],
)
def test_a_pod_that_is_not_ready_says_why(status: Manifest, expected: str) -> None:
    events = [warning("later", "2026-01-01T00:00:02Z"), warning("earlier", "2026-01-01T00:00:01Z")]
    said = explain(Sight(ROLLING, pods=[pod(status)], events=events, answers={POD: "golden sample 3 differs"}))
    assert said == ["iris is not ready yet (RollingOut): 0 of 1 pod ready on the way to v2.", expected]


def test_pods_that_are_ready_or_leave_are_not_mentioned() -> None:
    ready = pod({"conditions": [{"type": "Ready", "status": "True"}]})
    leaving = pod(container(state={"running": {}}), deletionTimestamp="2026-01-01T00:00:00Z")
    assert len(explain(Sight(ROLLING, pods=[ready, leaving]))) == 1


def test_a_quota_is_told_from_the_deployment() -> None:
    conditions = [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: small"}]
    said = explain(Sight(ROLLING, deployments=[{"status": {"conditions": conditions}}]))
    assert said[1] == "Kubernetes makes no more pods of it: exceeded quota: small."


def test_it_says_what_helps() -> None:
    missing = resource("VersionNotFound", "There is no version 'v2' of 'iris'.", stalled="True")
    first, hint = explain(Sight(missing))
    assert first == "iris is stalled (VersionNotFound): There is no version 'v2' of 'iris'."
    assert "`mlplat models list iris`" in hint
    alias = resource("AliasNotFound", "There is no alias.", stalled="True", alias="champion")
    assert "`mlplat models promote iris VERSION champion`" in explain(Sight(alias))[1]


def test_what_is_ready_waits_for_nothing() -> None:
    ready = resource("Ready", "v2 is served by 1 pod.", ready="True")
    assert explain(Sight(ready, pods=[pod({})])) == ["iris is ready: v2 is served by 1 pod."]


@pytest.mark.parametrize("status", [{}, {"observedGeneration": 1, "conditions": []}, {"conditions": "nonsense"}])
def test_without_an_operator_it_asks_for_one(status: Manifest) -> None:
    (said,) = explain(Sight(ROLLING | {"status": status}))
    assert said == "The operator has not looked at iris since it was changed: does it run, and watch ml?"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/2 nodes.\n"}]}, "0/2 nodes"),
        (
            container(state={"waiting": {"reason": "ImagePullBackOff", "message": "back-off 10s"}}),
            "the image ml-platform:9 cannot be had",
        ),
        (
            container(state={"waiting": {}}, lastState={"terminated": {"reason": "OOMKilled"}}),
            "it was killed for more memory than its limit",
        ),
        (container(state={"running": {}}), ""),
        ({}, ""),
    ],
)
def test_what_holds_up_a_rollout_is_said_in_words_that_stay_the_same(status: Manifest, expected: str) -> None:
    ready = pod({"conditions": [{"type": "Ready", "status": "True"}]})
    assert trouble([ready, pod(status)]) == expected


def test_pods_that_leave_hold_up_nothing() -> None:
    unscheduled = {"conditions": [{"type": "PodScheduled", "status": "False", "message": "no room"}]}
    assert trouble([pod(unscheduled, deletionTimestamp="2026-01-01T00:00:00Z")]) == ""


def test_a_canary_is_told_with_its_figures_and_what_can_be_done() -> None:
    found = resource("Canary", "v2 gets 5 % of the requests.", ready="True")
    conditions = found["status"]["conditions"]
    conditions.append(conditions[0] | {"type": "Reconciling"})
    times = {"begun": "2026-01-01T00:00:00Z", "since": "2026-01-01T00:00:00Z"}
    counted = {
        "requests": 70,
        "errors": 0,
        "latencyMilliseconds": 2.5,
        "stableLatencyMilliseconds": 2.0,
        "agreement": 0.97,
        "goldenAgreement": 1.0,
        "at": "2026-01-01T00:00:09Z",
    }
    trial = {"version": "v2", "stable": "v1", "asked": "x", "phase": "Trying", "pods": 1, "counted": counted}
    found["status"]["canary"] = trial | times
    how, figures, hint = explain(Sight(found))
    assert how == "iris serves, and is on its way (Canary): v2 gets 5 % of the requests."
    assert figures == (
        "v2 answered 70 requests, 0 of them with a server error, in 2.5 ms (v1: 2.0), predicts 97% as v1 does, "
        "golden samples answered alike: 100%, as its pods said at 00:00:09 UTC."
    )
    assert "`mlplat deployments promote iris` skips the other steps" in hint
