"""What a person says of a ModelDeployment: its spec, from which the custom resource's definition is made.

Docstrings are what `kubectl explain` shows.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from mlplat.bundle.names import Name

GROUP, VERSION, KIND, PLURAL = "mlplat.dev", "v1", "ModelDeployment", "modeldeployments"

MOST_NAME = 36
"""Characters of a ModelDeployment's name: those of its pods, and of a canary's, are made from it and may have 63."""

OWN_ENV = "MLPLAT_"
"""With this the names of variables begin that say how a pod serves: a ModelDeployment says it in its spec, or not at all."""

STORE_KEY = "MLPLAT_STORE_KEY"
"""The one of them that a store's own variables may be."""

OWN_LABELS = ("app.kubernetes.io/", f"{GROUP}/")
"""With these the labels begin by which Services, and the operator, find pods."""

INT_OR_STRING: dict[str, Any] = {"x-kubernetes-int-or-string": True}
ANYTHING: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


class Part(BaseModel):
    """A part of the resource, in the camelCase that Kubernetes has."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )


def _text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Text = Annotated[str, BeforeValidator(_text), WithJsonSchema(INT_OR_STRING)]
VersionName = Annotated[Name, BeforeValidator(_text), WithJsonSchema(INT_OR_STRING)]
Object = Annotated[dict[str, Any], WithJsonSchema(ANYTHING)]
Labels = Annotated[dict[str, str], Field(max_length=64)]
Percent = Annotated[int, Field(ge=1, le=99)]


class Resources(Part):
    """CPU and memory, as a container has them."""

    requests: dict[str, Text] | None = None
    """What each pod is sure to get, e.g. `{cpu: 100m, memory: 192Mi}`."""

    limits: dict[str, Text] | None = None
    """What each pod may have at most."""


class Autoscaling(Part):
    """How many pods there are, by their load."""

    enabled: bool | None = None
    """Let a HorizontalPodAutoscaler decide; `replicas` then has no effect."""

    min_replicas: int | None = Field(default=None, ge=1)
    """At least so many pods."""

    max_replicas: int | None = Field(default=None, ge=1)
    """At most so many pods."""

    target_cpu_utilization_percentage: int | None = Field(default=None, ge=1, alias="targetCPUUtilizationPercentage")
    """Mean use of the CPU request to aim for, in percent."""

    target_memory_utilization_percentage: int | None = Field(default=None, ge=1)
    """Mean use of the memory request to aim for, in percent."""


class Spread(Part):
    """Where pods are kept apart."""

    nodes: bool | None = None
    """Spread the pods over nodes."""

    zones: bool | None = None
    """Spread the pods over zones, as far as possible."""


class StoreReference(Part):
    """Where the versions are, if not in the store of the operator's release.

    The operator does not look into such a store: the pods themselves wait for the version.
    """

    url: str = Field(pattern=r"^(s3|gs|az|https?)://.+", max_length=2048)
    """URL of the store: s3://bucket/prefix, gs://..., az://..., or of a registry, http(s)://..."""

    existing_secret: str | None = None
    """Secret, in the same namespace, whose keys become environment variables."""

    env: Labels = {}
    """Further environment variables of the store, e.g. `{AWS_ENDPOINT_URL: http://minio:9000}`; of `MLPLAT_*` only
    `MLPLAT_STORE_KEY`."""


class Auth(Part):
    """Who may ask for predictions."""

    existing_secret: str
    """Secret, in the same namespace, with API keys; it is mounted as files, so that keys rotate without a restart."""


class EnvVar(Part):
    """An environment variable of the serving container."""

    name: str
    """Its name."""

    value: str | None = None
    """Its value."""

    value_from: Object | None = None
    """Where its value comes from, as in a container."""


class Route(Part):
    """How requests come from outside, by the Gateway API."""

    parent_refs: list[Object] | None = Field(default=None, min_length=1, max_length=16)
    """Gateways, as in an HTTPRoute, e.g. `[{name: public, namespace: gateways}]`."""

    hostnames: list[str] | None = Field(default=None, max_length=16)
    """Host names that lead here; without any, all do."""


class Step(Part):
    """A step of a canary."""

    weight: Percent
    """Percent of the requests that the candidate gets."""

    pause_seconds: int = Field(default=60, ge=0, le=86400)
    """So long, in seconds, before it is judged and the next step begins; 60 if not said."""


class Canary(Part):
    """How a candidate is tried, and what ends the trial."""

    steps: list[Step] = Field(default=[Step(weight=5), Step(weight=25), Step(weight=50)], min_length=1, max_length=20)
    """Weights, each larger than the one before; after the last step the candidate takes over. If not said: 5, 25 and 50."""

    max_error_rate: float = Field(default=0.01, ge=0, le=1)
    """The most of the candidate's answers that may be server errors, as a fraction; 0.01 if not said."""

    max_latency_ratio: float = Field(default=1.5, gt=0)
    """How many times the stable version's mean latency the candidate's may be; 1.5 if not said."""

    min_agreement: float = Field(default=0.9, ge=0, le=1)
    """How alike the predictions of both must be, from 0 to 1; 0.9 if not said. It holds for the share of the stable version's
    golden samples that the candidate answers alike, and for what both predicted of late: 1 less half the sum of the
    differences of the classes' shares, or less the Kolmogorov-Smirnov distance of numbers, and what chance explains is
    forgiven."""

    min_requests: int = Field(default=100, ge=1)
    """So many answers of the candidate are needed to judge them at a step; 100 if not said. With fewer when the pause ends,
    golden samples and readiness decide."""


class Strategy(Part):
    """How one version follows another."""

    type: Literal["rolling", "canary"] | None = None
    """`rolling` replaces pod by pod; `canary` tries the candidate on a part of the requests first. If not said: canary where
    `canary` is given, else rolling."""

    canary: Canary | None = None
    """Of a canary."""


class Spec(Part):
    """What is to be served, and how."""

    model_name: Name
    """Name of the model in the store."""

    model_version: VersionName | None = None
    """Version to serve. One of this and `alias`."""

    alias: Name | None = None
    """Serve whatever version this alias names, e.g. champion; when it moves, the pods follow by the strategy."""

    replicas: int = Field(default=1, ge=0, le=1000)
    """Pods, unless autoscaling is enabled. `kubectl scale` writes it."""

    environment: Name | None = None
    """A named set of defaults from the values of the operator's chart, `operator.environments`, for what is not said here."""

    resources: Resources | None = None
    """CPU and memory of each pod."""

    autoscaling: Autoscaling | None = None
    """How many pods there are, by their load."""

    strategy: Strategy | None = None
    """How one version follows another."""

    rollback: Literal["auto", "never"] | None = None
    """`auto`, the default: a version that is not ready within `progressDeadlineSeconds` is given up, and the last one that
    was serves on. `never`: it is waited for."""

    progress_deadline_seconds: int | None = Field(default=None, ge=10, le=86400)
    """Seconds within which a new version must make progress."""

    paused: bool = False
    """Change nothing for now: what serves goes on as it is, and is not corrected."""

    labels: Labels = {}
    """Further labels of the pods; not `app.kubernetes.io/*` and `mlplat.dev/*`."""

    annotations: Labels = {}
    """Further annotations of the pods."""

    env: list[EnvVar] = Field(default=[], max_length=128)
    """Further environment variables of the serving container; not `MLPLAT_*`."""

    node_selector: dict[str, str] | None = None
    """Labels of the nodes that pods may run on."""

    tolerations: list[Object] | None = None
    """Taints that pods tolerate, as in a pod."""

    affinity: Object | None = None
    """Affinity, as in a pod."""

    spread: Spread | None = None
    """Where pods are kept apart."""

    store: StoreReference | None = None
    """Where the versions are, if not in the store of the operator's release."""

    auth: Auth | None = None
    """Who may ask for predictions; without it, as in the operator's release."""

    route: Route | None = None
    """An HTTPRoute that leads from a Gateway to the predictions, and gives each version of a canary its share of the requests.
    Without it a canary's weights are shares of pods, which count new connections, not requests."""

    @property
    def trial(self) -> Canary | None:
        """How a candidate is tried first; None where pods are replaced one by one."""
        strategy = self.strategy or Strategy()
        kind = strategy.type or ("rolling" if strategy.canary is None else "canary")
        return (strategy.canary or Canary()) if kind == "canary" else None

    @property
    def reserved(self) -> str:
        """What is said that is the operator's own to say, in a sentence; empty if nothing is. The definition refuses it, too."""
        for variable in self.env:
            if variable.name.startswith(OWN_ENV):
                return f"spec.env: {variable.name} is the operator's own to say."
        for name in () if self.store is None else self.store.env:
            if name.startswith(OWN_ENV) and name != STORE_KEY:
                return f"spec.store.env: {name} is the operator's own to say."
        for name in self.labels:
            if name.startswith(OWN_LABELS):
                return f"spec.labels: {name} is the operator's own to say."
        return ""

    @property
    def wish(self) -> str:
        """What is asked of the store, in a word: MODEL:VERSION or MODEL@ALIAS."""
        return f"{self.model_name}@{self.alias}" if self.alias else f"{self.model_name}:{self.model_version}"
