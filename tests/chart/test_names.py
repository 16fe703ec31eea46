"""Names at their limits: 63 characters, 52 for CronJobs, less for Jobs whose pods have an index."""

import re

import pytest

from .conftest import Render, of, one

ALL = {
    "model": {"version": "", "alias": "champion"},
    "training": {"retraining": {"enabled": True}},
    "registry": {"enabled": True, "serviceAccount": {"create": True}},
    "operator": {"enabled": True},
    "auth": {"enabled": True, "keys": {"a": "b"}},
    "policies": {"networkPolicy": {"enabled": True}},
    "monitoring": {"dashboard": {"enabled": True}},
}


@pytest.mark.parametrize("length", [1, 11, 40, 52, 53])
@pytest.mark.parametrize("shards", [1, 9, 10, 11, 100, 1000])
@pytest.mark.parametrize("schedule", ["", "* * * * *"])
def test_no_name_is_too_long_for_what_kubernetes_makes_of_it(
    render: Render, length: int, shards: int, schedule: str
) -> None:
    output = "/models/$(JOB_NAME)/"
    batch = {"batch": {"enabled": True, "shards": shards, "schedule": schedule, "output": output}}
    for each in render(ALL | batch, name="r" * length):
        name, limit = each["metadata"]["name"], 63
        indexed = len(f"-{shards - 1}") if shards > 1 and "batch" in name else 0
        if each["kind"] == "CronJob":
            limit = 52
        elif each["kind"] in {"Role", "RoleBinding"}:  # they hold the name of the namespace
            limit = 253
        assert len(name) <= limit - indexed, name
        assert not name.endswith("-")


@pytest.mark.parametrize("length", [1, 31, 34, 35, 46, 47, 53])
def test_the_name_of_a_serving_pod_is_never_cut_and_the_alerts_match_it(render: Render, length: int) -> None:
    """Kubernetes calls it DEPLOYMENT-TEMPLATE-POD and cuts DEPLOYMENT-TEMPLATE- to 58 characters."""
    watched = {"monitoring": {"prometheusRule": {"enabled": True}}}
    objects = render(watched, name="r" * length)
    name = one(objects, "Deployment")["metadata"]["name"]
    prefix = f"{name}-5d8f7c9b4d-"
    assert len(prefix) <= 58
    [group] = one(objects, "PrometheusRule")["spec"]["groups"]
    [pattern] = set(re.findall(r'pod=~"([^"]+)"', str(group["rules"])))
    assert re.fullmatch(pattern, f"{prefix}x2k7z")
    assert re.fullmatch(pattern, f"{name}-7d9f-x2k7z")
    assert not re.fullmatch(pattern, f"{name}-eu-5d8f7c9b4d-x2k7z"), "a pod of another release"


@pytest.mark.parametrize("length", [1, 37, 38, 46, 53])
def test_the_name_of_a_pod_of_the_registry_is_never_cut_and_is_none_of_serving(render: Render, length: int) -> None:
    values = {"registry": {"enabled": True}, "monitoring": {"prometheusRule": {"enabled": True}}}
    objects = render(values, name="r" * length)
    prefix = f"{one(objects, 'Deployment', '-registry')['metadata']['name']}-5d8f7c9b4d-"
    assert len(prefix) <= 58
    [group] = one(objects, "PrometheusRule")["spec"]["groups"]
    [pattern] = set(re.findall(r'pod=~"([^"]+)"', str(group["rules"])))
    assert not re.fullmatch(pattern, f"{prefix}x2k7z")


def test_a_long_name_keeps_its_suffix_and_tells_releases_apart(render: Render) -> None:
    first, second = (one(render(name="r" * 52 + end), "PersistentVolumeClaim") for end in "ab")
    names = [each["metadata"]["name"] for each in (first, second)]
    assert all(name.endswith("-store") for name in names)
    assert names[0] != names[1]


def test_a_release_called_like_the_chart_is_not_called_so_twice(render: Render) -> None:
    assert one(render(name="ml-platform"), "Service")["metadata"]["name"] == "ml-platform"
    assert one(render(name="my-ml-platform"), "Service")["metadata"]["name"] == "my-ml-platform"
    assert one(render(name="iris"), "Service")["metadata"]["name"] == "iris-ml-platform"
    assert one(render({"nameOverride": "ml"}, name="iris"), "Service")["metadata"]["name"] == "iris-ml"
    assert one(render({"fullnameOverride": "flowers"}, name="iris"), "Service")["metadata"]["name"] == "flowers"


def test_the_training_job_is_called_after_its_template(render: Render) -> None:
    """A Job's template cannot be changed: another one needs another name, the same one must keep it."""

    def name(**model: object) -> str:
        return str(one(render({"model": model}), "Job")["metadata"]["name"])

    assert name(version="v1") == name(version="v1")
    assert name(version="v1") != name(version="v2")
    assert name(params={"n_estimators": 10}) != name(params={"n_estimators": 11})


def test_a_model_whose_name_can_be_no_label_gets_a_valid_one(render: Render) -> None:
    objects = render({"model": {"recipe": "acme.models:Wine", "name": "w" * 70 + "-"}})
    for job in of(objects, "Job"):
        label = job["spec"]["template"]["metadata"]["labels"]["model-name"]
        assert label == "w" * 63
