"""Combinations of values that cannot work are refused, with a sentence that says what to do."""

from typing import Any

import helm_python as helm
import pytest

from .conftest import CHART, Render

URL = {"url": "s3://models/x"}
KEYS = {"existingSecret": "registry-keys"}
POSTGRES = {"enabled": True, "database": {"existingSecret": "postgres"}}
OPEN = {"store": {"through": "registry"}, "registry": {"enabled": True, "open": True}}
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("a number as version", {"model": {"version": 2}}, "use --set-string model.version=2"),
    ("version and alias", {"model": {"alias": "champion"}}, "both set"),
    ("neither version nor alias", {"model": {"version": ""}}, "both empty"),
    ("own recipe without name", {"model": {"recipe": "a.b:C"}}, "set model.name"),
    ("tabular without data", {"model": {"recipe": "tabular"}}, "set model.data"),
    ("spread of nodes on one", {"serving": {"spread": {"nodes": True}}}, r"serving\.spread\.nodes cannot hold"),
    ("spread of zones on one", {"serving": {"spread": {"zones": True}}}, r"serving\.spread\.zones cannot hold"),
    ("budget on one node", {"serving": {"podDisruptionBudget": {"enabled": True}}}, "would block the drain"),
    (
        "min over max",
        {"serving": {"autoscaling": {"enabled": True, "minReplicas": 6}}},
        r"minReplicas \(6\) is over maxReplicas \(5\)",
    ),
    (
        "nothing to scale by",
        {"serving": {"autoscaling": {"enabled": True, "targetCPUUtilizationPercentage": None}}},
        "nothing to scale by",
    ),
    (
        "scaling by a CPU request that is not there",
        {
            "serving": {
                "autoscaling": {"enabled": True},
                "resources": {"requests": {"cpu": None}, "limits": {"cpu": None}},
            }
        },
        r"set serving\.resources\.requests\.cpu",
    ),
    (
        "scaling by a memory request that is not there",
        {
            "serving": {
                "autoscaling": {"enabled": True, "targetMemoryUtilizationPercentage": 80},
                "resources": {"requests": {"memory": None}, "limits": {"memory": None}},
            }
        },
        r"set serving\.resources\.requests\.memory",
    ),
    (
        "a budget that lets none go",
        {"store": URL, "serving": {"podDisruptionBudget": {"enabled": True, "maxUnavailable": 0}}},
        "could never be drained",
    ),
    (
        "a budget of no percent",
        {"store": URL, "serving": {"podDisruptionBudget": {"enabled": True, "maxUnavailable": "0%"}}},
        "could never be drained",
    ),
    ("an update that cannot begin", {"serving": {"rollout": {"maxSurge": "0%"}}}, "no update could ever begin"),
    (
        "a grace period that cuts requests",
        {"serving": {"terminationGracePeriodSeconds": 49}},
        r"\(49\) is under drainSeconds \+ deadlineSeconds \(50\)",
    ),
    (
        "progress before training",
        {"serving": {"rollout": {"progressDeadlineSeconds": 899}}},
        r"\(899\) is under training.activeDeadlineSeconds \(900\)",
    ),
    ("a route without gateway", {"serving": {"httpRoute": {"enabled": True}}}, r"set serving\.httpRoute\.parentRefs"),
    ("retraining without alias", {"training": {"retraining": {"enabled": True}}}, r"set model\.alias"),
    (
        "gate without metric",
        {
            "model": {"version": "", "alias": "champion"},
            "training": {"retraining": {"enabled": True, "gate": {"metric": ""}}},
        },
        r"set training\.retraining\.gate\.metric",
    ),
    ("batch with nowhere to write", {"store": URL, "batch": {"enabled": True}}, r"set batch\.output to a URL"),
    (
        "shards that write at different times",
        {"batch": {"enabled": True, "shards": 2, "output": "/models/{time}/"}},
        r"use \$\(JOB_NAME\)",
    ),
    (
        "runs of shards that would meet",
        {"batch": {"enabled": True, "shards": 2, "schedule": "* * * * *", "output": "/models/out/"}},
        r"put \$\(JOB_NAME\) into it",
    ),
    (
        "runs that would find the first one's output",
        {"batch": {"enabled": True, "schedule": "* * * * *", "output": "/models/out.parquet"}},
        "would find it complete and do nothing",
    ),
    (
        "a gate by a metric that the recipe does not have",
        {
            "model": {"version": "", "alias": "champion", "recipe": "forecast"},
            "training": {"retraining": {"enabled": True}},
        },
        "forecast does not have: set it to mae or rmse",
    ),
    (
        "a variable that the chart sets",
        {"serving": {"extraEnv": [{"name": "MLPLAT_STORE", "value": "x"}]}},
        r"serving\.extraEnv holds MLPLAT_STORE",
    ),
    (
        "a variable of the store set twice",
        {"store": {"env": {"AWS_REGION": "a"}}, "training": {"extraEnv": [{"name": "AWS_REGION", "value": "b"}]}},
        r"training\.extraEnv holds AWS_REGION",
    ),
    (
        "a claim that is in another namespace",
        {"operator": {"enabled": True, "watchNamespaces": ["models", "team-a"]}},
        "goes beyond models, and pods elsewhere cannot mount the claim",
    ),
    (
        "all namespaces and some",
        {"store": URL, "operator": {"enabled": True, "watchNamespaces": ["*", "team-a"]}},
        r"has \* beside names of namespaces",
    ),
    (
        "an environment that says what is served",
        {"operator": {"enabled": True, "environments": {"production": {"replicas": 3}}}},
        r"operator\.environments\.production sets replicas, which every ModelDeployment says for itself",
    ),
    (
        "an environment with a field that there is not",
        {"operator": {"enabled": True, "environments": {"production": {"autoscale": {}}}}},
        r"sets autoscale, which is no field of a ModelDeployment's spec: it has affinity, alias, ",
    ),
    (
        "a node port behind a closed network",
        {"policies": {"networkPolicy": {"enabled": True}}, "serving": {"service": {"type": "NodePort"}}},
        r"serving\.service\.type=NodePort would lead nowhere: set policies\.networkPolicy\.allowFrom",
    ),
    (
        "an ingress behind a closed network",
        {"policies": {"networkPolicy": {"enabled": True}}, "serving": {"ingress": {"enabled": True}}},
        r"serving\.ingress would lead nowhere",
    ),
    (
        "retraining that the range refuses",
        {
            "model": {"version": "", "alias": "champion"},
            "policies": {"limitRange": {"enabled": True}},
            "training": {
                "enabled": False,
                "retraining": {"enabled": True},
                "resources": {"limits": {"memory": "8Gi"}},
            },
        },
        r"training\.resources\.limits\.memory \(8Gi\) is over",
    ),
    ("auth without keys", {"auth": {"enabled": True}}, "would refuse everyone"),
    ("keys from two places", {"auth": {"existingSecret": "a", "keys": {"b": "c"}}}, "both set"),
    (
        "less than the range allows",
        {
            "policies": {"limitRange": {"enabled": True}},
            "serving": {"resources": {"requests": {"cpu": "5m"}}},
        },
        r"serving\.resources\.requests\.cpu \(5m\) is under policies\.limitRange\.min\.cpu \(10m\)",
    ),
    (
        "more than the range allows",
        {
            "policies": {"limitRange": {"enabled": True}},
            "training": {"resources": {"limits": {"memory": "2Gi"}}},
        },
        r"training\.resources\.limits\.memory \(2Gi\) is over policies\.limitRange\.max\.memory \(1Gi\)",
    ),
    (
        "a request without limit over the range",
        {
            "policies": {"limitRange": {"enabled": True}},
            "batch": {"enabled": True, "resources": {"requests": {"cpu": 1.5}, "limits": {"cpu": None}}},
        },
        r"batch\.resources\.requests\.cpu \(1\.5\) is over",
    ),
    (
        "a quota without room for the surge",
        {
            "policies": {"resourceQuota": {"enabled": True, "cpu": "1"}},
            "serving": {"replicas": 3, "resources": {"requests": {"cpu": "200m"}}},
        },
        r"cpu \(1\) is too small: serving 4 x 200m \+ training 1 x 250m, .*may request 1050m at once",
    ),
    (
        "a quota without memory for the surge",
        {"policies": {"resourceQuota": {"enabled": True, "memory": "800Mi"}}},
        r"memory \(800Mi\) is too small: serving 2 x 192Mi \+ training 1 x 512Mi, .*may request 896Mi at once",
    ),
    (
        "a quota and a pod that does not say",
        {
            "policies": {"resourceQuota": {"enabled": True}},
            "serving": {"resources": {"requests": {"cpu": None}, "limits": {"cpu": None}}},
        },
        r"serving\.resources\.requests\.cpu is not set",
    ),
    (
        "a key in the URL",
        {"store": {"url": "https://me:secret@registry.example.com/models"}},
        r"set store\.keys\.existingSecret",
    ),
    ("through no registry", {"store": {"through": "registry", "keys": KEYS}}, r"set registry\.enabled=true, or name"),
    (
        "a registry before a registry",
        {"store": {"url": "http://registry.other"}, "registry": POSTGRES},
        r"\(http://registry\.other\) is a registry, .*set store\.url to the store itself",
    ),
    (
        "keys that nothing asks for",
        {"store": {**URL, "keys": KEYS}, "registry": POSTGRES},
        r"set store\.through=registry, or store\.keys",
    ),
    (
        "no key for a registry that asks for one",
        {"store": {"through": "registry"}, "registry": {"enabled": True}},
        r"set store\.keys\.existingSecret .* or for a first try registry\.open=true",
    ),
    (
        "a key for an open door",
        {"registry": {"enabled": True, "open": True, "adminKey": {"existingSecret": "a"}}},
        r"registry\.adminKey would protect nothing",
    ),
    (
        "SQLite for two",
        {"registry": {"enabled": True, "replicas": 2}},
        r"registry\.replicas is 2, and SQLite is for one: set registry\.database\.existingSecret",
    ),
    (
        "SQLite without a claim",
        {"store": URL, "registry": {"enabled": True}},
        r"no claim to keep it on since store\.url is set: set registry\.database\.existingSecret",
    ),
    (
        "uploads that do not fit",
        {"registry": {"enabled": True, "uploadsSize": "5G"}},
        r"registry\.uploadsSize \(5G\) is under registry\.settings\.maxUploadBytes \(5368709120\)",
    ),
    (
        "one port for two",
        {
            "serving": {"service": {"type": "NodePort", "nodePort": 30080}},
            "registry": {"enabled": True, "service": {"type": "NodePort", "nodePort": 30080}},
        },
        r"nodePort are both 30080",
    ),
    (
        "training data on a claim that only the registry has",
        OPEN | {"model": {"data": "/models/rows.csv"}},
        r"model\.data \(/models/rows\.csv\) is on the claim.*by training\.extraVolumes",
    ),
    (
        "batch input on a claim that only the registry has",
        OPEN | {"batch": {"enabled": True, "input": "file:///models/in", "output": "s3://b/$(JOB_NAME)"}},
        r"batch\.input \(file:///models/in\) is on the claim.*by batch\.extraVolumes",
    ),
    (
        "batch output on a claim that only the registry has",
        OPEN | {"batch": {"enabled": True, "output": "/models/$(JOB_NAME)"}},
        r"batch\.output \(/models/\$\(JOB_NAME\)\) is on the claim",
    ),
    (
        "batch with nowhere to write beside a registry",
        OPEN | {"batch": {"enabled": True}},
        r"since store\.through is registry: set batch\.output to a URL",
    ),
    (
        "a registry behind a closed network",
        {
            "policies": {"networkPolicy": {"enabled": True}},
            "registry": {"enabled": True, "service": {"type": "NodePort"}},
        },
        r"registry\.service\.type=NodePort would lead nowhere: set policies\.networkPolicy\.registryFrom",
    ),
    (
        "a database set twice",
        {"registry": {"enabled": True, "extraEnv": [{"name": "MLPLAT_DATABASE", "value": "x"}]}},
        r"registry\.extraEnv holds MLPLAT_DATABASE",
    ),
    (
        "a registry that the range refuses",
        {
            "policies": {"limitRange": {"enabled": True}},
            "registry": {"enabled": True, "resources": {"limits": {"memory": "2Gi"}}},
        },
        r"registry\.resources\.limits\.memory \(2Gi\) is over",
    ),
    (
        "a quota without room for the registry",
        {
            "policies": {"resourceQuota": {"enabled": True, "cpu": "700m"}},
            "registry": POSTGRES,
        },
        r"cpu \(700m\) is too small: registry 3 x 100m \+ serving 2 x 100m \+ training 1 x 250m",
    ),
    (
        "memory in no unit",
        {"policies": {"resourceQuota": {"enabled": True, "memory": "4GB"}}},
        "4GB is no amount of memory",
    ),
]


@pytest.mark.parametrize(("values", "words"), [pytest.param(*case[1:], id=case[0]) for case in REFUSED])
def test_it_is_refused_with_what_to_do(render: Render, values: dict[str, Any], words: str) -> None:
    with pytest.raises(helm.HelmRenderError, match=words):
        render(values)


@pytest.mark.parametrize("name", ["3d", "a.b"])
def test_a_release_that_can_name_no_service_is_refused(render: Render, name: str) -> None:
    with pytest.raises(helm.HelmRenderError, match=f"{name}-ml-platform cannot name a Service"):
        render(name=name)


def test_an_alias_may_stand_beside_a_version_of_null(render: Render) -> None:
    assert render({"model": {"version": None, "alias": "champion"}})


@pytest.mark.parametrize(
    "apart", [{"overwrite": True}, {"output": "/models/$(JOB_NAME).csv"}, {"output": "/m/{time}.csv"}]
)
def test_runs_that_are_told_apart_are_fine(render: Render, apart: dict[str, object]) -> None:
    assert render({"batch": {"enabled": True, "schedule": "* * * * *", "output": "/models/out.csv", **apart}})


@pytest.mark.parametrize(
    "values",
    [
        {"model": {"data": "s3://b/rows.csv"}},
        {
            "model": {"data": "/models/rows.csv"},
            "training": {"extraVolumeMounts": [{"name": "a", "mountPath": "/models"}]},
        },
        {"model": {"data": "/models/rows.csv"}, "training": {"enabled": False}},
        {"training": {"extraEnv": [{"name": "AWS_REGION", "value": "b"}]}},
        {"serving": {"spread": {"nodes": True}, "podDisruptionBudget": {"enabled": True}}},
    ],
)
def test_what_does_not_need_the_claim_is_fine_beside_a_registry(render: Render, values: dict[str, Any]) -> None:
    store = {"store": {"through": "registry", "env": {"AWS_REGION": "a"}}}
    assert render(OPEN | store | values)


def test_every_refusal_is_tested() -> None:
    written = (CHART / "templates" / "validate.yaml").read_text().count("{{- fail ")
    written += (CHART / "templates" / "_quantities.tpl").read_text().count("{{- fail ")
    assert len(REFUSED) + 1 >= written


@pytest.mark.parametrize(
    ("cpu", "memory"), [("550m", "1Gi"), ("0.55", "1073741824"), (0.55, "1048576Ki"), ("1", "1.1G"), (1, "0.001Ti")]
)
def test_quantities_of_every_form_are_compared(render: Render, cpu: object, memory: str) -> None:
    quota = {"policies": {"resourceQuota": {"enabled": True, "cpu": cpu, "memory": memory}}}
    assert render(quota | {"serving": {"resources": {"requests": {"cpu": "150m", "memory": "256Mi"}}}})


def test_a_version_that_looks_like_a_number_is_fine_as_a_string(render: Render) -> None:
    assert render({"model": {"version": "2"}})
