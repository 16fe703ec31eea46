"""The operator's part of the chart: what it may do, where, and what it makes ModelDeployments from."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from mlplat.cli.options import variable
from mlplat.operator.base import Base, read_base
from mlplat.operator.children import Candidate, Children, Manifest, Owner
from mlplat.operator.cluster import CHILDREN
from mlplat.operator.spec import Spec
from mlplat.settings import OperatorSettings

from .conftest import CHART, ROOT, Object, Render, container, environment, labelled, of, one, read
from .test_values import at

ON: dict[str, Any] = {"operator": {"enabled": True}}
URL: dict[str, Any] = {"store": {"url": "s3://models/x", "existingSecret": "s3", "env": {"AWS_REGION": "eu"}}}
NETWORK: dict[str, Any] = {"policies": {"networkPolicy": {"enabled": True}}}
CANARY = Candidate(version="v2", replicas=1, weight=25, against="v1", floor=1)
THROUGH: dict[str, Any] = {
    "store": URL["store"] | {"through": "registry", "keys": {"existingSecret": "keys"}},
    "registry": {"enabled": True, "database": {"existingSecret": "postgres"}},
}
EVERYWHERE: dict[str, Any] = {"operator": {"enabled": True, "watchNamespaces": ["*"]}}
TEAMS: dict[str, Any] = {"operator": {"enabled": True, "watchNamespaces": ["team-a", "team-b"]}}


def base(objects: list[Object]) -> Base:
    """What ModelDeployments are made from, as the operator reads it."""
    return read_base("models", one(objects, "ConfigMap", "-operator-base")["data"])


def children(objects: list[Object], namespace: str = "models", **spec: Any) -> dict[str, Manifest]:
    """What the operator would make of a ModelDeployment, by kind."""
    wanted = Spec.model_validate({"modelName": "iris", "modelVersion": "v1", **spec})
    made = Children(Owner(namespace, "flowers", "uid"), wanted, base(objects)).serving("v1")
    return {each["kind"]: each for each in made}


def test_it_is_off_by_default_and_alone_when_it_is_on(render: Render) -> None:
    """What the release itself serves is as it was; its service account stays for the pods that outlive the release."""
    plain, beside = render(), render(ON)
    added = [each for each in beside if each not in plain]
    assert sorted(each["kind"] for each in added) == [
        "ConfigMap", "CustomResourceDefinition", "Deployment", "Role", "RoleBinding", "ServiceAccount", "ServiceAccount",
    ]  # fmt: skip
    [changed] = [each for each in plain if each not in beside]
    assert changed == one(plain, "ServiceAccount")


@pytest.mark.parametrize("file", ["minikube", "production", "staging", "registry"])
def test_it_works_with_the_values_of_every_environment(render: Render, file: str) -> None:
    objects = render(read(ROOT / "values" / f"{file}.yaml") | ON)
    made = children(objects, autoscaling={"enabled": True})
    assert made["Deployment"]["spec"]["template"]["spec"]["containers"][0]["args"][:3] == ["serve", "--model", "iris"]
    assert {"Deployment", "Service", "HorizontalPodAutoscaler"} <= set(made)


class TestDefinition:
    def test_the_chart_has_the_one_that_is_made_from_the_spec(self, render: Render) -> None:
        found = one(render(ON), "CustomResourceDefinition")
        assert found["spec"] == yaml.safe_load((CHART / "files" / "crd.yaml").read_text())["spec"]

    def test_it_is_kept_with_what_the_pods_need_or_all_goes(self, render: Render) -> None:
        keys = {"auth": {"enabled": True, "keys": {"a": "b"}}}
        kept, gone = render(ON | keys), render({"operator": {"enabled": True, "crds": {"keep": False}}} | keys)

        def policies(objects: list[Object]) -> list[object]:
            account = labelled(objects, "ServiceAccount", "identity")[0]
            all_three = (one(objects, "CustomResourceDefinition"), account, one(objects, "Secret"))
            return [each["metadata"].get("annotations", {}).get("helm.sh/resource-policy") for each in all_three]

        assert policies(kept) == ["keep"] * 3
        assert policies(gone) == [None] * 3

    def test_one_release_owns_it(self, render: Render) -> None:
        objects = render({"operator": {"enabled": True, "crds": {"enabled": False}}})
        assert of(objects, "CustomResourceDefinition") == []
        assert one(objects, "Deployment", "-operator")


class TestRoles:
    def test_it_may_do_no_more_than_it_does(self, render: Render) -> None:
        rules = one(render(ON), "Role")["rules"]
        allowed = {f"{group}/{kind}": set(rule["verbs"]) for rule in rules for group in rule["apiGroups"] for kind in rule["resources"]}  # fmt: skip
        children = {"get", "list", "watch", "create", "patch", "delete"}
        kinds = {f"{each._api_info.resource.group}/{each._api_info.plural}" for each in CHILDREN.values()}
        assert kinds <= set(allowed)
        assert all(allowed[kind] == children for kind in kinds)
        others = {kind: verbs for kind, verbs in allowed.items() if kind not in kinds}
        assert others.pop("/events") == {"create"}
        assert others.pop("mlplat.dev/modeldeployments") == {"get", "list", "watch"}
        assert others.pop("mlplat.dev/modeldeployments/status") == {"patch"}
        assert others.pop("/pods") == {"list"}
        assert not any("secrets" in kind or "pods" in kind or "*" in verbs for kind, verbs in others.items())

    def test_it_may_do_it_in_its_own_namespace_only(self, render: Render) -> None:
        objects = render(ON)
        assert one(objects, "Role")["metadata"]["namespace"] == "models"
        assert of(objects, "ClusterRole") == []
        binding = one(objects, "RoleBinding")
        account = one(objects, "ServiceAccount", "-operator")["metadata"]
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
        ]
        assert binding["roleRef"]["name"] == one(objects, "Role")["metadata"]["name"]

    def test_or_in_those_that_are_named(self, render: Render) -> None:
        objects = render(URL | TEAMS)
        for kind in ("Role", "RoleBinding"):
            assert [each["metadata"]["namespace"] for each in of(objects, kind)] == ["team-a", "team-b"]
        assert of(objects, "ClusterRole") == []
        operator = environment(container(objects, "Deployment", "-operator"))
        assert operator["MLPLAT_OPERATOR_NAMESPACES"] == "team-a,team-b"

    def test_or_everywhere(self, render: Render) -> None:
        objects = render(URL | EVERYWHERE)
        assert of(objects, "Role") == of(objects, "RoleBinding") == []
        assert one(objects, "ClusterRoleBinding")["roleRef"]["kind"] == "ClusterRole"
        assert environment(container(objects, "Deployment", "-operator"))["MLPLAT_OPERATOR_NAMESPACES"] == "*"

    def test_names_of_two_releases_never_meet(self, render: Render) -> None:
        assert one(render(ON), "Role")["metadata"]["name"] == "models-ml-platform-operator"


class TestProcess:
    def test_every_variable_is_an_option_of_operator(self, render: Render) -> None:
        operator = container(render(ON), "Deployment", "-operator")
        options = {variable(name, field) for name, field in OperatorSettings.model_fields.items()}
        assert set(environment(operator)) - options == {"MLPLAT_CACHE", "MLPLAT_ALLOW_PICKLE", "LOG_LEVEL"}
        assert OperatorSettings.model_fields["port"].default == operator["ports"][0]["containerPort"]
        [mount] = [each for each in operator["volumeMounts"] if each["name"] == "base"]
        assert str(OperatorSettings.model_fields["base"].default) == mount["mountPath"]

    def test_there_is_one_and_never_two(self, render: Render) -> None:
        spec = one(render(ON), "Deployment", "-operator")["spec"]
        assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})

    def test_another_base_rolls_it_and_another_number_of_pods_does_not(self, render: Render) -> None:
        def template(values: dict[str, Any]) -> Object:
            return dict(one(render(values), "Deployment", "-operator")["spec"]["template"])

        assert template(ON) != template(ON | {"serving": {"settings": {"drainSeconds": 7}}})
        assert template(ON) != template({"operator": {"enabled": True, "environments": {"tiny": {}}}})
        assert template(ON) == template(ON | {"serving": {"replicas": 3}})

    @pytest.mark.parametrize(
        ("key", "value", "path"),
        [
            ("maxRolling", "3", "containers 0 env MLPLAT_OPERATOR_MAX_ROLLING value"),
            ("logLevel", "debug", "containers 0 env LOG_LEVEL value"),
            ("priorityClassName", "high", "priorityClassName"),
            ("nodeSelector", {"a": "b"}, "nodeSelector"),
            ("tolerations", [{"key": "a"}], "tolerations"),
            ("affinity", {"nodeAffinity": {"a": "b"}}, "affinity"),
            ("extraEnv", [{"name": "A", "value": "1"}], "containers 0 env"),
            ("extraEnvFrom", [{"secretRef": {"name": "a"}}], "containers 0 envFrom"),
            ("resources", {"limits": {"memory": "1Gi"}}, "containers 0 resources"),
        ],
    )
    def test_a_value_ends_up_in_its_pod(self, render: Render, key: str, value: Any, path: str) -> None:
        given = int(value) if key == "maxRolling" else value
        objects = render(URL | {"operator": {"enabled": True, key: given}})
        found = at(one(objects, "Deployment", "-operator")["spec"]["template"]["spec"], path.split())
        plain = at(one(render(URL | ON), "Deployment", "-operator")["spec"]["template"]["spec"], path.split())
        assert found != plain
        match value:
            case list():
                assert value[0] in found
            case dict():
                assert all(found[each] == value[each] or value[each].items() <= found[each].items() for each in value)
            case _:
                assert found == value


class TestBase:
    def test_it_has_all_that_a_deployment_may_want_whatever_the_release_itself_has(self, render: Render) -> None:
        found = base(render(URL | ON | {"serving": {"enabled": False}}))
        kinds = {"ConfigMap", "Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "HTTPRoute"}
        assert set(found.manifests) == kinds
        assert set(found.environments) == {"production"}

    def test_on_one_node_there_is_no_budget_that_would_block_its_drain(self, render: Render) -> None:
        assert "PodDisruptionBudget" not in base(render(ON)).manifests

    def test_a_route_leads_to_the_prediction_paths_and_no_others(self, render: Render) -> None:
        gateway = {"name": "public", "namespace": "gateways"}
        objects = render(URL | ON | {"serving": {"paths": ["/predict", "/v2"], "service": {"port": 8080}}})
        wanted = Spec.model_validate({"modelName": "iris", "modelVersion": "v1", "route": {"parentRefs": [gateway]}})
        made = Children(Owner("models", "flowers", "uid"), wanted, base(objects)).serving("v1", CANARY, routed=True)
        (route,) = (child for child in made if child["kind"] == "HTTPRoute")
        (rule,) = route["spec"]["rules"]
        assert [each["path"]["value"] for each in rule["matches"]] == ["/predict", "/v2"]
        assert rule["backendRefs"] == [
            {"name": "flowers", "port": 8080, "weight": 75},
            {"name": "flowers-candidate", "port": 8080, "weight": 25},
        ]
        services = {child["metadata"]["name"]: child["spec"] for child in made if child["kind"] == "Service"}
        assert services["flowers"]["ports"] == services["flowers-candidate"]["ports"]

    def test_which_version_the_release_serves_is_not_in_it(self, render: Render) -> None:
        assert base(render(ON)).digest == base(render(ON | {"model": {"version": "v2"}})).digest

    def test_pods_elsewhere_reach_the_registry_and_have_none_of_the_stores_credentials(self, render: Render) -> None:
        made = children(render(THROUGH | TEAMS), namespace="team-a")
        pod = made["Deployment"]["spec"]["template"]["spec"]
        variables = environment(pod["containers"][0])
        assert variables["MLPLAT_STORE"] == "http://ml-platform-registry.models:80"
        assert variables["MLPLAT_STORE_KEY_FILE"] == "/etc/mlplat/store-key/key"
        assert "AWS_REGION" not in variables
        assert "s3" not in str(pod["containers"][0]["envFrom"])


class TestPolicies:
    def test_the_operator_reaches_names_the_api_server_the_pods_and_the_store(self, render: Render) -> None:
        network = {"enabled": True, "apiServerTo": [{"ipBlock": {"cidr": "10.0.0.1/32"}}], "apiServerPorts": [6443]}
        spec = one(render(URL | ON | {"policies": {"networkPolicy": network}}), "NetworkPolicy", "-operator")["spec"]
        _, server, pods, store = spec["egress"]
        assert server == {"ports": [{"port": 6443, "protocol": "TCP"}], "to": network["apiServerTo"]}
        assert pods["ports"] == [{"port": "http", "protocol": "TCP"}]
        assert store["ports"] == [{"port": 443, "protocol": "TCP"}]
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        assert "ingress" not in spec

    def test_it_is_scraped_by_whom_the_values_name(self, render: Render) -> None:
        network = {"enabled": True, "allowFrom": [{"podSelector": {}}]}
        spec = one(render(ON | {"policies": {"networkPolicy": network}}), "NetworkPolicy", "-operator")["spec"]
        assert spec["ingress"] == [{"ports": [{"port": "http", "protocol": "TCP"}], "from": [{"podSelector": {}}]}]

    def test_the_pods_of_deployments_are_closed_wherever_they_are(self, render: Render) -> None:
        objects = render(URL | TEAMS | NETWORK)
        policies = of(objects, "NetworkPolicy", "-model-deployments")
        assert [each["metadata"]["namespace"] for each in policies] == ["team-a", "team-b"]
        wanted = Spec.model_validate({"modelName": "iris", "modelVersion": "v1"})
        both = Children(Owner("team-a", "flowers", "uid"), wanted, base(objects)).serving("v1", CANARY)[:2]
        for policy in policies:
            for deployment in both:  # the stable one and the candidate
                labels = deployment["spec"]["template"]["metadata"]["labels"]
                assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
            assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
            [ingress] = policy["spec"]["ingress"]
            selected = ingress["from"][0]["podSelector"]["matchLabels"]
            pod = one(objects, "Deployment", "-operator")["spec"]["template"]["metadata"]["labels"]
            assert selected.items() <= pod.items()

    def test_the_registry_lets_both_in(self, render: Render) -> None:
        spec = one(render(THROUGH | TEAMS | NETWORK), "NetworkPolicy", "-registry")["spec"]
        ours, models = spec["ingress"][0]["from"]
        assert "operator" in ours["podSelector"]["matchExpressions"][0]["values"]
        assert models["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "model-deployment"
        egress = of(render(THROUGH | TEAMS | NETWORK), "NetworkPolicy", "-model-deployments")[0]["spec"]["egress"]
        assert egress[1]["to"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "registry"


def test_both_are_scraped(render: Render) -> None:
    monitor = {"monitoring": {"serviceMonitor": {"enabled": True, "interval": "30s", "labels": {"a": "b"}}}}
    objects = render(URL | TEAMS | monitor)
    for ending in ("-operator", "-model-deployments"):
        found = one(objects, "PodMonitor", ending)
        assert found["metadata"]["labels"]["a"] == "b"
        assert found["spec"]["podMetricsEndpoints"] == [{"port": "http", "path": "/metrics", "interval": "30s"}]
    models = one(objects, "PodMonitor", "-model-deployments")["spec"]
    assert models["namespaceSelector"] == {"matchNames": ["team-a", "team-b"]}
    labels = children(objects)["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert models["selector"]["matchLabels"].items() <= labels.items()
    assert set(models["podTargetLabels"]) <= set(labels)
    everywhere = one(render(URL | EVERYWHERE | monitor), "PodMonitor", "-model-deployments")["spec"]
    assert everywhere["namespaceSelector"] == {"any": True}


def test_the_notes_say_what_to_type_and_what_uninstalling_leaves(notes: Callable[..., str]) -> None:
    text = notes(ON)
    assert "apply -f examples/iris-classifier.yaml" in text
    assert "mlplat deployments explain iris-classifier -n models" in text
    assert "leaves all of them serving" in text
    assert "kubectl delete crd modeldeployments.mlplat.dev" in text
    assert "leaves none of them" in notes({"operator": {"enabled": True, "crds": {"keep": False}}})
    assert "modeldeployments" not in notes()


@pytest.mark.parametrize("name", ["iris-classifier", "churn-predictor"])
def test_the_examples_are_served(render: Render, name: str) -> None:
    example = read(ROOT / "examples" / f"{name}.yaml")
    assert (example["metadata"]["name"], example["kind"]) == (name, "ModelDeployment")
    made = children(render(ON), **example["spec"])
    assert made["Deployment"]["spec"]["template"]["metadata"]["labels"]["model-name"] == example["spec"]["modelName"]
    assert set(example["spec"]) <= {field.alias or "" for field in Spec.model_fields.values()} | {"alias", "replicas"}
