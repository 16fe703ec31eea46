"""What is seen of a ModelDeployment, and what is to be done: plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlplat.operator.children import Manifest, Owner
from mlplat.operator.status import Reason, Status


@dataclass(frozen=True)
class Resource:
    """A ModelDeployment as it is seen.

    Attributes:
        owner: its name and identity.
        generation: of the spec.
        spec: as it came.
        status: as it was last written.
        promoted: token of the canary whose other steps somebody skips, or of a way back that is not to be tried.
    """

    owner: Owner
    generation: int
    spec: Mapping[str, Any]
    status: Status
    promoted: str = ""


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
        routable: the cluster knows HTTPRoutes.
    """

    children: Mapping[tuple[str, str], Manifest]
    foreign: frozenset[tuple[str, str]] = frozenset()
    trouble: str = ""
    routable: bool = False

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
        status: what is to be told.
        children: that there are to be; None to touch none.
        unwanted: kinds and names of those that there are to be no more.
        events: the decisions that were made.
        again: seconds after which it is to be looked at, whether anything changes or not.
    """

    status: Status
    children: tuple[Manifest, ...] | None = None
    unwanted: tuple[tuple[str, str], ...] = ()
    events: tuple[Event, ...] = field(default=())
    again: float | None = None
