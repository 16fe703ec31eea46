"""Scenario 6: retraining by hand; what is better takes over between two requests, what is worse is refused with its reason."""

import json
from collections.abc import Callable

import pykube

from .clients import Client, under_load
from .load import Shape
from .namespace import Object, restarts
from .pods import Workbench
from .polling import poll
from .release import NAME, Release

WEAK = "model.params.n_estimators=1,model.params.max_depth=1"
STRONG = "model.params.n_estimators=60"


def retrain(release: Release, name: str) -> Object:
    """Run the CronJob by hand; the Job, when it is complete."""
    release.namespace.kubectl("create", "job", f"--from=cronjob/{NAME}-retrain", name)

    def complete() -> Object | None:
        job = release.namespace.object(pykube.Job, name)
        conditions = {each["type"] for each in job["status"].get("conditions", ()) if each["status"] == "True"}
        assert "Failed" not in conditions, release.namespace.logs(f"job/{name}")
        return job if "Complete" in conditions else None

    return poll(complete, f"the Job {name} is complete", 120)


def test_a_better_candidate_takes_over_and_a_worse_one_does_not(
    release: Release, workbench: Callable[[], Workbench], clients: Callable[..., list[Client]]
) -> None:
    following = Release(release.namespace, release.image, release.helm, ("minikube", "retraining"))
    two = "serving.replicas=2,serving.settings.pollSeconds=1"
    following.install("--set", two, "--set", WEAK)
    first = following.predict()["model_version"]
    pods = following.await_settled(2)
    bench = workbench()

    def history() -> list[Object]:
        found: list[Object] = json.loads(
            bench.run("mlplat", "models", "history", "iris", "champion", "--output", "json")
        )
        return found

    with under_load(*clients(Shape(keep_alive=4, fresh=2, rate=150, seconds=300))) as traffic:
        following.upgrade("--set", two, "--set", STRONG)
        assert [each["version"] for each in history()] == [first]  # the upgrade trains nothing: there is a version
        retrain(following, "better")
        poll(lambda: following.predict()["model_version"] == "better", "the pods follow the alias")
        traffic.await_more(500)
        following.upgrade("--set", two, "--set", WEAK)
        retrain(following, "worse")
        traffic.await_more(500)
        assert following.predict()["model_version"] == "better"

    traffic.assert_none_failed(2000)
    assert {version for result in traffic.results.values() for version in result.versions} == {first, "better"}
    made, moved, kept = history()
    assert (made["version"], moved["version"], kept["version"]) == (first, "better", "better")
    assert "better" in moved["reason"]
    assert kept["reason"].startswith("worse refused: accuracy ")
    after = following.await_settled(2)
    assert [restarts(pod) for pod in after] == [0, 0]
    assert {pod["metadata"]["uid"] for pod in after} == {pod["metadata"]["uid"] for pod in pods}
