"""Scenario 10: the same system without Helm, and every toggle accepted by a real API server."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from pytest_helm_charts.clusters import Cluster as KubeCluster

from .cluster import ROOT, Cluster
from .namespace import Namespace
from .polling import poll
from .release import CHART, NAME, Release

TOGGLES = sorted((ROOT / CHART / "ci").glob("*-values.yaml"))


def test_kubectl_apply_of_the_rendered_chart_is_the_same_system(release: Release) -> None:
    def apply(*words: str) -> None:
        version = release.namespace.cluster.run("kubectl", "version", "--output", "yaml")
        server = version.partition("serverVersion")[2].partition("gitVersion: v")[2].split()[0]
        text = release.run("template", "--skip-tests", "--kube-version", server, *release.rendering(*words))
        release.namespace.kubectl("apply", "--server-side", "--filename", "-", stdin=text)
        release.namespace.kubectl("rollout", "status", f"deployment/{NAME}", "--timeout=120s", timeout=130)

    apply()
    assert release.predict()["model_version"] == "v1"
    apply("--set", "model.version=v2")
    poll(lambda: release.predict()["model_version"] == "v2", "v2 answers")


@pytest.fixture(scope="module")
def operators(cluster: Cluster) -> Cluster:
    """The cluster, with the definitions that some toggles need."""
    cluster.addon("crds")
    return cluster


@pytest.fixture(scope="module")
def shared_namespace(cluster: Cluster, kube_cluster: KubeCluster) -> Iterator[Namespace]:
    """One namespace for all toggles: nothing is made in it but the service account, which a pod is refused without."""
    namespace = Namespace(cluster, kube_cluster.kube_client, f"e2e-{uuid4().hex[:8]}")
    namespace.create()
    namespace.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME}})
    yield namespace
    namespace.delete()


@pytest.mark.parametrize("values", [pytest.param(path, id=path.stem.removesuffix("-values")) for path in TOGGLES])
def test_every_toggle_is_accepted_by_the_api_server(
    operators: Cluster, shared_namespace: Namespace, values: Path
) -> None:
    rendered = operators.run(
        "helm", "template", NAME, CHART, "--values", str(values), "--namespace", shared_namespace.name,
        "--kube-version", "1.34",
    )  # fmt: skip
    shared_namespace.kubectl(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--filename", "-", stdin=rendered
    )
