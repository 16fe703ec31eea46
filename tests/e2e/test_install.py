"""Scenario 1: a first install, as README has it."""

import re

import httpx
import pykube
import pytest

from .namespace import Object, is_ready
from .polling import poll
from .release import NAME, Release

CUSTOMER = {"features": [[45, 80.5, 24, 2]], "return_probabilities": True}
SERIES = {"values": [float(value % 12) for value in range(60)], "horizon": 3}


def time_of(pod: Object, condition: str) -> str:
    """When a condition of a pod last changed."""
    return next(str(each["lastTransitionTime"]) for each in pod["status"]["conditions"] if each["type"] == condition)


def end_of_training(release: Release) -> Object | None:
    """How the one container that trained has ended, if it has."""
    (pod,) = release.namespace.objects(pykube.Pod, component="training")
    (container,) = pod["status"]["containerStatuses"]
    ended: Object | None = container["state"].get("terminated")
    return ended


def test_minikube_values_give_a_trained_version_that_answers(node_port: int, release: Release) -> None:
    release.install("--set", f"serving.service.nodePort={node_port}")

    (pod,) = release.pods()
    assert is_ready(pod)
    trained = poll(lambda: end_of_training(release), "training has ended")
    assert trained["exitCode"] == 0
    assert time_of(pod, "Ready") > trained["startedAt"]
    waited = release.namespace.logs(pod["metadata"]["name"]).partition('"event": "ready"')[0]
    assert '"event": "not_ready"' in waited
    assert release.url().endswith(f":{node_port}/predict")
    answer = release.predict()
    assert (answer["prediction"], answer["model_name"], answer["model_version"]) == ("setosa", "iris", "v1")

    for address in (release.url("/docs"), release.url("/docs", node=1)):
        page = httpx.get(address)
        assert page.status_code == 200
        assets = re.findall(r'(?:src|href)="([^"]+[.](?:js|css))"', page.text)
        assert assets
        for asset in assets:
            assert httpx.get(httpx.URL(address).join(asset)).status_code == 200
    said = release.run("test", NAME, "--logs", "--timeout", "60s")
    assert re.search(r"Phase:\s+Succeeded", said), said


@pytest.mark.parametrize(
    ("recipe", "question", "answers"),
    [("churn", CUSTOMER, "predictions"), ("forecast", SERIES, "predictions")],
)
def test_other_recipes_install_the_same_way(release: Release, recipe: str, question: Object, answers: str) -> None:
    with_recipe = Release(release.namespace, release.image, release.helm, ("minikube", recipe))

    with_recipe.install()

    answer = with_recipe.predict(question)
    assert (answer["model_name"], answer["model_version"]) == (recipe, "v1")
    assert len(answer[answers]) == (3 if recipe == "forecast" else 1)
