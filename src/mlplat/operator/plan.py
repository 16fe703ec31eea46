"""What is to be done for a ModelDeployment: a pure function from what is seen to what is wanted.

It keeps nothing: what it must know the next time stands in the status and in the children.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import ValidationError

from mlplat.errors import UsageError
from mlplat.operator.base import Base
from mlplat.operator.canary import Course, leave
from mlplat.operator.children import Children, Manifest, Owner, effective, is_applied, key_of
from mlplat.operator.judge import Figures
from mlplat.operator.rollout import Rollout, read_rollout, served_by
from mlplat.operator.spec import Autoscaling, Spec
from mlplat.operator.status import Fault, Phase, Reason
from mlplat.operator.telling import Telling, because
from mlplat.operator.view import Found, Lookup, Missing, Plan, Resource, Seen, Unasked, Unknown

TAKEN_SECONDS = 30.0
"""After so long it is looked whether a name that was someone else's has become free; nobody tells."""


def plan(
    resource: Resource,
    seen: Seen,
    lookup: Lookup,
    base: Base,
    now: datetime,
    *,
    figures: Figures | None = None,
    held: bool = False,
) -> Plan:
    """What is to be done for a ModelDeployment.

    Args:
        resource: it.
        seen: its children.
        lookup: what the store says about what it asks for.
        base: what children are made from.
        now: the time.
        figures: what the pods of its canary counted.
        held: its Deployments are not to be touched now.
    """
    telling = Telling(resource, now)
    try:
        spec = _spec_of(resource, base)
    except UsageError as error:
        return telling.stalled(Reason.INVALID_SPEC, str(error))
    found = seen.deployment(resource.owner.name)
    rollout = None if found is None else read_rollout(found, seen.trouble)
    telling.observe(spec, rollout)
    if seen.foreign:
        kind, name = min(seen.foreign)
        message = f"There is a {kind} {name} already, which is not this deployment's."
        return telling.stalled(Reason.NAME_TAKEN, message, again=TAKEN_SECONDS)
    if spec.paused:
        return telling.paused()
    telling.follow_route(spec, seen.children.get(("HTTPRoute", resource.owner.name)), routable=seen.routable)
    children = Children(resource.owner, spec, base)
    roll = _Roll(resource.owner, spec, children, seen, rollout, telling, figures, held)
    there = telling.status.target_version
    if isinstance(lookup, Unknown | Unasked) and there is not None and telling.status.target_of == spec.wish:
        lookup = Found(there)  # the store is away, and had it before
    match lookup:
        case Missing(reason, message):
            return roll.stay(reason, message)
        case Unknown(message):
            return telling.waiting(Reason.STORE_UNREACHABLE, message)
        case Unasked():
            return Plan(resource.status)  # as it was told last, for the moment
        case Found(version):
            return roll.to(version)


def refused(resource: Resource, planned: Plan, message: str, now: datetime) -> Plan:
    """What is told instead when the API server did not take a child: the same at each try, as a status wakes the operator."""
    status = planned.status.model_copy(update={"conditions": resource.status.conditions})
    before, trial = resource.status.canary, status.canary
    if before is not None and trial is not None and (before.begun, before.phase) == (trial.begun, trial.phase):
        status = status.model_copy(update={"canary": trial.model_copy(update={"since": before.since})})
    told = Telling(resource, now, status).stalled(Reason.REFUSED, message)
    untold = (Reason.ROUTE_NOT_ACCEPTED, Reason.NO_GATEWAY_API)  # nor are those conditions, and so at each try
    decided = tuple(event for event in planned.events if event.reason not in untold)
    return replace(told, events=(*decided, *told.events))


@dataclass(frozen=True)
class _Roll:
    """From one version to the next: pod by pod, or by a canary."""

    owner: Owner
    spec: Spec
    children: Children
    seen: Seen
    rollout: Rollout | None
    telling: Telling
    figures: Figures | None
    held: bool

    def to(self, target: str) -> Plan:
        """Let the pods be those of a version, or of the one before if it was given up."""
        rollout, telling, wanted = self.rollout, self.telling, self._serving(target)
        telling.aim(target, self.spec.wish)
        served, asked = telling.status.served_version, digest_of(self.spec)
        tried = self._tried(target, served)
        given_up = telling.gave_up(target, asked)
        if served is not None and not given_up and self._waits_for_pods(target, served):
            return self.stay(Reason.CANARY, f"{target} is tried as soon as {served} has pods.")
        if tried is not None and served is not None and not given_up:
            planned = tried.to(target, served, asked)
            if planned is not None:
                return planned
        elif not given_up and self._may_give_up(target, served) and self._is_late(target, wanted):
            message = f"It was not ready within {_deadline(wanted)} s{because(rollout)}."
            telling.give_up(target, asked, Fault.DEADLINE_EXCEEDED, message)
        if telling.status.rollback is not None and served is not None:
            return self._back_to(served)
        left = leave(self.owner, self.seen, telling)
        unwanted = (*left.unwanted, *self._unwanted())
        ending = left.again is not None and self._applied(wanted[:1])  # it is served, also while the rest follows
        if rollout is None or not (ending or self._applied(wanted)):
            return telling.rolling(target, rollout, wanted, unwanted=unwanted, again=left.again)
        if rollout.complete:
            return telling.ready(target, rollout, wanted, unwanted=unwanted, again=left.again)
        if self._is_late(target, wanted):
            message = f"{target} was not ready within {_deadline(wanted)} s{because(rollout)}."
            return telling.stalled(Reason.DEADLINE_EXCEEDED, message, wanted, unwanted=unwanted, again=left.again)
        return telling.rolling(target, rollout, wanted, unwanted=unwanted, again=left.again)

    def stay(self, reason: Reason, message: str) -> Plan:
        """Let what serves serve on, as there is nothing to go to."""
        served = self.telling.status.served_version
        if served is None:
            return self.telling.stalled(reason, message)
        left = leave(self.owner, self.seen, self.telling)
        return self.telling.stalled(
            reason, message, self._serving(served), unwanted=(*left.unwanted, *self._unwanted()), again=left.again
        )

    def _tried(self, target: str, served: str | None) -> Course | None:
        """The canary by which a version is tried, if it is to be and there is something beside which it can."""
        rules, stable = self.spec.trial, self.rollout
        if rules is None or stable is None or not self._may_try(target, served):
            return None
        return Course(
            owner=self.owner,
            spec=self.spec,
            rules=rules,
            children=self.children,
            seen=self.seen,
            stable=stable,
            telling=self.telling,
            figures=self.figures,
            routed=self._routed,
            held=self.held,
            deadline=_deadline(self._serving(target)),
        )

    def _may_try(self, target: str, served: str | None) -> bool:
        return (
            self.spec.trial is not None and served not in {None, target} and not self.telling.goes_back(target, served)
        )

    def _waits_for_pods(self, target: str, served: str) -> bool:
        """Whether there are no pods beside which a version that is to be tried can be, and it was not tried before."""
        stable, trial = self.rollout, self.telling.status.canary
        promoted = trial is not None and trial.phase == Phase.PROMOTING
        return (stable is None or not stable.wanted) and not promoted and self._may_try(target, served)

    def _back_to(self, served: str) -> Plan:
        wanted, rollout = self._serving(served), self.rollout
        left = leave(self.owner, self.seen, self.telling)
        there = rollout is not None and rollout.version == served and self._applied(wanted)
        complete = there and rollout is not None and rollout.complete
        return self.telling.rolled_back(
            served,
            wanted,
            complete=complete and left.again is None,
            late=rollout if there and rollout is not None and rollout.late else None,
            unwanted=(*left.unwanted, *self._unwanted()),
            again=left.again,
        )

    @property
    def _routed(self) -> bool:
        return self.spec.route is not None and self.seen.routable

    def _serving(self, version: str) -> tuple[Manifest, ...]:
        return self.children.serving(version, routed=self._routed)

    def _may_give_up(self, target: str, served: str | None) -> bool:
        return served not in {None, target} and self.spec.rollback != "never"

    def _is_late(self, target: str, wanted: tuple[Manifest, ...]) -> bool:
        rollout = self.rollout
        return rollout is not None and rollout.late and rollout.version == target and self._applied(wanted)

    def _applied(self, children: tuple[Manifest, ...]) -> bool:
        """Whether the cluster has them just so, or as they are to be until it is their turn."""
        return all(self._waits(child) or is_applied(child, self.seen.children.get(key_of(child))) for child in children)

    def _waits(self, child: Manifest) -> bool:
        """Whether a child is made from the base of before, and serves meanwhile."""
        found = self.seen.children.get(key_of(child))
        if not self.held or found is None:
            return False
        return child["kind"] != "Deployment" or served_by(found) == served_by(child)

    def _unwanted(self) -> tuple[tuple[str, str], ...]:
        """The autoscaler and the route that there are still, if there are to be none any more."""
        kept = {"HorizontalPodAutoscaler": self.children.scaled, "HTTPRoute": self._routed}
        return tuple(key for key in self.seen.children if not kept.get(key[0], True))


def digest_of(spec: Spec) -> str:
    """Of all that is asked for, but for the number of pods: what fails is tried again only when this changes."""
    text = spec.model_dump_json(exclude={"replicas", "autoscaling", "paused"})
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _deadline(children: tuple[Manifest, ...]) -> int:
    seconds: int = children[0]["spec"].get("progressDeadlineSeconds", 600)
    return seconds


def _spec_of(resource: Resource, base: Base) -> Spec:
    """The spec with the defaults of its environment.

    Raises:
        UsageError: if it cannot be.
    """
    try:
        said = Spec.model_validate(resource.spec)
        spec = effective(said, base)
    except ValidationError as error:
        raise UsageError(_sentence(error)) from error
    except KeyError as error:
        known = ", ".join(sorted(base.environments)) or "none"
        raise UsageError(f"There is no environment {error}; the chart's values have {known}.") from error
    if spec.store is not None and spec.alias is not None:  # the definition cannot see the store of an environment
        raise UsageError(
            "An alias is looked up in the operator's own store only: give modelVersion, or an environment without store."
        )
    if said.reserved:  # an environment may: who writes it has the release
        raise UsageError(said.reserved)
    if spec.route is not None and not spec.route.parent_refs:
        raise UsageError("spec.route.parentRefs: name the Gateway that requests come from.")
    scaling = spec.autoscaling or Autoscaling()
    least, most = scaling.min_replicas, scaling.max_replicas
    if (
        scaling.enabled and least is not None and most is not None and least > most
    ):  # the definition cannot see what an environment says
        raise UsageError(
            f"spec.autoscaling: minReplicas, {least}, is above maxReplicas, {most}; what it does not say is its environment's."
        )
    return spec


def _sentence(error: ValidationError) -> str:
    """The first thing that is wrong with a spec."""
    first = error.errors()[0]
    return f"spec.{'.'.join(map(str, first['loc']))}: {first['msg']}."
