"""What a Deployment's status says about its rollout."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rollout:
    """How far a Deployment has come.

    Attributes:
        version: that its pods are told to serve.
        wanted: pods that it is to have.
        pods: that there are, of any version.
        updated: of them, made from its present template.
        ready: that answer, of any version.
        complete: all pods are of the present template, are available, and there are no others.
        late: it has made no progress within its deadline.
        message: why it makes no progress, as Kubernetes says it; "" if it does.
    """

    version: str | None
    wanted: int
    pods: int
    updated: int
    ready: int
    complete: bool
    late: bool
    message: str


def read_rollout(deployment: Mapping[str, Any], trouble: str = "") -> Rollout:
    """How far a Deployment has come, as `kubectl rollout status` tells it; `trouble` is what its pods have, if known."""
    spec, status = deployment["spec"], deployment.get("status", {})
    wanted = spec.get("replicas", 1)
    pods, updated = status.get("replicas", 0), status.get("updatedReplicas", 0)
    seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    complete = seen and updated == pods == status.get("availableReplicas", 0) == wanted
    conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
    progressing = conditions.get("Progressing", {})
    failure = conditions.get("ReplicaFailure", {})
    return Rollout(
        version=served_by(deployment),
        wanted=wanted,
        pods=pods,
        updated=updated,
        ready=status.get("readyReplicas", 0),
        complete=complete,
        late=seen and progressing.get("reason") == "ProgressDeadlineExceeded" and not complete,
        message=failure.get("message", "") if failure.get("status") == "True" else trouble,
    )


def served_by(deployment: Mapping[str, Any]) -> str | None:
    """The version that a Deployment's pods are told to serve; None if they follow an alias."""
    arguments = deployment["spec"]["template"]["spec"]["containers"][0].get("args", [])
    return arguments[arguments.index("--version") + 1] if "--version" in arguments else None
