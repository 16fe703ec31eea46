"""What is to be done for a ModelDeployment: a pure function from what is seen to what is wanted.

It keeps nothing: what it must know the next time stands in the status and in the children.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from mlplat.operator.base import Base
from mlplat.operator.children import Children, Manifest, Owner, effective
from mlplat.operator.conditions import conditions
from mlplat.operator.diff import differs
from mlplat.operator.rollout import Rollout, read_rollout
from mlplat.operator.spec import Failure, Reason, Spec, Status


@dataclass(frozen=True)
class Resource:
    """A ModelDeployment as it is seen.

    Attributes:
        owner: its name and identity.
        generation: of the spec.
        spec: as it came.
        status: as it was last written.
    """

    owner: Owner
    generation: int
    spec: Mapping[str, Any]
    status: Status


@dataclass(frozen=True)
class Found:
    """The store has the version that is asked for, or that the alias names."""

    version: str


@dataclass(frozen=True)
class Missing:
    """The store does not have it."""

    reason: Reason
    message: str


@dataclass(frozen=True)
class Unknown:
    """The store does not answer."""

    message: str


@dataclass(frozen=True)
class Unasked:
    """The store is about to be asked."""


Lookup = Found | Missing | Unknown | Unasked


@dataclass(frozen=True)
class Seen:
    """What there is in the cluster.

    Attributes:
        children: by kind and name.
        foreign: kinds and names that children would have, but that are someone else's.
        trouble: why pods of a rollout that is late do not get ready, as Kubernetes says it; "" if it says nothing.
    """

    children: Mapping[tuple[str, str], Manifest]
    foreign: frozenset[tuple[str, str]] = frozenset()
    trouble: str = ""

    def deployment(self, name: str) -> Manifest | None:
        """The Deployment of a name."""
        return self.children.get(("Deployment", name))


@dataclass(frozen=True)
class Event:
    """A decision, for `kubectl describe`."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        children: that there are to be; None to touch none.
        unwanted: kinds and names of those that there are to be no more.
        status: what is to be told.
        events: the decisions that were made.
    """

    status: Status
    children: tuple[Manifest, ...] | None = None
    unwanted: tuple[tuple[str, str], ...] = ()
    events: tuple[Event, ...] = field(default=())


def plan(resource: Resource, seen: Seen, lookup: Lookup, base: Base, now: datetime) -> Plan:
    """What is to be done for a ModelDeployment.

    Args:
        resource: it.
        seen: its children.
        lookup: what the store says about what it asks for.
        base: what children are made from.
        now: the time.
    """
    telling = _Telling(resource, now)
    try:
        spec = effective(Spec.model_validate(resource.spec), base)
    except ValidationError as error:
        return telling.stalled(Reason.INVALID_SPEC, _sentence(error))
    except KeyError as error:
        known = ", ".join(sorted(base.environments)) or "none"
        return telling.stalled(
            Reason.INVALID_SPEC, f"There is no environment {error}; the chart's values have {known}."
        )
    found = seen.deployment(resource.owner.name)
    rollout = None if found is None else read_rollout(found, seen.trouble)
    telling.observe(spec, rollout)
    if seen.foreign:
        kind, name = min(seen.foreign)
        return telling.stalled(Reason.NAME_TAKEN, f"There is a {kind} {name} already, which is not this deployment's.")
    if spec.paused:
        return telling.paused()
    children = Children(resource.owner, spec, base)
    there = telling.status.target_version
    if isinstance(lookup, Unknown | Unasked) and there is not None and telling.status.target_of == spec.wish:
        lookup = Found(there)  # the store is away, and had it before
    match lookup:
        case Missing(reason, message):
            served = telling.status.served_version
            return telling.stalled(reason, message, None if served is None else children.serving(served))
        case Unknown(message):
            return telling.waiting(Reason.STORE_UNREACHABLE, message)
        case Unasked():
            return Plan(resource.status)  # as it was told last, for the moment
        case Found(version):
            return _Roll(spec, children, seen, rollout, telling).to(version)


def refused(resource: Resource, status: Status, message: str, now: datetime) -> Status:
    """The status of a deployment of which the API server did not take a child."""
    return _Telling(resource, now, status).stalled(Reason.REFUSED, message).status


@dataclass(frozen=True)
class _Roll:
    """From one version to the next, pod by pod."""

    spec: Spec
    children: Children
    seen: Seen
    rollout: Rollout | None
    telling: "_Telling"

    def to(self, target: str) -> Plan:
        """Let the pods be those of a version, or of the one before if it was given up."""
        rollout, telling, wanted = self.rollout, self.telling, self.children.serving(target)
        telling.aim(target, self.spec.wish)
        served, asked = telling.status.served_version, digest_of(self.spec)
        late = rollout is not None and rollout.late and rollout.version == target and _applied(wanted, self.seen)
        may_give_up = served not in {None, target} and self.spec.rollback != "never"
        if not telling.gave_up(target, asked) and late and may_give_up:
            telling.give_up(target, asked, f"It was not ready within {_deadline(wanted)} s{_because(rollout)}.")
        if telling.status.failed is not None and served is not None:
            return self._back_to(served)
        if rollout is None or not _applied(wanted, self.seen):
            return telling.rolling(target, rollout, wanted)
        if rollout.complete:
            return telling.ready(target, rollout, wanted, self._unwanted())
        if late:
            message = f"{target} was not ready within {_deadline(wanted)} s{_because(rollout)}."
            return telling.stalled(Reason.DEADLINE_EXCEEDED, message, wanted)
        return telling.rolling(target, rollout, wanted)

    def _back_to(self, served: str) -> Plan:
        wanted, rollout = self.children.serving(served), self.rollout
        there = rollout is not None and rollout.version == served and _applied(wanted, self.seen)
        complete = there and rollout is not None and rollout.complete
        late = rollout if there and rollout is not None and rollout.late else None
        return self.telling.rolled_back(served, wanted, complete=complete, late=late)

    def _unwanted(self) -> tuple[tuple[str, str], ...]:
        """The autoscaler that there is still, if none is to decide any more."""
        scalers = [key for key in self.seen.children if key[0] == "HorizontalPodAutoscaler"]
        return () if self.children.scaled else tuple(scalers)


def _applied(children: tuple[Manifest, ...], seen: Seen) -> bool:
    """Whether the cluster has them just so."""
    return all(is_applied(child, seen.children.get(key_of(child))) for child in children)


def is_applied(child: Manifest, found: Manifest | None) -> bool:
    """Whether a child is there as it is wanted; lists of the API server do not say of what kind their items are."""
    return found is not None and not any(differs(child[part], found.get(part)) for part in ("metadata", "spec"))


def key_of(child: Manifest) -> tuple[str, str]:
    """Kind and name of a child."""
    return child["kind"], child["metadata"]["name"]


def digest_of(spec: Spec) -> str:
    """Of all that is asked for, but for the number of pods: what fails is tried again only when this changes."""
    text = spec.model_dump_json(exclude={"replicas", "autoscaling", "paused"})
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _deadline(children: tuple[Manifest, ...]) -> int:
    seconds: int = children[0]["spec"].get("progressDeadlineSeconds", 600)
    return seconds


def _because(rollout: Rollout | None) -> str:
    return f": {rollout.message}" if rollout is not None and rollout.message else ""


def _pods(count: int) -> str:
    return f"{count} pod" if count == 1 else f"{count} pods"


def _sentence(error: ValidationError) -> str:
    """The first thing that is wrong with a spec."""
    first = error.errors()[0]
    return f"spec.{'.'.join(map(str, first['loc']))}: {first['msg']}."


class _Telling:
    """The status as it will be told, and the decisions."""

    def __init__(self, resource: Resource, now: datetime, status: Status | None = None) -> None:
        self._resource = resource
        self._now = now
        self._events: list[Event] = []
        self.status = resource.status if status is None else status

    def _set(self, **changes: Any) -> None:
        self.status = self.status.model_copy(update=changes)

    def _tell(self, reason: str, message: str, *, warning: bool = False) -> None:
        self._events.append(Event(reason, message, warning))

    def observe(self, spec: Spec, rollout: Rollout | None) -> None:
        """Take over what is seen of the pods."""
        owner = self._resource.owner
        scaled = spec.autoscaling is not None and spec.autoscaling.enabled
        before = self.status.asked_replicas
        if scaled and before is not None and before != spec.replicas:
            self._tell(
                "ReplicasIgnored",
                f"spec.replicas became {spec.replicas}, which has no effect while autoscaling is enabled.",
            )
        self._set(
            asked_replicas=spec.replicas,
            replicas=0 if rollout is None else rollout.pods,
            ready_replicas=0 if rollout is None else rollout.ready,
            selector=",".join(f"{key}={value}" for key, value in owner.selector.items()),
            url=f"http://{owner.name}.{owner.namespace}.svc",
        )
        if rollout is None or not rollout.complete or rollout.version in {None, self.status.served_version}:
            return
        self._set(previous_version=self.status.served_version, served_version=rollout.version)
        self._tell("Served", f"{rollout.version} is served by {_pods(rollout.ready)}.")

    def aim(self, target: str, wish: str) -> None:
        """Note what is asked for now."""
        before = self.status.target_version
        self._set(target_version=target, target_of=wish)
        if before != target:
            came_from = "" if before is None else f", after {before}"
            self._tell("RollingOut", f"{target} is to be served{came_from}.")

    def gave_up(self, version: str, asked: str) -> bool:
        """Whether just this was given up before; if it was something else, that is forgotten."""
        failed = self.status.failed
        if failed is None or (failed.version, failed.asked) == (version, asked):
            return failed is not None
        self._set(failed=None)
        return False

    def give_up(self, version: str, asked: str, reason: str) -> None:
        """Note that a version is not waited for any longer."""
        self._set(failed=Failure(version=version, asked=asked, reason=reason, at=self._now))
        back = self.status.served_version
        self._tell("RolledBack", f"{version} is given up, and {back} serves on: {reason}", warning=True)

    def ready(
        self, version: str, rollout: Rollout, children: tuple[Manifest, ...], unwanted: tuple[tuple[str, str], ...]
    ) -> Plan:
        """What is asked for is served."""
        message = f"{version} is served by {_pods(rollout.ready)}."
        return self._plan(children, unwanted, ready=True, reason=Reason.READY, message=message)

    def rolling(self, version: str, rollout: Rollout | None, children: tuple[Manifest, ...]) -> Plan:
        """It is on the way there."""
        if rollout is None:
            message = f"{version} gets its first pods."
        else:
            old = rollout.pods - rollout.updated
            rest = f"; {_pods(old)} of what was before still there" if old else ""
            message = (
                f"{rollout.ready} of {_pods(rollout.wanted)} ready on the way to {version}{rest}{_because(rollout)}."
            )
        return self._plan(children, reconciling=True, reason=Reason.ROLLING_OUT, message=message)

    def rolled_back(self, served: str, children: tuple[Manifest, ...], *, complete: bool, late: Rollout | None) -> Plan:
        """What is asked for was given up; what was before may be late as well, where more than the version changed."""
        failed = self.status.failed
        told = "" if failed is None else f"{failed.version} was given up: {failed.reason} "
        going = "is served" if complete else "comes back"
        ending = (
            f"{served} {going} until the spec or the alias changes."
            if late is None
            else f"{served} does not get ready by this spec either, and its pods of before serve on{_because(late)}."
        )
        return self._plan(
            children,
            reconciling=not complete and late is None,
            stalled=True,
            reason=Reason.ROLLED_BACK,
            message=told + ending,
        )

    def stalled(self, reason: Reason, message: str, children: tuple[Manifest, ...] | None = None) -> Plan:
        """It does not get there by itself."""
        if all(condition.reason != reason for condition in self.status.conditions):
            self._tell(reason, message, warning=True)
        return self._plan(children, stalled=True, reason=reason, message=message)

    def waiting(self, reason: Reason, message: str) -> Plan:
        """It is not known what to do; nothing is touched meanwhile."""
        conditions_now = self.status.conditions
        if self.status.observed_generation == self._resource.generation and conditions_now:
            return Plan(self.status, events=tuple(self._events))  # what was told still holds
        return self._plan(None, reconciling=True, reason=reason, message=message)

    def paused(self) -> Plan:
        """Nothing is to be changed."""
        served = self.status.served_version
        message = "Paused" + (f"; {served} is served." if served else ".")
        return self._plan(None, reason=Reason.PAUSED, message=message)

    def _plan(
        self,
        children: tuple[Manifest, ...] | None,
        unwanted: tuple[tuple[str, str], ...] = (),
        *,
        ready: bool = False,
        reconciling: bool = False,
        stalled: bool = False,
        reason: Reason,
        message: str,
    ) -> Plan:
        generation = self._resource.generation
        told = conditions(
            self.status.conditions,
            ready=ready,
            reconciling=reconciling,
            stalled=stalled,
            reason=reason,
            message=message,
            generation=generation,
            now=self._now,
        )
        self._set(conditions=told, observed_generation=generation)
        return Plan(self.status, children, unwanted, tuple(self._events))
