"""Scenario 9: versions outlive the release; and production, on an object store, over both nodes, with keys."""

import re
from uuid import uuid4

import pykube

from .clients import PodClient, under_load
from .cluster import Cluster
from .load import Result, Shape, Target
from .namespace import is_ready
from .polling import poll
from .release import NAME, Release

KEY = "open-sesame"


def test_versions_stay_when_the_release_goes_and_serve_again_without_training(release: Release) -> None:
    release.install()
    before = release.predict()
    said = release.run("uninstall", NAME, "--wait", "--timeout", "120s")
    assert "PersistentVolumeClaim" in said
    assert release.namespace.objects(pykube.Deployment) == []
    [claim] = release.namespace.objects(pykube.PersistentVolumeClaim)
    assert claim["metadata"]["name"] == f"{NAME}-store"

    release.install()

    job = f"job/{release.job('v1')['metadata']['name']}"
    poll(lambda: "iris v1 was there already" in release.namespace.logs(job), "the Job finds the version")
    after = release.predict()
    assert {name: after[name] for name in after if name != "timestamp"} == {
        name: before[name] for name in before if name != "timestamp"
    }


def test_production_runs_on_an_object_store_over_both_nodes_with_keys(release: Release, cluster: Cluster) -> None:
    cluster.addon("minio")
    namespace = release.namespace
    cluster.run("kubectl", "label", "namespace", namespace.name, "mlplat.dev/clients=true")
    secret("ml-platform-store", release, AWS_ACCESS_KEY_ID="minioadmin", AWS_SECRET_ACCESS_KEY="minioadmin")
    secret("ml-platform-api-keys", release, team=KEY)
    production = Release(namespace, release.image, release.helm, ("production",))
    settings = {
        "store.url": f"s3://models/{uuid4().hex}",
        "store.env.AWS_ENDPOINT_URL": "http://minio.minio.svc.cluster.local:9000",
        "store.env.AWS_REGION": "us-east-1",
        "serving.resources.requests.cpu": "100m",
        "serving.settings.drainSeconds": "5",
    }
    words = ["--set", ",".join(f"{name}={value}" for name, value in settings.items())]
    words += ["--set", "policies.networkPolicy.storePorts={9000}"]

    production.install(*words, seconds=240)

    pods = poll(lambda: [pod for pod in production.pods() if is_ready(pod)], "pods are Ready")
    assert len(pods) >= 3
    assert {pod["spec"]["nodeName"] for pod in pods} == {"node1", "node2"}
    said = production.run("test", NAME, "--logs", "--timeout", "60s")
    assert re.search(r"Phase:\s+Succeeded", said), said

    def client(name: str, key: str | None, shape: Shape) -> PodClient:
        return PodClient(name, Target(production.inner_url(), key=key), shape, namespace, release.image)

    with under_load(client("with-key", KEY, Shape(keep_alive=4, fresh=2, rate=100, seconds=200))) as traffic:
        production.upgrade(*words, "--set", "model.version=v2", seconds=240)
        traffic.await_more(500)
    traffic.assert_none_failed(1000)
    assert set(traffic.results["with-key"].versions) == {"v1", "v2"}
    stranger = client("without-key", None, Shape(keep_alive=1, fresh=1, rate=10, seconds=20, requests=20))
    stranger.start()
    refused = poll(lambda: ended(stranger), "20 requests without a key are answered")
    assert refused.answered == 0
    assert refused.kinds == {"status 401": refused.failed}


def ended(client: PodClient) -> Result | None:
    """The result of a client that ends by itself, if it has."""
    lines = client.lines()
    return Result.from_json(lines[-1]) if lines and '"done": true' in lines[-1] else None


def secret(name: str, release: Release, **data: str) -> None:
    release.namespace.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data})
