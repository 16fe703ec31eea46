"""The children of a ModelDeployment, as they are applied."""

from dataclasses import replace
from typing import Any

import pytest

from mlplat.operator.base import Base
from mlplat.operator.children import Candidate, Children, Manifest, Owner, effective, is_applied, key_of
from mlplat.operator.diff import differs
from mlplat.operator.spec import Spec


@pytest.fixture
def elsewhere() -> Owner:
    return Owner("team", "iris", "uid-2")


def made(owner: Owner, base: Base, **more: Any) -> Children:
    return Children(owner, Spec.model_validate({"modelName": "iris", "modelVersion": "v1"} | more), base)


def pod_of(manifest: Manifest) -> Manifest:
    pod: Manifest = manifest["spec"]["template"]["spec"]
    return pod


def container_of(manifest: Manifest) -> Manifest:
    (container,) = pod_of(manifest)["containers"]
    return dict(container)


def env_of(manifest: Manifest) -> dict[str, Any]:
    return {one["name"]: one.get("value") for one in container_of(manifest)["env"]}


def test_a_deployment_serves_the_version_from_the_base(owner: Owner, base: Base) -> None:
    manifest = made(owner, base).deployment("v1", 3)
    assert manifest["spec"]["replicas"] == 3
    assert container_of(manifest)["args"] == ["serve", "--model", "iris", "--version", "v1"]
    assert container_of(manifest)["image"] == "ml-platform:1"
    assert env_of(manifest) | {"MLPLAT_STORE": "file:///models/store", "MLPLAT_DRAIN_SECONDS": "20"} == env_of(manifest)
    assert container_of(manifest)["envFrom"] == [{"secretRef": {"name": "minio"}}]
    assert pod_of(manifest)["serviceAccountName"] == "release"


def test_children_are_the_owners_and_their_selectors_meet_no_one_elses(owner: Owner, base: Base) -> None:
    children = made(owner, base, autoscaling={"enabled": True}).serving("v1")
    assert [child["kind"] for child in children] == [
        "Deployment",
        "Service",
        "PodDisruptionBudget",
        "HorizontalPodAutoscaler",
    ]
    for child in children:
        assert child["metadata"]["ownerReferences"] == [owner.reference]
        assert (child["metadata"]["namespace"], child["metadata"]["name"]) == ("ml", "iris")
        assert "release" not in str(child["metadata"])
    deployment, service, budget, scaler = children
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    for selector in (
        deployment["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        budget["spec"]["selector"]["matchLabels"],
        pod_of(deployment)["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
        assert selector["app.kubernetes.io/instance"] == "iris"
    assert scaler["spec"]["scaleTargetRef"]["name"] == "iris"
    assert "nodePort" not in service["spec"]["ports"][0]


CANARY = Candidate(version="v2", replicas=1, weight=25, against="v1", floor=4)
ROUTE = {"parentRefs": [{"name": "public", "namespace": "gateways"}], "hostnames": ["iris.example.com"]}


def of(children: tuple[Manifest, ...], kind: str, name: str = "iris") -> Manifest:
    (found,) = (child for child in children if key_of(child) == (kind, name))
    return found


def test_a_candidate_has_pods_of_its_own_that_compare_themselves(owner: Owner, base: Base) -> None:
    children = made(owner, base).serving("v1", CANARY)
    stable, candidate = of(children, "Deployment"), of(children, "Deployment", "iris-candidate")
    assert container_of(candidate)["args"][-1] == "v2"
    assert candidate["spec"]["replicas"] == 1
    assert env_of(candidate)["MLPLAT_COMPARE_WITH"] == "v1"
    assert "MLPLAT_COMPARE_WITH" not in env_of(stable)
    ours = stable["spec"]["selector"]["matchLabels"].items()
    assert not ours <= candidate["spec"]["template"]["metadata"]["labels"].items()
    budget = of(children, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"].items()
    assert not budget <= candidate["spec"]["template"]["metadata"]["labels"].items()


@pytest.mark.parametrize(("weight", "both"), [(0, False), (25, True)])
def test_without_a_route_the_service_reaches_a_candidate_that_has_a_weight(
    owner: Owner, base: Base, weight: int, both: bool
) -> None:
    children = made(owner, base).serving("v1", replace(CANARY, weight=weight))
    selector = of(children, "Service")["spec"]["selector"].items()
    candidate = of(children, "Deployment", "iris-candidate")["spec"]["template"]["metadata"]["labels"].items()
    assert (selector <= candidate) == both
    assert selector <= of(children, "Deployment")["spec"]["template"]["metadata"]["labels"].items()
    assert ("Service", "iris-candidate") not in map(key_of, children)


def test_a_route_gives_each_version_its_weight_and_the_service_is_of_the_stable_pods(owner: Owner, base: Base) -> None:
    children = made(owner, base, route=ROUTE).serving("v1", CANARY, routed=True)
    spec = of(children, "HTTPRoute")["spec"]
    assert spec["parentRefs"] == ROUTE["parentRefs"]
    assert spec["hostnames"] == ROUTE["hostnames"]
    (rule,) = spec["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/predict"}}]
    assert rule["backendRefs"] == [
        {"name": "iris", "port": 80, "weight": 75},
        {"name": "iris-candidate", "port": 80, "weight": 25},
    ]
    candidate = of(children, "Deployment", "iris-candidate")["spec"]["template"]["metadata"]["labels"].items()
    assert not of(children, "Service")["spec"]["selector"].items() <= candidate
    inner = of(children, "Service", "iris-candidate")["spec"]
    assert inner["selector"].items() <= candidate
    assert inner["type"] == "ClusterIP"


def test_a_route_without_a_canary_leads_to_the_stable_pods_alone(owner: Owner, base: Base) -> None:
    children = made(owner, base, route=ROUTE | {"hostnames": None}).serving("v1", routed=True)
    spec = of(children, "HTTPRoute")["spec"]
    assert spec["rules"][0]["backendRefs"] == [{"name": "iris", "port": 80, "weight": 100}]
    assert "hostnames" not in spec


def test_an_autoscaler_leaves_the_stable_pods_while_there_is_a_candidate(owner: Owner, base: Base) -> None:
    children = made(owner, base, autoscaling={"enabled": True})
    assert of(children.serving("v1", CANARY), "HorizontalPodAutoscaler")["spec"]["minReplicas"] == 4
    assert of(children.serving("v1"), "HorizontalPodAutoscaler")["spec"]["minReplicas"] == 2
    above = children.serving("v1", replace(CANARY, floor=9))
    assert of(above, "HorizontalPodAutoscaler")["spec"]["minReplicas"] == 5


def test_what_is_wanted_no_more_is_to_be_applied_again(owner: Owner, base: Base) -> None:
    """A comparison alone would not find it: what there is has all that is wanted, and a variable more."""
    before = of(made(owner, base, env=[{"name": "A", "value": "1"}]).serving("v1"), "Deployment")
    now = of(made(owner, base).serving("v1"), "Deployment")
    assert not differs(now["spec"], before["spec"])
    assert not is_applied(now, before)
    assert is_applied(before, before)


def test_what_the_spec_says_of_the_pods_wins(owner: Owner, base: Base) -> None:
    manifest = made(
        owner,
        base,
        labels={"team": "a", "app.kubernetes.io/instance": "stolen"},
        annotations={"note": "x"},
        env=[{"name": "LOG_LEVEL", "value": "debug"}, {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}],
        resources={"requests": {"cpu": 2, "memory": "1Gi"}},
        nodeSelector={"disk": "fast"},
        tolerations=[{"key": "gpu", "operator": "Exists"}],
        affinity={"nodeAffinity": {"a": 1}},
        spread={"zones": True},
        progressDeadlineSeconds=30,
    ).deployment("v1", 1)
    metadata = manifest["spec"]["template"]["metadata"]
    assert metadata["labels"] | {"team": "a", "app.kubernetes.io/instance": "iris"} == metadata["labels"]
    assert metadata["annotations"] == {"prometheus.io/scrape": "true", "note": "x"}
    assert env_of(manifest)["LOG_LEVEL"] == "debug"
    assert {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "x"}}} in container_of(manifest)["env"]
    assert container_of(manifest)["resources"] == {"requests": {"cpu": "2", "memory": "1Gi"}}
    pod = pod_of(manifest)
    assert pod["nodeSelector"] == {"disk": "fast"}
    assert [toleration["key"] for toleration in pod["tolerations"]] == ["node.kubernetes.io/not-ready", "gpu"]
    assert pod["affinity"] == {"nodeAffinity": {"a": 1}}
    assert [one["topologyKey"] for one in pod["topologySpreadConstraints"]] == ["topology.kubernetes.io/zone"]
    assert manifest["spec"]["progressDeadlineSeconds"] == 30


def test_a_store_of_its_own_replaces_the_releases(owner: Owner, base: Base) -> None:
    manifest = made(
        owner, base, store={"url": "s3://other/models", "existingSecret": "s3", "env": {"AWS_REGION": "eu"}}
    ).deployment("v1", 1)
    env = env_of(manifest)
    assert (env["MLPLAT_STORE"], env["AWS_REGION"]) == ("s3://other/models", "eu")
    assert "MLPLAT_STORE_KEY_FILE" not in env
    assert container_of(manifest)["envFrom"] == [{"secretRef": {"name": "s3"}}]
    assert [one["name"] for one in container_of(manifest)["volumeMounts"]] == ["tmp"]
    assert [one["name"] for one in pod_of(manifest)["volumes"]] == ["tmp"]


def test_keys_of_its_own_are_mounted(owner: Owner, base: Base) -> None:
    manifest = made(owner, base, auth={"existingSecret": "keys"}).deployment("v1", 1)
    assert env_of(manifest)["MLPLAT_API_KEYS_PATH"] == "/etc/mlplat/api-keys"
    assert {"name": "api-keys", "secret": {"secretName": "keys"}} in pod_of(manifest)["volumes"]


def test_in_another_namespace_nothing_is_left_of_the_releases_account(elsewhere: Owner, base: Base) -> None:
    assert pod_of(made(elsewhere, base).deployment("v1", 1))["serviceAccountName"] == "default"


def test_an_autoscaler_has_what_the_spec_says_and_else_the_base(owner: Owner, base: Base) -> None:
    said = {"enabled": True, "minReplicas": 7, "targetMemoryUtilizationPercentage": 80}
    spec = made(owner, base, autoscaling=said).autoscaler()["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (7, 7)
    (metric,) = spec["metrics"]
    assert metric["resource"] == {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 80}}
    spec = made(owner, base, autoscaling={"enabled": True}).autoscaler()["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 5)
    assert spec["metrics"][0]["resource"]["name"] == "cpu"
    spec = made(owner, base, autoscaling={"enabled": True, "maxReplicas": 1}).autoscaler()["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 1)


def test_making_children_leaves_the_base_as_it_was(owner: Owner, base: Base) -> None:
    first = made(owner, base).serving("v1")
    made(owner, base, env=[{"name": "A", "value": "1"}], tolerations=[{"key": "x"}]).serving("v2")
    assert made(owner, base).serving("v1") == first


def test_an_environment_gives_what_the_spec_does_not_say(base: Base) -> None:
    said = {"modelName": "iris", "modelVersion": "v1", "environment": "production", "autoscaling": {"maxReplicas": 9}}
    spec = effective(Spec.model_validate(said), base)
    assert spec.autoscaling is not None
    assert (spec.autoscaling.enabled, spec.autoscaling.min_replicas, spec.autoscaling.max_replicas) == (True, 3, 9)
    assert spec.resources is not None
    assert spec.resources.requests == {"cpu": "250m"}
