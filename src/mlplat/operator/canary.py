"""A candidate beside the version that serves: its steps, and its end. What it must know the next time stands in the status."""

import math
from dataclasses import dataclass
from datetime import timedelta

from mlplat.operator.children import Candidate, Children, Owner, is_applied, sealed
from mlplat.operator.judge import Figures, Finding, clear_fault, counted, judge
from mlplat.operator.rollout import Rollout, read_rollout, served_by
from mlplat.operator.spec import Canary, Spec
from mlplat.operator.status import Counted, Fault, Phase, Trial, Unrouted
from mlplat.operator.telling import Telling, because, pods
from mlplat.operator.view import Plan, Seen

UNTAKEN_SECONDS = 600
"""So long a candidate's pods are left while a Gateway has not taken the weights that give them no more requests."""

SETTLE_SECONDS = 5
"""So long after a candidate's share of the requests is taken away its pods are left, for gateways and nodes to learn of it;
after that the pods themselves drain."""

LATE_SECONDS = 5
"""So long after the deadline Kubernetes is waited for to say that pods are late, and why; it may count from later on."""

GOLDEN_SECONDS = 60
"""So long after the first step began golden samples may still be replayed; then the canary goes on without, if it can."""

FIGURES_SECONDS = 10
"""So often, at most, the status tells other figures while nothing is decided."""


@dataclass(frozen=True)
class Course:
    """A look at a canary.

    Attributes:
        owner: the ModelDeployment.
        spec: with the defaults of its environment.
        rules: of the canary.
        children: makes the manifests.
        seen: what there is.
        stable: the stable Deployment.
        telling: what is told.
        figures: what the pods counted, if that is known.
        routed: an HTTPRoute leads to the pods.
        held: the Deployments are not to be touched now.
        deadline: seconds within which pods must be ready.
    """

    owner: Owner
    spec: Spec
    rules: Canary
    children: Children
    seen: Seen
    stable: Rollout
    telling: Telling
    figures: Figures | None
    routed: bool
    held: bool
    deadline: int

    def to(self, target: str, served: str, asked: str) -> Plan | None:
        """The next thing to do on the way to a version; None if it was given up just now."""
        trial = self._begun(target, served, asked)
        figures = self._figures(trial)
        fault = None if figures is None else clear_fault(figures, self.rules, served)
        if fault is None and self.held:
            trial = _with(trial, message=f"{trial.version} waits for its turn: what pods are made from has changed.")
        elif fault is None:
            trial, fault = self._moved(trial, figures)
        if fault is not None and self.spec.rollback != "never":
            self.telling.give_up(target, asked, fault.reason, fault.message)
            return None
        if fault is not None:
            trial = _with(trial, message=f"{target} stays at its step, as spec.rollback is never: {fault.message}")
        return self._told(trial, figures, stalled=fault is not None)

    def _begun(self, target: str, served: str, asked: str) -> Trial:
        """The trial that is under way, or a new one."""
        trial, now = self.telling.status.canary, self.telling.now
        wanted = (target, served, asked)
        if trial is not None and trial.phase != Phase.ENDING and (trial.version, trial.stable, trial.asked) == wanted:
            return trial
        steps = ", ".join(f"{step.weight} %" for step in self.rules.steps)
        self.telling.tell("CanaryStarted", f"{target} is tried beside {served}: {steps}.")
        return Trial(
            version=target,
            stable=served,
            asked=asked,
            begun=now,
            phase=Phase.STARTING,
            pods=self.stable.wanted,
            since=now,
        )

    def _figures(self, trial: Trial) -> Figures | None:
        """Those of this step."""
        known = self.figures
        return known if known is not None and known.step == trial.step and known.at >= trial.begun else None

    @property
    def _candidate(self) -> Rollout | None:
        found = self.seen.deployment(self.owner.candidate)
        return None if found is None else read_rollout(found, self.seen.trouble)

    def _moved(self, trial: Trial, figures: Figures | None) -> tuple[Trial, Finding | None]:
        """The trial as far as it comes now, or why it ends."""
        match trial.phase:
            case Phase.STARTING:
                return self._started(trial)
            case Phase.TRYING:
                return self._tried(trial, figures)
        if self.stable.late and self.stable.version == trial.version:
            why = f"The pods of before were not replaced within {self.deadline} s{because(self.stable)}."
            return trial, Finding(Fault.DEADLINE_EXCEEDED, why)
        ready = f"{self.stable.updated} of {pods(self.stable.wanted)}"
        return _with(
            trial, message=f"{trial.version} takes over: {ready} made anew, while the candidate serves on."
        ), None

    def _started(self, trial: Trial) -> tuple[Trial, Finding | None]:
        """Whether the pods for a step are there."""
        candidate, wanted = self._as_wanted(trial), self._replicas(trial)
        if candidate is not None and candidate.complete:
            if self.telling.skipped:
                return self._promoting(trial, "the other steps are skipped"), None
            trial = self._at(trial, Phase.TRYING)
            self.telling.tell("CanaryStep", f"{self._gets(trial)}.")
            return self._waiting(trial, ""), None
        if candidate is None:  # it is applied now, and its time begins: there may have been a pause, or another base
            trial = self._at(trial, Phase.STARTING)
        ready = 0 if candidate is None else min(candidate.ready, candidate.updated)
        if (candidate is not None and candidate.late) or self._passed(trial) >= self.deadline + LATE_SECONDS:
            why = f"{ready} of {pods(wanted)} ready within {self.deadline} s{because(candidate)}."
            return trial, Finding(Fault.CANARY_NOT_READY, why)
        message = (
            f"{trial.version} is to be tried{self._step(trial)}: {ready} of {pods(wanted)} ready{because(candidate)}."
        )
        return _with(trial, message=message), None

    def _tried(self, trial: Trial, figures: Figures | None) -> tuple[Trial, Finding | None]:
        """Whether the candidate has had its pause, and was good enough for the next step."""
        candidate = self._candidate
        if candidate is None or candidate.version != trial.version or not candidate.ready:
            self.telling.tell("CanaryNotReady", f"No pod of {trial.version} is ready any more.", warning=True)
            return _with(self._at(trial, Phase.STARTING), message=f"No pod of {trial.version} is ready any more."), None
        if self.telling.skipped:
            return self._promoting(trial, "the other steps are skipped"), None
        unrouted = self.telling.status.unrouted
        if unrouted is not None:
            return self._hindered(trial, unrouted)
        rerouted = self.telling.rerouted
        if rerouted is not None:  # its pause begins when it has its share
            without = 0.0 if rerouted.stale else self._unrouted_for(trial, rerouted)
            trial = _with(self._at(trial, Phase.TRYING), unrouted_seconds=trial.unrouted_seconds + without)
        pause = self.rules.steps[self._number(trial)].pause_seconds
        if self._passed(trial) < pause:
            return self._waiting(trial, ""), None
        return self._judged(trial, figures)

    def _judged(self, trial: Trial, figures: Figures | None) -> tuple[Trial, Finding | None]:
        """Whether the candidate was good enough in the pause that is over."""
        there = self._as_wanted(trial)
        if there is None or not there.complete:
            return _with(self._at(trial, Phase.STARTING), message="Some pods are not ready any more."), None
        if figures is None or figures.at < trial.since:
            return self._waiting(trial, "its pods are asked for their metrics"), None
        it = figures.candidate
        unknown = it.asked and it.golden is None and self.rules.min_agreement
        if trial.step == 0 and unknown and self._passed(trial) < GOLDEN_SECONDS:
            return self._waiting(trial, f"it is to answer the golden samples of {trial.stable}"), None
        found = judge(figures, self.rules, trial.stable)
        if found.fault is not None or found.wait:
            return self._waiting(trial, found.wait), found.fault
        if trial.step + 1 >= len(self.rules.steps):
            return self._promoting(trial, found.note or "it is as good"), None
        passed = f" ({found.note})" if found.note else ""
        self.telling.tell("CanaryPassed", f"{trial.version} was good enough at {trial.weight} %{passed}.")
        next_ = self._at(_with(trial, step=trial.step + 1, unrouted_seconds=0.0, counted=None), Phase.STARTING)
        return _with(next_, message=f"{trial.version} was good enough at {trial.weight} %{passed}."), None

    def _hindered(self, trial: Trial, unrouted: Unrouted) -> tuple[Trial, Finding | None]:
        """The trial while it does not get its share, so that there is nothing to judge.

        It is given up when no request came for the deadline, all in all; it stays while a controller is away, as requests come
        by what that said last.
        """
        if unrouted.stale:
            return self._waiting(trial, unrouted.message), None
        fault = Finding(
            Fault.CANARY_NOT_ROUTED, f"No requests came by its HTTPRoute for {self.deadline} s: {unrouted.message}."
        )
        late = trial.unrouted_seconds + self._unrouted_for(trial, unrouted) >= self.deadline
        return self._waiting(trial, "no request comes by its HTTPRoute"), fault if late else None

    def _unrouted_for(self, trial: Trial, unrouted: Unrouted) -> float:
        """Seconds of this phase."""
        return (self.telling.now - max(trial.since, unrouted.since)).total_seconds()

    def _promoting(self, trial: Trial, why: str) -> Trial:
        self.telling.tell("Promoting", f"{trial.version} takes over from {trial.stable}: {why}.")
        return _with(self._at(trial, Phase.PROMOTING), message=f"{trial.version} takes over.")

    def _waiting(self, trial: Trial, reason: str) -> Trial:
        """The trial with how it stands at its step, and what it waits for after the pause, if for anything."""
        pause = timedelta(seconds=self.rules.steps[self._number(trial)].pause_seconds)
        until = f", {trial.since + pause:until %H:%M:%S UTC}" if not reason else ""
        waits = f" It waits: {reason}." if reason else ""
        return _with(trial, message=f"{self._gets(trial)}{until}.{waits}")

    def _told(self, trial: Trial, figures: Figures | None, *, stalled: bool) -> Plan:
        weight, before = self._weight(trial), trial.counted
        if figures is not None and (before is None or _since(before, figures) >= FIGURES_SECONDS):
            trial = _with(trial, counted=counted(figures))
        trial = _with(trial, weight=weight, share=self._share(weight))
        version = trial.version if trial.phase == Phase.PROMOTING else trial.stable
        pause = self.rules.steps[self._number(trial)].pause_seconds
        left = (pause if trial.phase == Phase.TRYING else self.deadline) - self._passed(trial)
        return self.telling.trying(
            trial,
            self.children.serving(version, self._try(trial, weight), routed=self.routed),
            stalled=stalled,
            again=max(left, 1.0) if trial.phase != Phase.PROMOTING else None,
        )

    def _at(self, trial: Trial, phase: Phase) -> Trial:
        return _with(trial, phase=phase, since=self.telling.now)

    def _passed(self, trial: Trial) -> float:
        return (self.telling.now - trial.since).total_seconds()

    def _number(self, trial: Trial) -> int:
        return min(trial.step, len(self.rules.steps) - 1)

    def _step(self, trial: Trial) -> str:
        number = self._number(trial)
        return f" at {self.rules.steps[number].weight} % (step {number + 1} of {len(self.rules.steps)})"

    def _gets(self, trial: Trial) -> str:
        number = self._number(trial)
        weight = self.rules.steps[number].weight
        of = "requests" if self.routed else "new connections"
        share = self._share(weight)
        asked = "" if share == weight else f", {weight} % is asked for"
        gets = "gets" if self.telling.status.unrouted is None else "is to get"
        return f"{trial.version} {gets} {share:g} % of the {of} (step {number + 1} of {len(self.rules.steps)}{asked})"

    def _weight(self, trial: Trial) -> int:
        """Percent that the candidate is to get now: that of the step before while pods are waited for."""
        number = self._number(trial)
        waits = trial.phase == Phase.STARTING
        if (waits and number == 0) or (self.routed and (self._candidate is None or not self._candidate.ready)):
            return 0  # a gateway would send requests to nobody
        return self.rules.steps[number - waits].weight

    def _share(self, weight: int) -> float:
        """Percent that a weight amounts to."""
        candidate = self._candidate
        if self.routed or not weight or candidate is None:
            return float(weight)
        return round(100 * candidate.ready / max(candidate.ready + self.stable.ready, 1), 1)

    def _replicas(self, trial: Trial) -> int:
        """Pods that a step needs."""
        weight = self.rules.steps[self._number(trial)].weight
        if self.routed:
            return max(1, math.ceil(self.stable.wanted * weight / 100))
        return max(1, math.floor(self.stable.wanted * weight / (100 - weight) + 0.5))

    def _as_wanted(self, trial: Trial) -> Rollout | None:
        """The candidate's Deployment, if it is as a step wants it."""
        wanted = sealed(self.children.candidate(self._try(trial, 0)))
        found = self.seen.deployment(self.owner.candidate)
        return self._candidate if found is not None and is_applied(wanted, found) else None

    def _try(self, trial: Trial, weight: int) -> Candidate:
        return Candidate(trial.version, self._replicas(trial), weight, trial.stable, trial.pods)


@dataclass(frozen=True)
class Leaving:
    """What is left of a canary that is over.

    Attributes:
        unwanted: what there is to be no more.
        again: seconds after which it is to be looked at; None when nothing is left.
    """

    unwanted: tuple[tuple[str, str], ...] = ()
    again: float | None = None


def leave(owner: Owner, seen: Seen, telling: Telling) -> Leaving:
    """Let the candidate, if there is one, get no more requests, and then be no more."""
    left = tuple(key for key in seen.children if key[1] == owner.candidate)
    trial, now = telling.status.canary, telling.now
    if not left:
        telling.set(canary=None)
        return Leaving()
    if trial is None or trial.phase != Phase.ENDING:
        trial = trial or _forgotten(owner, seen, telling)
        message = f"{trial.version} gets no more requests, and its pods leave."
        telling.set(canary=_with(trial, phase=Phase.ENDING, weight=0, share=0.0, since=now, message=message))
        telling.tell("CanaryEnded", message.replace("its pods", "the candidate's pods"))
        return Leaving((), SETTLE_SECONDS)
    unrouted = telling.status.unrouted
    untaken = unrouted is not None and unrouted.stale  # a gateway may send requests to them yet
    waits = (UNTAKEN_SECONDS if untaken else SETTLE_SECONDS) - (now - trial.since).total_seconds()
    return Leaving((), waits) if waits > 0 else Leaving(left, SETTLE_SECONDS)


def _forgotten(owner: Owner, seen: Seen, telling: Telling) -> Trial:
    """A trial of which the status says nothing."""
    found = seen.deployment(owner.candidate)
    version = (None if found is None else served_by(found)) or "The candidate"
    now = telling.now
    return Trial(version=version, stable="", asked="", begun=now, phase=Phase.ENDING, pods=0, since=now)


def _with(trial: Trial, **changes: object) -> Trial:
    return trial.model_copy(update=changes)


def _since(before: Counted, figures: Figures) -> float:
    return (figures.at - before.at).total_seconds()
