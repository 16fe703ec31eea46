"""What a ModelDeployment waits for, and why, in sentences: from conditions, events and what its pods say of themselves."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from mlplat.operator.children import Manifest
from mlplat.operator.status import Condition, ConditionType, Counted, Phase, Reason, Status, Trial

NO_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"})

HINTS = {
    Reason.VERSION_NOT_FOUND: "It goes on by itself when the version is there: `mlplat models list {model}` shows what is.",
    Reason.ALIAS_NOT_FOUND: "It goes on by itself when the alias is there: `mlplat models promote {model} VERSION {alias}`.",
    Reason.STORE_UNREACHABLE: "What serves goes on; the operator asks the store again every few seconds.",
    Reason.ROLLED_BACK: "Change the spec to have another try, or go back for good: `mlplat deployments rollback {name}`.",
    Reason.CANARY: "`mlplat deployments promote {name}` skips the other steps, `mlplat deployments rollback {name}` ends it.",
    Reason.PAUSED: "It goes on when spec.paused is false.",
    Reason.ROUTE_NOT_ACCEPTED: "It goes on by itself when each Gateway of spec.route.parentRefs is there and takes routes from this "
    "namespace: `kubectl describe httproute {name}` shows what they say.",
    Reason.REFUSED: "The operator tries again every half a minute.",
}
"""What can be done about a reason."""


@dataclass(frozen=True)
class Sight:
    """What is seen of a ModelDeployment.

    Attributes:
        resource: it.
        deployments: its Deployments.
        pods: its pods.
        events: of these pods.
        answers: what pods that are not ready say at /ready, by their names.
    """

    resource: Manifest
    deployments: Sequence[Manifest] = ()
    pods: Sequence[Manifest] = ()
    events: Sequence[Manifest] = ()
    answers: Mapping[str, str] = field(default_factory=dict)


def status_of(resource: Mapping[str, Any]) -> Status:
    """The status that the operator wrote; an empty one if it wrote none that can be read."""
    try:
        return Status.model_validate(resource.get("status") or {})
    except ValidationError:
        return Status()


def condition_of(resource: Mapping[str, Any], kind: ConditionType) -> Condition | None:
    """A condition, if it is about the present spec."""
    status = status_of(resource)
    if status.observed_generation != resource["metadata"]["generation"]:
        return None
    return next((each for each in status.conditions if each.type == kind), None)


def holds(resource: Mapping[str, Any], kind: ConditionType) -> bool:
    """Whether a condition holds of the present spec."""
    found = condition_of(resource, kind)
    return found is not None and found.status == "True"


def explain(sight: Sight) -> list[str]:
    """Sentences: first how it is, then what it waits for."""
    name, ready = sight.resource["metadata"]["name"], condition_of(sight.resource, ConditionType.READY)
    if ready is None:
        namespace = sight.resource["metadata"]["namespace"]
        return [f"The operator has not looked at {name} since it was changed: does it run, and watch {namespace}?"]
    stalled, reconciling = (holds(sight.resource, kind) for kind in (ConditionType.STALLED, ConditionType.RECONCILING))
    if ready.status == "True" and not reconciling:
        return [f"{name} is ready: {ready.message}"]
    how = "is stalled" if stalled else "serves, and is on its way" if ready.status == "True" else "is not ready yet"
    out = [f"{name} {how} ({ready.reason}): {ready.message}", *_of_trial(status_of(sight.resource).canary)]
    out += [sentence for deployment in sight.deployments for sentence in _of_deployment(deployment)]
    out += [sentence for pod in sight.pods for sentence in _of_pod(pod, sight)]
    if ready.reason in HINTS:
        spec = sight.resource["spec"]
        out.append(HINTS[ready.reason].format(name=name, model=spec.get("modelName"), alias=spec.get("alias")))
    return out


def _of_trial(trial: Trial | None) -> Iterator[str]:
    """What is known of a candidate."""
    told = None if trial is None or trial.phase == Phase.ENDING else trial.counted
    if trial is not None and told is not None:
        yield f"{trial.version} {figures(trial, told)}, as its pods said at {told.at:%H:%M:%S} UTC."


def figures(trial: Trial, told: Counted) -> str:
    """What the pods of a candidate counted, in words."""
    parts = [f"answered {told.requests} requests, {told.errors} of them with a server error"]
    if told.latency_milliseconds is not None:
        beside = (
            ""
            if told.stable_latency_milliseconds is None
            else f" ({trial.stable}: {told.stable_latency_milliseconds:.1f})"
        )
        parts.append(f"in {told.latency_milliseconds:.1f} ms{beside}")
    if told.agreement is not None:
        parts.append(f"predicts {told.agreement:.0%} as {trial.stable} does")
    known = "not known" if told.golden_agreement is None else f"{told.golden_agreement:.0%}"
    parts.append(f"golden samples answered alike: {known}")
    return ", ".join(parts)


def trouble(pods: Sequence[Manifest]) -> str:
    """Why pods do not get ready: what Kubernetes says of the first of which it says it, in words that stay the same."""
    for pod in sorted(pods, key=lambda each: str(each["metadata"]["name"])):
        status = pod.get("status", {})
        conditions = {each["type"]: each for each in status.get("conditions", ())}
        if "deletionTimestamp" in pod["metadata"] or conditions.get("Ready", {}).get("status") == "True":
            continue
        scheduled = conditions.get("PodScheduled", {})
        if scheduled.get("status") == "False":
            return _bare(scheduled.get("message", ""))
        for container in status.get("containerStatuses", ()):
            last = container.get("state", {}).get("terminated") or container.get("lastState", {}).get("terminated", {})
            if container.get("state", {}).get("waiting", {}).get("reason") in NO_IMAGE:
                return f"the image {container['image']} cannot be had"
            if last.get("reason") == "OOMKilled":
                return "it was killed for more memory than its limit"
    return ""


def _of_deployment(deployment: Manifest) -> Iterator[str]:
    """Why Kubernetes makes no pods, e.g. for a quota."""
    for condition in deployment.get("status", {}).get("conditions", ()):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            yield f"Kubernetes makes no more pods of it: {_sentence(condition['message'])}"


def _of_pod(pod: Manifest, sight: Sight) -> Iterator[str]:
    """Why a pod is not ready."""
    name, status = pod["metadata"]["name"], pod.get("status", {})
    conditions = {each["type"]: each for each in status.get("conditions", ())}
    if "deletionTimestamp" in pod["metadata"] or conditions.get("Ready", {}).get("status") == "True":
        return
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        yield f"The pod {name} finds no node: {_sentence(scheduled.get('message', ''))}"
        return
    if status.get("reason") == "Evicted":
        yield f"The pod {name} was evicted: {_sentence(status.get('message', ''))}"
        return
    containers = status.get("containerStatuses", ())
    if not containers:
        yield f"The pod {name} is about to start{_latest_warning(name, sight.events)}."
    for container in containers:
        yield _of_container(name, container, sight)


def _of_container(pod: str, container: Manifest, sight: Sight) -> str:
    state = container.get("state", {})
    waiting, last = (
        state.get("waiting", {}),
        state.get("terminated") or container.get("lastState", {}).get("terminated"),
    )
    reason = waiting.get("reason", "")
    if reason in NO_IMAGE:
        return (
            f"The pod {pod} has no image: {container['image']} cannot be had ({_bare(waiting.get('message', reason))})."
        )
    if last is not None and last.get("reason") == "OOMKilled":
        return f"The pod {pod} was killed for more memory than its limit: raise spec.resources.limits.memory."
    if last is not None and (reason == "CrashLoopBackOff" or "terminated" in state):
        said = _bare(last.get("message", "").strip().rpartition("\n")[2])
        said = f", and said: {said}" if said else ""
        return f"The pod {pod} crashes; it ended {container['restartCount'] + 1} times, last with exit code {last['exitCode']}{said}."
    if waiting:
        why = _bare(waiting.get("message", "")) or reason
        return f"The pod {pod} does not start yet: {why}{_latest_warning(pod, sight.events)}."
    answer = sight.answers.get(pod)
    return f"The pod {pod} runs, and is not ready{': ' + _sentence(answer) if answer else ' yet.'}"


def _latest_warning(pod: str, events: Sequence[Manifest]) -> str:
    warnings = [event for event in events if event["involvedObject"]["name"] == pod and event.get("type") == "Warning"]
    if not warnings:
        return ""
    latest = max(warnings, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
    return f" ({_bare(latest['message'])})"


def _bare(text: str) -> str:
    return " ".join(text.split()).rstrip(".")


def _sentence(text: str) -> str:
    return f"{_bare(text)}."
