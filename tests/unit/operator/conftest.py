"""A base as the chart renders it, and ModelDeployments that are made of it without a cluster."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from mlplat.operator.base import ENVIRONMENTS, MANIFESTS, Base, read_base
from mlplat.operator.children import Manifest, Owner, is_applied, key_of
from mlplat.operator.judge import Figures
from mlplat.operator.plan import plan
from mlplat.operator.status import Condition, ConditionType, Status
from mlplat.operator.view import Found, Lookup, Plan, Resource, Seen

START = datetime(2026, 1, 1, tzinfo=UTC)

SERVING = """
apiVersion: v1
kind: ConfigMap
metadata: {name: release-settings}
data: {MLPLAT_DRAIN_SECONDS: "20", LOG_LEVEL: info}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: release, labels: {helm.sh/chart: ml-platform-1}, annotations: {kubernetes.io/change-cause: model -}}
spec:
  progressDeadlineSeconds: 600
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  selector: {matchLabels: {app.kubernetes.io/instance: release}}
  template:
    metadata:
      labels: {app.kubernetes.io/instance: release, mlplat.dev/claim: release-store}
      annotations: {checksum/settings: "1", prometheus.io/scrape: "true"}
    spec:
      serviceAccountName: release
      tolerations: [{key: node.kubernetes.io/not-ready, operator: Exists}]
      topologySpreadConstraints:
        - {topologyKey: kubernetes.io/hostname, maxSkew: 1, labelSelector: {matchLabels: {app.kubernetes.io/instance: release}}}
      containers:
        - name: serve
          image: ml-platform:1
          args: [serve, --model, model, --version, "-"]
          env: [{name: MLPLAT_STORE, value: "file:///models/store"}, {name: MLPLAT_STORE_KEY_FILE, value: /etc/key}]
          envFrom: [{configMapRef: {name: release-settings}}, {secretRef: {name: minio}}]
          resources: {requests: {cpu: 100m}}
          volumeMounts: [{name: tmp, mountPath: /tmp}, {name: models, mountPath: /models}]
      volumes: [{name: tmp, emptyDir: {}}, {name: models, persistentVolumeClaim: {claimName: release-store}}]
---
apiVersion: v1
kind: Service
metadata: {name: release, annotations: {cloud: internal}}
spec:
  type: NodePort
  selector: {app.kubernetes.io/instance: release}
  ports: [{name: http, port: 80, targetPort: http, nodePort: 30080}]
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: release}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: release}
  minReplicas: 2
  maxReplicas: 5
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: release}
spec: {maxUnavailable: 1, selector: {matchLabels: {app.kubernetes.io/instance: release}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: release}
spec:
  parentRefs: []
  hostnames: [release.example.com]
  rules:
    - matches: [{path: {type: PathPrefix, value: /predict}}]
      backendRefs: [{name: release, port: 80}]
"""

PRODUCTION = """
production:
  autoscaling: {enabled: true, minReplicas: 3}
  resources: {requests: {cpu: 250m}}
"""


@pytest.fixture(scope="session")
def base() -> Base:
    """What children are made from."""
    return read_base("ml", {MANIFESTS: SERVING, ENVIRONMENTS: PRODUCTION})


@pytest.fixture
def owner() -> Owner:
    """A ModelDeployment."""
    return Owner("ml", "iris", "uid-1")


def parent(reference: Manifest, generation: int, **conditions: str) -> Manifest:
    """What a controller says of an HTTPRoute for one of its Gateways: each condition's status, or the reason why it is not."""
    return {
        "parentRef": reference,
        "controllerName": "example.com/gateways",
        "conditions": [
            {
                "type": kind,
                "status": said if said == "True" else "False",
                "reason": said,
                "message": "So it is.",
                "observedGeneration": generation,
            }
            for kind, said in conditions.items()
        ],
    }


def accepted(route: Manifest) -> Manifest:
    """The status of an HTTPRoute that each of its Gateways takes."""
    generation = route["metadata"]["generation"]
    parents = [parent(each, generation, Accepted="True", ResolvedRefs="True") for each in route["spec"]["parentRefs"]]
    return {"parents": parents}


class KilledError(Exception):
    """The operator is killed."""


class World:
    """One ModelDeployment and its children, as the API server and the controllers of Kubernetes would have them."""

    def __init__(self, owner: Owner, base: Base) -> None:
        self.owner = owner
        self.base = base
        self.spec: dict[str, Any] = {"modelName": "iris", "modelVersion": "v1", "replicas": 2}
        self.generation = 1
        self.status = Status()
        self.children: dict[tuple[str, str], Manifest] = {}
        self.now = START
        self.events: list[str] = []
        self.figures: Figures | None = None
        self.promoted = ""
        self.routable = False
        self.held = False
        self.writes = 0
        self.fatal = 0
        self.trouble = ""
        self.gateway: Callable[[Manifest], Manifest] = accepted

    def change(self, **spec: Any) -> None:
        """Write to the spec, as a person would."""
        self.spec |= spec
        self.generation += 1

    def step(self, lookup: Lookup | None = None, foreign: frozenset[tuple[str, str]] = frozenset()) -> Plan:
        """Plan once, and apply it."""
        self.now += timedelta(seconds=1)
        found = Found(str(self.spec.get("modelVersion"))) if lookup is None else lookup
        for (kind, _), child in self.children.items():
            if kind == "HTTPRoute":
                child["status"] = self.gateway(child)
        resource = Resource(self.owner, self.generation, self.spec, self.status, self.promoted)
        seen = Seen(dict(self.children), foreign, self.trouble, self.routable)
        planned = plan(resource, seen, found, self.base, self.now, figures=self.figures, held=self.held)
        for child in planned.children or ():
            if self.held and child["kind"] == "Deployment":
                continue
            if not is_applied(child, self.children.get(key_of(child))):
                self._write(partial(self._apply, child))
        for key in planned.unwanted:
            self._write(partial(self.children.pop, key, None))
        if planned.status != self.status:
            self._write(partial(setattr, self, "status", planned.status))
        self.events += [event.reason for event in planned.events]
        return planned

    def _write(self, write: Callable[[], object]) -> None:
        """Write something, unless the operator is killed just before."""
        self.writes += 1
        if self.writes == self.fatal:
            raise KilledError
        write()

    def settle(self, lookup: Lookup | None = None) -> Plan:
        """Plan, let all pods become ready, and plan until nothing changes."""
        for _ in range(5):
            self.step(lookup)
            self.roll_out()
        return self.step(lookup)

    def roll_out(self, *, ready: int | None = None, late: bool = False, candidate: bool = False) -> None:
        """Let a Deployment's pods be those of its template, as far as they get ready."""
        deployment = self.candidate if candidate else self.deployment
        replicas = deployment["spec"].get("replicas", 2)
        deployment["spec"]["replicas"] = replicas
        answering = replicas if ready is None else ready
        deployment["status"] = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": replicas if answering == replicas else replicas + 1,
            "updatedReplicas": replicas if answering == replicas else 1,
            "readyReplicas": answering,
            "availableReplicas": answering,
            "conditions": [
                {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
                if late
                else {"type": "Progressing"}
            ],
        }

    @property
    def deployment(self) -> Manifest:
        """The stable Deployment."""
        return self.children["Deployment", self.owner.name]

    @property
    def candidate(self) -> Manifest:
        """The candidate's Deployment."""
        return self.children["Deployment", self.owner.candidate]

    @property
    def serves(self) -> str:
        """The version that its pods are told to serve."""
        args = self.deployment["spec"]["template"]["spec"]["containers"][0]["args"]
        return str(args[args.index("--version") + 1])

    def condition(self, kind: ConditionType) -> Condition:
        """One of the conditions."""
        (found,) = [condition for condition in self.status.conditions if condition.type == kind]
        return found

    @property
    def told(self) -> tuple[bool, bool, bool, str]:
        """Whether it is ready, reconciling, stalled, and why."""
        ready, reconciling, stalled = (self.condition(kind).status == "True" for kind in ConditionType)
        return ready, reconciling, stalled, self.condition(ConditionType.READY).reason

    def _apply(self, child: Manifest) -> None:
        before = self.children.get(key_of(child))
        merged: Manifest = {**child}
        if before is not None:
            generation = before["metadata"]["generation"]
            changed = before["spec"] != {**before["spec"], **child["spec"]}
            merged["status"] = before.get("status", {})
            merged["spec"] = {**before["spec"], **child["spec"]}
        else:
            generation, changed = 0, True
        merged["metadata"] = {**child["metadata"], "generation": generation + changed}
        self.children[key_of(child)] = merged


@pytest.fixture
def world(owner: Owner, base: Base) -> World:
    """A ModelDeployment that was just made."""
    return World(owner, base)


Make = Callable[..., Manifest]
