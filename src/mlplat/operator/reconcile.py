"""One ModelDeployment at a time: look, plan, and write what differs. Doing it twice is doing it once."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx2
from lightkube import ApiError
from pydantic import ValidationError

from mlplat import logs
from mlplat.operator.base import Base
from mlplat.operator.children import OWNER_LABEL, PROMOTE_ANNOTATION, Manifest, Owner, effective, is_applied, key_of
from mlplat.operator.cluster import BUILT_IN, Cluster
from mlplat.operator.explain import trouble
from mlplat.operator.informer import FOREIGN, Informer, Key
from mlplat.operator.judge import Figures
from mlplat.operator.metrics import OperatorMetrics
from mlplat.operator.ownership import removal
from mlplat.operator.plan import plan, refused
from mlplat.operator.rollout import read_rollout
from mlplat.operator.scrape import Scraper
from mlplat.operator.spec import Spec
from mlplat.operator.status import Phase, Reason, Status
from mlplat.operator.turns import Turns
from mlplat.operator.versions import VersionBook, Wish
from mlplat.operator.view import Found, Lookup, Plan, Resource, Seen, Unknown

REFUSED_SECONDS = 30.0
"""After so long, what the API server refused is tried again: a quota may have been raised."""

TOLERATED_FAILURES = 5
"""So many writes in a row that fail for another reason are told as if they were refused: a webhook may not answer."""

UNTYPED = "failed to create typed patch object"
"""So the API server's answer begins to an apply with unknown fields or wrong types, with the status 500."""

SHORTEST_TURN_SECONDS, LONGEST_TURN_SECONDS = 2.0, 6.0
"""Between these, whoever waits for its turn to be rolled by a changed base asks again."""


class Reconciler:
    """Brings ModelDeployments to what they say.

    Args:
        cluster: written to.
        resources: the ModelDeployments.
        children: by kind.
        versions: what the store has.
        scraper: what the pods of canaries count.
        base: what children are made from.
        metrics: what is counted.
        max_rolling: so many Deployments at a time are rolled by a changed base.

    Attributes:
        routable: whether the cluster knows HTTPRoutes.
    """

    def __init__(
        self,
        cluster: Cluster,
        resources: Informer,
        children: Mapping[str, Informer],
        *,
        versions: VersionBook,
        scraper: Scraper,
        base: Base,
        metrics: OperatorMetrics,
        max_rolling: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._cluster = cluster
        self._resources = resources
        self._children = children
        self._versions = versions
        self._scraper = scraper
        self._base = base
        self._metrics = metrics
        self._turns = Turns(children["Deployment"].objects, digest=base.digest, most=max_rolling)
        self._clock = clock
        self._failures: dict[Key, int] = {}
        self.routable = False

    async def reconcile(self, key: Key) -> float | None:
        """Look at a ModelDeployment once, and do what is to be done.

        Returns:
            In how many seconds it is to be looked at again; None for when something changes.
        """
        found = self._resources.objects.get(key)
        if found is None or "deletionTimestamp" in found["metadata"]:  # the garbage collector removes the children
            self._metrics.forget(*key)
            self._scraper.forget(key)
            self._failures.pop(key, None)
            return None
        start = time.monotonic()
        try:
            again = await self._reconcile(_resource(found))
        except Exception:
            self._metrics.reconciles.labels("failed").inc()
            raise
        self._metrics.reconciles.labels("done").inc()
        self._metrics.seconds.observe(time.monotonic() - start)
        return again

    async def _reconcile(self, resource: Resource) -> float | None:
        key = (resource.owner.namespace, resource.owner.name)
        seen = await self._seen(resource.owner)
        now = self._clock().replace(microsecond=0)
        make = partial(
            plan,
            resource,
            lookup=self._look_up(resource),
            base=self._base,
            now=now,
            figures=self._figures(key, resource.status),
        )
        planned = make(seen)
        foreign = await self._foreign(resource.owner, planned, seen)
        if foreign:
            planned = make(replace(seen, foreign=foreign))
        if planned.children is not None and _is_told(resource, planned.status) and self._turns.waits(key):
            return await self._hold(resource, make(seen, held=True), seen)
        again = planned.again
        try:
            await self._write(resource.owner, planned, seen)
        except ApiError as error:
            self._turns.give_back(key)
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            if not _is_refusal(error) and failures < TOLERATED_FAILURES:
                raise
            planned, again = refused(resource, planned, str(error.status.message), now), REFUSED_SECONDS
        except Exception:
            self._turns.give_back(key)
            raise
        else:
            self._failures.pop(key, None)
        await self._tell(resource, planned)
        return again

    async def _hold(self, resource: Resource, planned: Plan, seen: Seen) -> float:
        """Leave the Deployments as they are until it is their turn; pods may come and go, and a canary end, meanwhile."""
        others = tuple(child for child in planned.children or () if child["kind"] != "Deployment")
        await self._write(resource.owner, replace(planned, children=others), seen)
        if all(condition.reason != Reason.REFUSED for condition in resource.status.conditions):  # that holds until then
            await self._tell(resource, planned)
        return random.uniform(SHORTEST_TURN_SECONDS, LONGEST_TURN_SECONDS)

    def _figures(self, key: Key, status: Status) -> Figures | None:
        """What the pods of a canary count; asked while there is one."""
        trial = status.canary
        if trial is None or trial.phase == Phase.ENDING:
            self._scraper.forget(key)
            return None
        return self._scraper.look(key, trial)

    def _look_up(self, resource: Resource) -> Lookup:
        spec = _spec(resource.spec, self._base)
        if spec is None:
            return Unknown("The spec is invalid.")  # as the plan says with more words
        if spec.store is not None and spec.model_version is not None:
            return Found(spec.model_version)  # the pods wait for it
        return self._versions.look(Wish.of(spec))

    async def _seen(self, owner: Owner) -> Seen:
        """The children that there are; their names are made from the owner's. Of one that is late, why."""
        found = {}
        for kind, informer in self._children.items():
            for name in (owner.name, owner.candidate):
                child = informer.objects.get((owner.namespace, name))
                if child is not None and _is_child(child, owner):
                    found[kind, name] = child
        late = any(read_rollout(child).late for (kind, _), child in found.items() if kind == "Deployment")
        said = trouble(await self._cluster.pods(owner.namespace, owner.name)) if late else ""
        return Seen(found, trouble=said, routable=self.routable)

    async def _foreign(self, owner: Owner, planned: Plan, seen: Seen) -> frozenset[tuple[str, str]]:
        """Whose names are taken, of the children that would be made."""
        taken = set()
        for child in planned.children or ():
            kind, name = key_of(child)
            if (kind, name) not in seen.children:
                there = await self._cluster.get(kind, owner.namespace, name)
                if there is not None and not _is_child(there, owner):
                    taken.add((kind, name))
        return frozenset(taken)

    async def _write(self, owner: Owner, planned: Plan, seen: Seen) -> None:
        children = planned.children or ()
        await self._hand_over(children, seen)
        for child in children:
            kind, name = key_of(child)
            if not is_applied(child, seen.children.get((kind, name))):
                self._metrics.writes.labels(kind).inc()
                self._children[kind].apply(await self._cluster.apply(child))
            await self._take_out(child, seen.children.get((kind, name)))
        for kind, name in planned.unwanted:
            self._metrics.writes.labels(kind).inc()
            await self._cluster.delete(kind, owner.namespace, name)

    async def _take_out(self, child: Manifest, found: Manifest | None) -> None:
        """Remove what somebody wrote into a child by hand."""
        foreign = {} if found is None else found["metadata"].get(FOREIGN)
        if found is None or not foreign or child["kind"] not in BUILT_IN:  # of the others, lists are of one piece
            return
        patch = removal(foreign, child["spec"], found["spec"])
        if patch:
            self._metrics.writes.labels(child["kind"]).inc()
            logs.get().info("corrected", kind=child["kind"], name=child["metadata"]["name"], patch=str(patch)[:500])
            self._children[child["kind"]].apply(await self._cluster.patch(child, patch))

    async def _hand_over(self, children: tuple[Manifest, ...], seen: Seen) -> None:
        """Before an autoscaler comes, keep the number of pods as it is."""
        new = [
            child
            for child in children
            if child["kind"] == "HorizontalPodAutoscaler" and key_of(child) not in seen.children
        ]
        for scaler in new:
            deployment = seen.deployment(scaler["spec"]["scaleTargetRef"]["name"])
            if deployment is not None:
                replicas = max(deployment["spec"].get("replicas", 1), scaler["spec"]["minReplicas"])
                self._metrics.writes.labels("Deployment").inc()
                await self._cluster.hand_over(deployment, replicas)

    async def _tell(self, resource: Resource, planned: Plan) -> None:
        """Write the status if it changed, and record what was decided."""
        owner, status = resource.owner, planned.status
        before, now = _written(resource.status), _written(status)
        if before != now:
            self._metrics.writes.labels("status").inc()
            try:
                written = await self._cluster.write_status(owner, now)
            except ApiError as error:
                if error.status.code == httpx2.codes.NOT_FOUND:
                    self._resources.forget((owner.namespace, owner.name), owner.uid)
                    return
                raise
            if written is None:
                return
            self._resources.apply(written)
        for event in planned.events:
            logs.get().info(
                "decided", namespace=owner.namespace, name=owner.name, reason=event.reason, message=event.message
            )
            await self._cluster.tell(owner, event)
        self._metrics.tell(owner.namespace, owner.name, resource.status, status)


def owner_key(child: Manifest) -> Key | None:
    """Which ModelDeployment a child belongs to."""
    name = child["metadata"].get("labels", {}).get(OWNER_LABEL)
    return None if name is None else (child["metadata"]["namespace"], name)


def wish_of(found: Manifest, base: Base) -> Wish | None:
    """What a ModelDeployment asks the operator's store for, if anything."""
    spec = _spec(found.get("spec", {}), base)
    return None if spec is None or spec.store is not None else Wish.of(spec)


def _spec(said: Mapping[str, Any], base: Base) -> Spec | None:
    """A spec with the defaults of its environment; None if it cannot be."""
    try:
        return effective(Spec.model_validate(said), base)
    except (ValidationError, KeyError):
        return None


def _is_refusal(error: ApiError) -> bool:
    """Whether a child is not taken as it is; a field that Kubernetes does not know is called an internal error."""
    return error.status.code in {400, 403, 422} or UNTYPED in str(error.status.message)


def _is_told(resource: Resource, status: Status) -> bool:
    """Whether nothing else is asked for than what was told the last time."""
    before = resource.status
    return before.observed_generation == resource.generation and before.target_version == status.target_version


def _is_child(child: Manifest, owner: Owner) -> bool:
    return any(reference.get("uid") == owner.uid for reference in child["metadata"].get("ownerReferences", []))


def _resource(found: Manifest) -> Resource:
    metadata: dict[str, Any] = found["metadata"]
    owner = Owner(metadata["namespace"], metadata["name"], metadata["uid"])
    try:
        status = Status.model_validate(found.get("status") or {})
    except ValidationError:  # of another release: made anew
        status = Status()
    promoted = metadata.get("annotations", {}).get(PROMOTE_ANNOTATION, "")
    return Resource(owner, metadata["generation"], found.get("spec", {}), status, promoted)


def _written(status: Status) -> Manifest:
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)
