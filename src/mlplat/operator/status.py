"""What the operator tells of a ModelDeployment: its status, which is a part of the custom resource's definition.

Docstrings are what `kubectl explain` shows. All that the operator must know the next time it looks stands in it.
"""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from mlplat.operator.spec import Part

MOST_MESSAGE = 32768
"""Characters in the message of a condition, as everywhere in Kubernetes."""


class ConditionType(StrEnum):
    """Those that kstatus knows, so that `kubectl wait`, Flux and the `--wait` of Helm 4 understand them."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


class Reason(StrEnum):
    """Why a condition is as it is; there are no others."""

    READY = "Ready"
    ROLLING_OUT = "RollingOut"
    CANARY = "Canary"
    PAUSED = "Paused"
    ROLLED_BACK = "RolledBack"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    VERSION_NOT_FOUND = "VersionNotFound"
    ALIAS_NOT_FOUND = "AliasNotFound"
    STORE_UNREACHABLE = "StoreUnreachable"
    INVALID_SPEC = "InvalidSpec"
    NAME_TAKEN = "NameTaken"
    NO_GATEWAY_API = "NoGatewayAPI"
    """The spec has a route, and the cluster has no HTTPRoutes."""

    ROUTE_NOT_ACCEPTED = "RouteNotAccepted"
    """A Gateway of the route does not take it, or there is none."""

    REFUSED = "Refused"
    """The API server refused what was to be applied, e.g. for a quota or a policy."""


class Condition(Part):
    """What holds of the deployment, as kstatus reads it."""

    type: ConditionType
    """Ready, Reconciling or Stalled."""

    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""

    reason: Reason
    """Why, in a word."""

    message: str = Field(max_length=MOST_MESSAGE)
    """Why, in a sentence."""

    last_transition_time: datetime
    """Since when the status is as it is."""

    observed_generation: int | None = None
    """Of which generation of the spec it is told."""


class Fault(StrEnum):
    """Why a version is given up; there are no others."""

    DEADLINE_EXCEEDED = "DeadlineExceeded"
    CANARY_NOT_READY = "CanaryNotReady"
    CANARY_ERRORS = "CanaryErrors"
    CANARY_SLOW = "CanarySlow"
    CANARY_DISAGREES = "CanaryDisagrees"
    CANARY_NOT_ROUTED = "CanaryNotRouted"


class Rollback(Part):
    """A version that was given up."""

    version: str
    """Its name."""

    asked: str
    """Digest of the spec that asked for it, but for the number of pods; another one is tried anew."""

    reason: Fault
    """Why it was given up, in a word."""

    message: str
    """Why, in a sentence, with figures."""

    at: datetime
    """When."""


class Phase(StrEnum):
    """How far a canary is."""

    STARTING = "Starting"
    """The candidate's pods for a step are waited for."""

    TRYING = "Trying"
    """The candidate gets its share; it is judged when the pause ends."""

    PROMOTING = "Promoting"
    """The stable pods are rolled to the candidate's version, while it keeps its share."""

    ENDING = "Ending"
    """The candidate gets no more requests; its pods leave."""


class Counted(Part):
    """What pods counted since a step began; None is what is not known."""

    requests: int
    """Answers of the candidate."""

    errors: int
    """Of them, server errors."""

    latency_milliseconds: float | None = None
    """Their mean time."""

    stable_latency_milliseconds: float | None = None
    """That of the stable version's answers."""

    agreement: float | None = None
    """How alike both predicted of late, from 0 to 1, before what chance explains."""

    golden_agreement: float | None = None
    """Share of the stable version's golden samples that the candidate answers alike."""

    at: datetime
    """When the pods were asked."""


class Trial(Part):
    """A canary."""

    version: str
    """The candidate."""

    stable: str
    """The version that it is compared with."""

    asked: str
    """Digest of the spec that asked for it, but for the number of pods."""

    begun: datetime
    """When it began."""

    phase: Phase
    """Starting, Trying, Promoting or Ending."""

    step: int = 0
    """Number of the step, from 0."""

    weight: int = 0
    """Percent of the requests that the candidate is to get now."""

    share: float = 0.0
    """Percent that it gets: the weight in an HTTPRoute, or its share of the pods."""

    pods: int
    """Stable pods that there were when it began; an autoscaler does not go below while it lasts."""

    since: datetime
    """When this phase of this step began."""

    unrouted_seconds: float = 0.0
    """So long, in all, no request came by the HTTPRoute at this step, before it last did."""

    counted: Counted | None = None
    """What the pods counted."""

    message: str = ""
    """How it stands, and what is waited for."""

    @property
    def token(self) -> str:
        """What the annotation says that skips the rest of just this canary's steps."""
        return f"{self.version}@{self.begun:%Y-%m-%dT%H:%M:%SZ}"


def back_token(version: str, served: str | None, generation: int) -> str:
    """What the annotation says that lets a version follow the one that serves without being tried.

    Args:
        version: to go back to.
        served: what serves.
        generation: of the spec before; the token is of no use any more once another version was served after it.
    """
    return f"{version}@{served}@{generation}"


class Unrouted(Part):
    """Why requests do not come by the HTTPRoute."""

    message: str
    """Why, as its Gateways say it."""

    stale: bool = False
    """They come as its Gateways knew it before it was changed."""

    since: datetime
    """Since when."""


class Status(Part):
    """What is served now."""

    observed_generation: int = 0
    """Generation of the spec that all of this is about."""

    conditions: list[Condition] = Field(default_factory=list)
    """Ready, Reconciling and Stalled, as kstatus reads them."""

    replicas: int = 0
    """Pods that there are, but for those of a candidate."""

    ready_replicas: int = 0
    """Of them, those that are ready."""

    selector: str = ""
    """Selects these pods, for `kubectl scale` and autoscalers."""

    target_version: str | None = None
    """The version that the spec asks for; of an alias, the one that it names."""

    target_of: str | None = None
    """What that version was asked for as: MODEL:VERSION or MODEL@ALIAS."""

    served_version: str | None = None
    """The last version that all pods were ready with."""

    served_generation: int = 0
    """Generation of the spec when this version came to be served."""

    previous_version: str | None = None
    """The one before it."""

    url: str | None = None
    """Where the Service answers within the cluster."""

    asked_replicas: int | None = None
    """The replicas of the spec when it was last looked at."""

    rollback: Rollback | None = None
    """The version that was given up last, if it is still the one asked for."""

    canary: Trial | None = None
    """The canary under way."""

    unrouted: Unrouted | None = None
    """What keeps requests from coming by the HTTPRoute, if anything does."""
