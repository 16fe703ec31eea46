"""What holds for every object, whatever is switched on."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from .conftest import CHART, Render, environments, labelled, named, of, one, pod_templates, read, toggles

OLDEST, NEWEST = "1.27", "1.37"
OTHERS = {"monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1"}
"""Of operators; checked against their own definitions on the cluster."""

EVERY = named([*toggles(), *environments()])


def test_the_supported_versions_are_those_of_the_chart() -> None:
    assert read(CHART / "Chart.yaml")["kubeVersion"] == f">={OLDEST}.0-0"
    assert kubernetes_validate.latest_version().startswith(f"{NEWEST}.")


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("values", EVERY)
def test_every_object_is_what_kubernetes_expects(render: Render, values: Path, version: str) -> None:
    objects = render(values)
    assert objects
    for each in objects:
        if each["apiVersion"] not in OTHERS:
            kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize("values", EVERY)
def test_rendered_twice_it_is_equal(chart: Any, values: Path) -> None:
    given = read(values) or {}
    first, second = (chart.render(given, name="r", namespace="n") for _ in range(2))
    assert first == second


@pytest.mark.parametrize("values", EVERY)
def test_every_pod_meets_the_restricted_standard(render: Render, values: Path) -> None:
    for whose, template in pod_templates(render(values)):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, whose
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, whose
        operates = template["metadata"]["labels"].get("component") == "operator"  # and asks the API server
        assert spec["automountServiceAccountToken"] is operates, whose
        assert spec["enableServiceLinks"] is False, whose
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), whose
        assert all(not volume.get("hostPath") for volume in spec["volumes"]), whose
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, whose
            assert "/tmp" in [mount["mountPath"] for mount in container["volumeMounts"]], whose


@pytest.mark.parametrize("values", EVERY)
def test_every_mount_has_its_volume_and_every_container_says_what_it_needs(render: Render, values: Path) -> None:
    for whose, template in pod_templates(render(values)):
        volumes = [volume["name"] for volume in template["spec"]["volumes"]]
        assert len(set(volumes)) == len(volumes), whose
        for container in template["spec"]["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes), whose
            assert {"cpu", "memory"} <= set(container["resources"]["requests"]), whose
            assert "memory" in container["resources"]["limits"], whose
            names = [each["name"] for each in container.get("env", [])]
            assert len(set(names)) == len(names), whose


@pytest.mark.parametrize("values", EVERY)
def test_every_object_has_the_standard_labels_and_its_namespace(render: Render, values: Path) -> None:
    for each in render(values):
        labels = each["metadata"]["labels"]
        standard = {"name", "instance", "component", "version", "part-of", "managed-by"}
        assert {f"app.kubernetes.io/{name}" for name in standard} <= set(labels), each["metadata"]["name"]
        of_the_cluster = each["kind"] in {"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"}
        assert each["metadata"].get("namespace") == (None if of_the_cluster else "models")


@pytest.mark.parametrize("values", EVERY)
def test_pods_have_no_label_or_annotation_that_changes_with_the_chart(render: Render, values: Path) -> None:
    for whose, template in pod_templates(render(values)):
        if whose.startswith("Pod/"):
            continue
        labels = template["metadata"]["labels"]
        assert {"app.kubernetes.io/version", "helm.sh/chart"} & set(labels) == set(), whose
        assert "component" in labels, whose
        assert ("model-name" in labels) == (labels["component"] not in {"registry", "operator"}), whose  # of no model


@pytest.mark.parametrize("values", EVERY)
def test_selectors_select_their_pods_and_hold_nothing_else(render: Render, values: Path) -> None:
    objects = render(values)
    for deployment in of(objects, "Deployment"):
        selector = deployment["spec"]["selector"]["matchLabels"]
        assert set(selector) == {f"app.kubernetes.io/{name}" for name in ("name", "instance", "component")}
        assert selector.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
        component = deployment["metadata"]["labels"]["app.kubernetes.io/component"]
        for kind in ("Service", "PodDisruptionBudget"):
            for each in labelled(objects, kind, component):
                assert each["spec"]["selector"].get("matchLabels", each["spec"]["selector"]) == selector


def test_the_selector_is_the_same_in_every_release_of_the_chart(render: Render) -> None:
    """A selector cannot be changed: an upgrade that would, fails."""
    assert one(render(), "Deployment")["spec"]["selector"]["matchLabels"] == {
        "app.kubernetes.io/name": "ml-platform",
        "app.kubernetes.io/instance": "ml-platform",
        "app.kubernetes.io/component": "inference-server",
    }


@pytest.mark.parametrize("values", EVERY)
def test_names_are_told_apart(render: Render, values: Path) -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in render(values)]
    assert len(set(names)) == len(names)


def test_templates_hold_no_lookups_capabilities_or_randomness() -> None:
    for path in (CHART / "templates").rglob("*"):
        if path.is_file():
            assert not re.search(
                r"lookup \"|\.Capabilities|\brand[A-Z]|uuidv4|\{ *now\b|\(now\b|genCA", path.read_text()
            ), path


@pytest.mark.parametrize(
    "key", ["app.kubernetes.io/name", "app.kubernetes.io/component", "app.kubernetes.io/version", "model-name"]
)
def test_labels_that_are_given_never_win_over_those_that_selectors_hold(render: Render, key: str) -> None:
    common = {key: "theirs", "team": "flowers", "release": "common"}
    pods = {"podLabels": {key: "theirs", "mlplat.dev/claim": "theirs", "tier": "model"}}
    objects = render(
        {
            "commonLabels": common,
            "monitoring": {"serviceMonitor": {"enabled": True, "labels": {key: "theirs", "release": "prometheus"}}},
            **dict.fromkeys(("serving", "training"), pods),
        }
    )
    for kind in ("Deployment", "Service", "Job"):
        given, labels = (one(each, kind)["metadata"]["labels"] for each in (objects, render()))
        assert given == common | labels
    for kind in ("Deployment", "Job"):
        given, labels = (one(each, kind)["spec"]["template"]["metadata"]["labels"] for each in (objects, render()))
        assert given == common | {"tier": "model"} | labels
    assert one(objects, "ServiceMonitor")["metadata"]["labels"]["release"] == "prometheus"


def test_annotations_that_are_given_stand_beside_those_of_scraping_and_never_stop_a_roll(render: Render) -> None:
    given = {"prometheus.io/port": "9000", "checksum/settings": "theirs", "a": "b"}
    values = {"serving": {"podAnnotations": given}, "monitoring": {"podAnnotations": {"enabled": True}}}
    found, plain = (one(render(each), "Deployment")["spec"]["template"]["metadata"] for each in (values, {}))
    assert found["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/path": "/metrics",
        "prometheus.io/port": "9000",
        "a": "b",
        **plain["annotations"],
    }


EMPTY = [
    "commonLabels", "model.params", "model.data", "model.name", "image.registry", "image.tag", "image.pullSecrets",
    "store.url", "store.env", "batch.output", "training.command", "training.extraArgs", "training.gpu.tolerations", "training.gpu.nodeSelector",
    "serving.affinity", "serving.ingress.hosts", "serving.ingress.annotations", "serving.service.annotations",
    "serving.httpRoute.hostnames", "serving.autoscaling.metrics", "serving.autoscaling.behavior", "batch.extraArgs",
    "auth.keys", "policies.networkPolicy.storeTo", "policies.networkPolicy.identityCIDRs",
    "policies.networkPolicy.extraEgress", "monitoring.serviceMonitor.labels", "monitoring.prometheusRule.labels",
    "serviceAccount.annotations", "store.keys.existingSecret", "registry.replicas", "registry.database.existingSecret",
    "registry.adminKey.existingSecret", "registry.service.annotations", "registry.serviceAccount.annotations",
    "registry.serviceAccount.name", "registry.priorityClassName", "registry.affinity",
    "policies.networkPolicy.registryFrom", "policies.networkPolicy.databaseTo", "policies.networkPolicy.apiServerTo",
    "operator.watchNamespaces", "operator.serviceAccount.annotations",
    "operator.priorityClassName", "operator.affinity",
    *(
        f"{component}.{key}"
        for component in ("serving", "training", "batch", "registry", "operator")
        for key in (
            "nodeSelector", "tolerations", "extraEnv", "extraEnvFrom", "extraVolumes", "extraVolumeMounts",
            "podAnnotations", "podLabels",
        )
    ),
]  # fmt: skip
"""Values that are empty by default."""


@pytest.mark.parametrize("key", EMPTY)
def test_null_is_as_good_as_empty(render: Render, key: str) -> None:
    """To Helm, null takes a key and its default away; where nothing empty could stand in, the schema refuses that."""
    values: dict[str, Any] = {
        "model": {},
        "training": {"gpu": {"count": 1}},
        "serving": {"ingress": {"enabled": True}, "httpRoute": {"enabled": True, "parentRefs": [{"name": "g"}]}},
        "batch": {"enabled": True},
        "registry": {"enabled": True, "serviceAccount": {"create": True}},
        "operator": {"enabled": True},
        "policies": {"networkPolicy": {"enabled": True, "allowFrom": [{"podSelector": {}}]}},
        "monitoring": {kind: {"enabled": True} for kind in ("serviceMonitor", "prometheusRule", "dashboard")},
    }
    empty = render(values)
    *path, name = key.split(".")
    below = values
    for each in path:
        below = below.setdefault(each, {})
    below[name] = None
    assert render(values) == empty


def test_without_resources_pods_ask_for_none(render: Render) -> None:
    components = ("serving", "training", "batch", "registry", "operator")
    values = {component: {"enabled": True, "resources": None} for component in components}
    for whose, template in pod_templates(render(values)):
        [container] = template["spec"]["containers"]
        assert container["resources"] == {} or whose.startswith("Pod/"), whose
    gpu = {"training": {"resources": None, "gpu": {"count": 2}}}
    [container] = one(render(gpu), "Job")["spec"]["template"]["spec"]["containers"]
    assert container["resources"] == {"limits": {"nvidia.com/gpu": 2}}
