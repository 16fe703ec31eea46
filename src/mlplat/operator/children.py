"""The manifests of a ModelDeployment's children, made from its spec and the base: plain functions over plain values."""

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlplat.operator.base import Base
from mlplat.operator.diff import differs
from mlplat.operator.spec import GROUP, KIND, VERSION, Autoscaling, EnvVar, Route, Spec, Spread

Manifest = dict[str, Any]

COMPARE_WITH = "MLPLAT_COMPARE_WITH"
"""Environment variable of the serving process: the version whose golden samples it answers as well, for its metrics."""

MANAGER = "mlplat-operator"
"""Who manages the children: the value of their label, and the name under which fields are applied."""

OWNER_LABEL = f"{GROUP}/model-deployment"
TRACK_LABEL = f"{GROUP}/track"
"""Which of the versions a pod belongs to: stable, or candidate."""

BASE_ANNOTATION = f"{GROUP}/base"
"""Digest of the base that a Deployment was made from."""

APPLIED_ANNOTATION = f"{GROUP}/applied"
"""Digest of a child as it was applied: what is wanted no more is found by it, as no comparison would find it."""

PROMOTE_ANNOTATION = f"{GROUP}/promote"
"""Of a ModelDeployment: the token of a canary whose other steps are to be skipped, or of a way back without one."""

CLAIM_LABEL = f"{GROUP}/claim"
"""By which pods with a ReadWriteOnce claim find each other."""

STABLE, CANDIDATE = "stable", "candidate"


@dataclass(frozen=True)
class Candidate:
    """A version that is tried beside the one that serves.

    Attributes:
        version: of it.
        replicas: its pods.
        weight: percent of the requests that are to reach it; 0 for none yet, or none any more.
        against: the version that it is compared with.
        floor: stable pods that an autoscaler is to leave meanwhile.
    """

    version: str
    replicas: int
    weight: int
    against: str
    floor: int


@dataclass(frozen=True)
class Owner:
    """The ModelDeployment that children belong to."""

    namespace: str
    name: str
    uid: str

    @property
    def reference(self) -> Manifest:
        """What makes the garbage collector remove a child together with it."""
        return {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }

    @property
    def candidate(self) -> str:
        """Name of what belongs to a canary's candidate."""
        return f"{self.name}-{CANDIDATE}"

    @property
    def stable(self) -> dict[str, str]:
        """Labels of the pods that are no candidate's."""
        return self.selector | {TRACK_LABEL: STABLE}

    @property
    def selector(self) -> dict[str, str]:
        """Labels of all its pods, and of no others."""
        return {
            "app.kubernetes.io/name": "model-deployment",
            "app.kubernetes.io/instance": self.name,
            "app.kubernetes.io/component": "inference-server",
        }


def key_of(child: Manifest) -> tuple[str, str]:
    """Kind and name of a child."""
    return child["kind"], child["metadata"]["name"]


def sealed(child: Manifest) -> Manifest:
    """A child with its digest."""
    digest = hashlib.sha256(json.dumps(child, sort_keys=True).encode()).hexdigest()[:16]
    annotations = child["metadata"].get("annotations", {}) | {APPLIED_ANNOTATION: digest}
    return {**child, "metadata": {**child["metadata"], "annotations": annotations}}


def is_applied(child: Manifest, found: Manifest | None) -> bool:
    """Whether a child is there as it is wanted; lists of the API server do not say of what kind their items are."""
    return found is not None and not any(differs(child[part], found.get(part)) for part in ("metadata", "spec"))


def effective(spec: Spec, base: Base) -> Spec:
    """The spec with the defaults of its environment.

    Raises:
        KeyError: if there is no such environment.
    """
    if spec.environment is None:
        return spec
    said = spec.model_dump(by_alias=True, exclude_unset=True)
    return Spec.model_validate(_merged(base.environments[spec.environment], said))


class Children:
    """Makes the manifests of one ModelDeployment.

    Args:
        owner: the ModelDeployment.
        spec: with the defaults of its environment.
        base: what they are made from.
    """

    def __init__(self, owner: Owner, spec: Spec, base: Base) -> None:
        self._owner = owner
        self._spec = spec
        self._base = base

    @property
    def scaled(self) -> bool:
        """Whether an autoscaler decides how many pods there are."""
        return self._spec.autoscaling is not None and bool(self._spec.autoscaling.enabled)

    def serving(
        self, version: str, candidate: Candidate | None = None, *, routed: bool = False
    ) -> tuple[Manifest, ...]:
        """All that there is to be for a version that serves.

        Args:
            version: of the stable pods.
            candidate: what is tried beside it.
            routed: an HTTPRoute leads to the pods.
        """
        replicas = None if self.scaled else self._spec.replicas
        children = [self.deployment(version, replicas)]
        if candidate is not None:
            children.append(self.candidate(candidate))
        weighed = candidate if candidate is not None and candidate.weight else None
        children.append(self.service(with_candidate=weighed is not None and not routed))
        if candidate is not None and routed:
            children.append(self.candidate_service())
        if "PodDisruptionBudget" in self._base.manifests:
            children.append(self.disruption_budget())
        if self.scaled:
            children.append(self.autoscaler(0 if candidate is None else candidate.floor))
        if routed:
            children.append(self.route(0 if weighed is None else weighed.weight))
        return tuple(sealed(child) for child in children)

    def deployment(self, version: str, replicas: int | None, track: str = STABLE) -> Manifest:
        """The Deployment that serves a version.

        Args:
            version: to serve.
            replicas: pods; None where an autoscaler decides.
            track: stable or candidate.
        """
        manifest = self._manifest("Deployment", self._owner.name if track == STABLE else self._owner.candidate)
        manifest["metadata"]["annotations"] = {
            "kubernetes.io/change-cause": f"{self._spec.model_name} {version}",
            BASE_ANNOTATION: self._base.digest,
        }
        selector = self._owner.selector | {TRACK_LABEL: track}
        out = manifest["spec"]
        out["selector"] = {"matchLabels": selector}
        out.pop("replicas", None)
        if replicas is not None:
            out["replicas"] = replicas
        if self._spec.progress_deadline_seconds is not None:
            out["progressDeadlineSeconds"] = self._spec.progress_deadline_seconds
        self._set_pod(out["template"], version, selector)
        return manifest

    def candidate(self, candidate: Candidate) -> Manifest:
        """The Deployment of a candidate, whose pods compare themselves with the stable version."""
        manifest = self.deployment(candidate.version, candidate.replicas, CANDIDATE)
        (container,) = manifest["spec"]["template"]["spec"]["containers"]
        env = [one for one in container["env"] if one["name"] != COMPARE_WITH]
        container["env"] = [*env, {"name": COMPARE_WITH, "value": candidate.against}]
        return manifest

    def service(self, *, with_candidate: bool = False) -> Manifest:
        """The Service of the stable pods, or of those of a candidate as well."""
        manifest = self._manifest("Service", self._owner.name)
        manifest["spec"]["selector"] = self._owner.selector if with_candidate else self._owner.stable
        for port in manifest["spec"]["ports"]:
            port.pop("nodePort", None)
        return manifest

    def candidate_service(self) -> Manifest:
        """The Service of a candidate's pods, for an HTTPRoute."""
        manifest = self._manifest("Service", self._owner.candidate)
        ports = [{key: port[key] for key in ("name", "port", "targetPort")} for port in manifest["spec"]["ports"]]
        selector = self._owner.selector | {TRACK_LABEL: CANDIDATE}
        manifest["spec"] = {"type": "ClusterIP", "selector": selector, "ports": ports}
        return manifest

    def route(self, weight: int) -> Manifest:
        """The HTTPRoute, which gives a candidate so many percent of the requests."""
        manifest = self._manifest("HTTPRoute", self._owner.name)
        given, out = self._spec.route or Route(), manifest["spec"]
        out["parentRefs"] = given.parent_refs or []
        out.pop("hostnames", None)
        if given.hostnames:
            out["hostnames"] = given.hostnames
        (rule,) = out["rules"]
        (backend,) = rule["backendRefs"]
        stable = {"name": self._owner.name, "port": backend["port"], "weight": 100 - weight}
        candidate = {"name": self._owner.candidate, "port": backend["port"], "weight": weight}
        rule["backendRefs"] = [stable, candidate] if weight else [stable]
        return manifest

    def autoscaler(self, floor: int = 0) -> Manifest:
        """The autoscaler of the stable pods, which leaves at least so many."""
        scaling = self._spec.autoscaling or Autoscaling()
        manifest = self._manifest("HorizontalPodAutoscaler", self._owner.name)
        out = manifest["spec"]
        out["scaleTargetRef"]["name"] = self._owner.name
        least = scaling.min_replicas or min(out["minReplicas"], scaling.max_replicas or out["minReplicas"])
        most = out["maxReplicas"] = scaling.max_replicas or max(out["maxReplicas"], least)
        out["minReplicas"] = max(least, min(floor, most))
        targets = {
            "cpu": scaling.target_cpu_utilization_percentage,
            "memory": scaling.target_memory_utilization_percentage,
        }
        if any(targets.values()):
            out["metrics"] = [
                {
                    "type": "Resource",
                    "resource": {"name": name, "target": {"type": "Utilization", "averageUtilization": target}},
                }
                for name, target in targets.items()
                if target
            ]
        return manifest

    def disruption_budget(self) -> Manifest:
        """The disruption budget of the stable pods: a candidate that never gets ready holds up no drain."""
        manifest = self._manifest("PodDisruptionBudget", self._owner.name)
        manifest["spec"]["selector"] = {"matchLabels": self._owner.stable}
        return manifest

    def _manifest(self, kind: str, name: str) -> Manifest:
        """The base's manifest of a kind as the owner's own."""
        manifest: Manifest = copy.deepcopy(dict(self._base.manifests[kind]))
        manifest["metadata"] = {
            "name": name,
            "namespace": self._owner.namespace,
            "labels": {
                **self._owner.selector,
                "app.kubernetes.io/part-of": "ml-platform",
                "app.kubernetes.io/managed-by": MANAGER,
                OWNER_LABEL: self._owner.name,
            },
            "ownerReferences": [self._owner.reference],
        }
        return manifest

    def _set_pod(self, template: Manifest, version: str, selector: Mapping[str, str]) -> None:
        """Let the base's pod be one of the owner's."""
        spec = self._spec
        template["metadata"] = self._pod_metadata(template["metadata"], selector)
        pod = template["spec"]
        if self._owner.namespace != self._base.namespace:
            pod["serviceAccountName"] = "default"  # the release's own is in its own namespace
        if spec.node_selector is not None:
            pod["nodeSelector"] = spec.node_selector
        if spec.tolerations is not None:
            pod["tolerations"] = [*pod.get("tolerations", []), *spec.tolerations]
        if spec.affinity is not None:
            pod["affinity"] = _merged(pod.get("affinity", {}), spec.affinity)
        if spec.spread is not None:
            pod["topologySpreadConstraints"] = _spread(spec.spread)
        for constraint in pod.get("topologySpreadConstraints", []):
            constraint["labelSelector"] = {"matchLabels": dict(selector)}
        (container,) = pod["containers"]
        container["args"] = ["serve", "--model", spec.model_name, "--version", version]
        if spec.resources is not None:
            container["resources"] = spec.resources.model_dump(exclude_none=True)
        _set_env(container, spec, self._base)
        _set_store(pod, container, spec)
        _set_auth(pod, container, spec)

    def _pod_metadata(self, given: Manifest, selector: Mapping[str, str]) -> Manifest:
        own = {
            **selector,
            "app.kubernetes.io/part-of": "ml-platform",
            "component": "inference-server",
            "model-name": self._spec.model_name,
            OWNER_LABEL: self._owner.name,
        }
        claim = {key: value for key, value in given["labels"].items() if key == CLAIM_LABEL}
        kept = {key: value for key, value in given.get("annotations", {}).items() if not key.startswith("checksum/")}
        return {"labels": {**self._spec.labels, **claim, **own}, "annotations": {**kept, **self._spec.annotations}}


def _set_env(container: Manifest, spec: Spec, base: Base) -> None:
    """Let the settings be the container's own variables, as other namespaces do not have the release's ConfigMap."""
    settings = base.manifests["ConfigMap"]["metadata"]["name"]
    container["envFrom"] = [
        source for source in container.get("envFrom", []) if source.get("configMapRef", {}).get("name") != settings
    ]
    env = {name: {"name": name, "value": value} for name, value in base.settings.items()}
    env |= {variable["name"]: variable for variable in container.get("env", [])}
    env |= {variable.name: _variable(variable) for variable in spec.env}
    container["env"] = list(env.values())


def _set_store(pod: Manifest, container: Manifest, spec: Spec) -> None:
    """Let the pods look for versions in a store of their own, and no more in the release's."""
    store = spec.store
    if store is None:
        return
    env = {variable["name"]: variable for variable in container["env"]}
    env.pop("MLPLAT_STORE_KEY_FILE", None)
    env["MLPLAT_STORE"] = {"name": "MLPLAT_STORE", "value": store.url}
    env |= {name: {"name": name, "value": value} for name, value in store.env.items()}
    container["env"] = list(env.values())
    container["envFrom"] = [] if store.existing_secret is None else [{"secretRef": {"name": store.existing_secret}}]
    unused = {"models", "store-key"}
    pod["volumes"] = [volume for volume in pod["volumes"] if volume["name"] not in unused]
    container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["name"] not in unused]


def _set_auth(pod: Manifest, container: Manifest, spec: Spec) -> None:
    """Let in who has a key of the spec's Secret."""
    if spec.auth is None:
        return
    path, name = "/etc/mlplat/api-keys", "api-keys"
    container["env"] = [one for one in container["env"] if one["name"] != "MLPLAT_API_KEYS_PATH"]
    container["env"].append({"name": "MLPLAT_API_KEYS_PATH", "value": path})
    container["volumeMounts"] = [one for one in container["volumeMounts"] if one["name"] != name]
    container["volumeMounts"].append({"name": name, "mountPath": path, "readOnly": True})
    pod["volumes"] = [one for one in pod["volumes"] if one["name"] != name]
    pod["volumes"].append({"name": name, "secret": {"secretName": spec.auth.existing_secret}})


def _variable(variable: EnvVar) -> Manifest:
    return variable.model_dump(by_alias=True, exclude_none=True)


def _spread(spread: Spread) -> list[Manifest]:
    """As the chart spreads pods."""
    wanted = [
        ("kubernetes.io/hostname", "DoNotSchedule", spread.nodes),
        ("topology.kubernetes.io/zone", "ScheduleAnyway", spread.zones),
    ]
    return [
        {
            "topologyKey": key,
            "maxSkew": 1,
            "whenUnsatisfiable": otherwise,
            "matchLabelKeys": ["pod-template-hash"],
            "nodeTaintsPolicy": "Honor",
        }
        for key, otherwise, on in wanted
        if on
    ]


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both, the one above wins; lists as a whole."""
    out = copy.deepcopy(dict(below))
    for key, value in above.items():
        mine = out.get(key)
        out[key] = _merged(mine, value) if isinstance(mine, Mapping) and isinstance(value, Mapping) else value
    return out
