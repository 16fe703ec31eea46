"""The status as it will be told, and the decisions: what a plan says of itself while it is made."""

from datetime import datetime
from typing import Any

from mlplat.operator.children import Manifest
from mlplat.operator.conditions import conditions
from mlplat.operator.rollout import Rollout
from mlplat.operator.route import hindrance
from mlplat.operator.spec import Spec
from mlplat.operator.status import Fault, Reason, Rollback, Status, Trial, Unrouted
from mlplat.operator.view import Event, Plan, Resource

NO_GATEWAY_API = (
    "spec.route has no effect: this cluster has no HTTPRoutes. Install the Gateway API, or leave spec.route out; "
    "a canary's weights are shares of pods meanwhile."
)

UNROUTED_SECONDS = 10
"""So long a Gateway may take to accept an HTTPRoute before it is told that it did not."""


class Telling:
    """What is told of one ModelDeployment at one look.

    Args:
        resource: it.
        now: the time.
        status: to begin with; that of the resource by default.

    Attributes:
        status: as far as it is known.
        obstacle: why requests cannot come by the HTTPRoute, if that is to be told.
        rerouted: why they did not come by it until now, if they do again.
    """

    def __init__(self, resource: Resource, now: datetime, status: Status | None = None) -> None:
        self._resource = resource
        self._events: list[Event] = []
        self.now = now
        self.status = resource.status if status is None else status
        self.obstacle: tuple[Reason, str] | None = None
        self.rerouted: Unrouted | None = None
        self._look: float | None = None

    def set(self, **changes: Any) -> None:
        """Change the status."""
        self.status = self.status.model_copy(update=changes)

    def tell(self, reason: str, message: str, *, warning: bool = False) -> None:
        """Note a decision."""
        self._events.append(Event(reason, message, warning))

    @property
    def skipped(self) -> bool:
        """Whether somebody skips the rest of the canary's steps."""
        trial = self.status.canary
        return trial is not None and self._resource.promoted == trial.token

    def goes_back(self, target: str, served: str | None) -> bool:
        """Whether somebody wants to go back from one version to another at once, without trying it."""
        way, _, generation = self._resource.promoted.rpartition("@")
        return (
            way == f"{target}@{served}"
            and generation.isdecimal()
            and int(generation) >= self.status.served_generation  # else it was asked for long ago
        )

    def observe(self, spec: Spec, rollout: Rollout | None) -> None:
        """Take over what is seen of the pods."""
        owner = self._resource.owner
        scaled = spec.autoscaling is not None and spec.autoscaling.enabled
        before = self.status.asked_replicas
        if scaled and before is not None and before != spec.replicas:
            self.tell(
                "ReplicasIgnored",
                f"spec.replicas became {spec.replicas}, which has no effect while autoscaling is enabled.",
            )
        self.set(
            asked_replicas=spec.replicas,
            replicas=0 if rollout is None else rollout.pods,
            ready_replicas=0 if rollout is None else rollout.ready,
            selector=",".join(f"{key}={value}" for key, value in owner.stable.items()),
            url=f"http://{owner.name}.{owner.namespace}.svc",
        )
        if rollout is None or not rollout.complete or rollout.version in {None, self.status.served_version}:
            return
        if not rollout.wanted:  # no pod of it was ever ready
            return
        self.set(
            previous_version=self.status.served_version,
            served_version=rollout.version,
            served_generation=self._resource.generation,
        )
        self.tell("Served", f"{rollout.version} is served by {pods(rollout.ready)}.")

    def follow_route(self, spec: Spec, route: Manifest | None, *, routable: bool) -> None:
        """Note whether requests come by the HTTPRoute.

        Args:
            spec: that may ask for one.
            route: as it is; None if it is to be made.
            routable: the cluster knows HTTPRoutes.
        """
        before = self.status.unrouted
        found = hindrance(route) if spec.route is not None and route is not None and routable else None
        if spec.route is not None and not routable:
            self.obstacle = (Reason.NO_GATEWAY_API, NO_GATEWAY_API)
        if found is None:
            self.rerouted = before
            self.set(unrouted=None)
            return
        paused = any(condition.reason == Reason.PAUSED for condition in self.status.conditions)
        lasts = before is not None and before.stale == found.stale and not paused
        since = before.since if before is not None and lasts else self.now
        self.set(unrouted=Unrouted(message=found.message, stale=found.stale, since=since))
        if found.stale:
            return
        left = UNROUTED_SECONDS - (self.now - since).total_seconds()
        if left > 0:
            self._look = max(left, 1.0)
        else:
            told = f"Requests do not come by the HTTPRoute {self._resource.owner.name} as they should: {found.message}."
            self.obstacle = (Reason.ROUTE_NOT_ACCEPTED, told)

    def aim(self, target: str, wish: str) -> None:
        """Note what is asked for now."""
        before = self.status.target_version
        self.set(target_version=target, target_of=wish)
        if before != target:
            came_from = "" if before is None else f", after {before}"
            self.tell("RollingOut", f"{target} is to be served{came_from}.")

    def gave_up(self, version: str, asked: str) -> bool:
        """Whether just this was given up before; if it was something else, that is forgotten."""
        rollback = self.status.rollback
        if rollback is None or (rollback.version, rollback.asked) == (version, asked):
            return rollback is not None
        self.set(rollback=None)
        return False

    def give_up(self, version: str, asked: str, reason: Fault, message: str) -> None:
        """Note that a version is not waited for any longer."""
        self.set(rollback=Rollback(version=version, asked=asked, reason=reason, message=message, at=self.now))
        back = self.status.served_version
        self.tell("RolledBack", f"{version} is given up, and {back} serves on ({reason}): {message}", warning=True)

    def ready(self, version: str, rollout: Rollout, children: tuple[Manifest, ...], **more: Any) -> Plan:
        """What is asked for is served."""
        message = f"{version} is served by {pods(rollout.ready)}."
        if self.status.canary is not None:
            message = f"{message} {self.status.canary.message}"
        if self.obstacle is not None:
            reason, why = self.obstacle
            return self.stalled(reason, f"{message} {why}", children, **more)
        leaving = self.status.canary is not None
        reason = Reason.CANARY if leaving else Reason.READY
        return self.plan(children, ready=True, reconciling=leaving, reason=reason, message=message, **more)

    def rolling(self, version: str, rollout: Rollout | None, children: tuple[Manifest, ...], **more: Any) -> Plan:
        """It is on the way there."""
        if rollout is None:
            message = f"{version} gets its first pods."
        else:
            old = rollout.pods - rollout.updated
            rest = f"; {pods(old)} of what was before still there" if old else ""
            message = (
                f"{rollout.ready} of {pods(rollout.wanted)} ready on the way to {version}{rest}{because(rollout)}."
            )
        return self.plan(children, reconciling=True, reason=Reason.ROLLING_OUT, message=message, **more)

    def rolled_back(
        self, served: str, children: tuple[Manifest, ...], *, complete: bool, late: Rollout | None, **more: Any
    ) -> Plan:
        """What is asked for was given up; what was before may be late as well, where more than the version changed."""
        rollback = self.status.rollback
        told = "" if rollback is None else f"{rollback.version} was given up: {rollback.message} "
        going = "is served" if complete else "comes back"
        ending = (
            f"{served} {going} until the spec or the alias changes."
            if late is None
            else f"{served} does not get ready by this spec either, and its pods of before serve on{because(late)}."
        )
        return self.plan(
            children,
            reconciling=not complete and late is None,
            stalled=True,
            reason=Reason.ROLLED_BACK,
            message=told + ending,
            **more,
        )

    def trying(self, trial: Trial, children: tuple[Manifest, ...], *, stalled: bool = False, **more: Any) -> Plan:
        """A candidate is tried, and what was there before serves."""
        self.set(canary=trial)
        serves = self.status.ready_replicas > 0
        none_ready = "" if serves else f"No pod beside which {trial.version} is tried is ready."
        reason, why = self.obstacle or (Reason.CANARY, "")
        if why:
            self._tell_once(reason, why)
        return self.plan(
            children,
            ready=serves and not why,
            reconciling=True,
            stalled=stalled or bool(why),
            reason=reason,
            message=" ".join(filter(None, (trial.message, none_ready, why))),
            **more,
        )

    def stalled(self, reason: Reason, message: str, children: tuple[Manifest, ...] | None = None, **more: Any) -> Plan:
        """It does not get there by itself."""
        self._tell_once(reason, message)
        return self.plan(children, stalled=True, reason=reason, message=message, **more)

    def waiting(self, reason: Reason, message: str) -> Plan:
        """It is not known what to do; nothing is touched meanwhile."""
        conditions_now = self.status.conditions
        if self.status.observed_generation == self._resource.generation and conditions_now:
            return Plan(self.status, events=tuple(self._events))  # what was told still holds
        return self.plan(None, reconciling=True, reason=reason, message=message)

    def paused(self) -> Plan:
        """Nothing is to be changed."""
        served, trial = self.status.served_version, self.status.canary
        message = "Paused" + (f"; {served} is served" if served else "")
        message += f", and {trial.version} stays at {trial.share:g} % of the requests." if trial is not None else "."
        return self.plan(None, reason=Reason.PAUSED, message=message)

    def plan(
        self,
        children: tuple[Manifest, ...] | None,
        *,
        ready: bool = False,
        reconciling: bool = False,
        stalled: bool = False,
        reason: Reason,
        message: str,
        unwanted: tuple[tuple[str, str], ...] = (),
        again: float | None = None,
    ) -> Plan:
        """What was decided, with the conditions that say so."""
        if self._look is not None:
            again = self._look if again is None else min(self._look, again)
        generation = self._resource.generation
        told = conditions(
            self.status.conditions,
            ready=ready,
            reconciling=reconciling,
            stalled=stalled,
            reason=reason,
            message=message,
            generation=generation,
            now=self.now,
        )
        self.set(conditions=told, observed_generation=generation)
        return Plan(self.status, children, unwanted, tuple(self._events), again)

    def _tell_once(self, reason: Reason, message: str) -> None:
        """Note why it does not go on, unless that was the reason before."""
        if all(condition.reason != reason for condition in self.status.conditions):
            self.tell(reason, message, warning=True)


def because(rollout: Rollout | None) -> str:
    """Why Kubernetes makes no pods, to be added to a sentence."""
    return f": {rollout.message}" if rollout is not None and rollout.message else ""


def pods(count: int) -> str:
    """So many pods, in words."""
    return f"{count} pod" if count == 1 else f"{count} pods"
