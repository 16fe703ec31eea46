"""The cluster, the image of this tree, and a namespace with a release for each scenario.

CLUSTER names the command of the cluster; E2E_IMAGE an image that the nodes have, which is used instead of building one.
"""

import fcntl
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TextIO
from uuid import uuid4

import pykube
import pytest
from pytest_helm_charts.clusters import Cluster as KubeCluster

from . import artifacts
from .clients import Client, MachineClient, PodClient
from .cluster import ROOT, Cluster
from .deployments import Deployments, define
from .load import Shape, Target
from .namespace import Namespace
from .operators import Operators
from .pods import Workbench
from .polling import poll
from .release import NAME, Release

pytest_plugins = ["pytest_helm_charts.plugin"]

IMAGE = "localhost/ml-platform:e2e"
SCENARIO_SECONDS = 900

FAILED = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "disruptive: takes away what other scenarios need; runs alone")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SCENARIO_SECONDS))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


@contextmanager
def locked(paths: pytest.TempPathFactory, name: str) -> Iterator[TextIO]:
    """A file that one process of the tests at a time has open."""
    folder = paths.getbasetemp()
    path = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / name
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    command = Path(os.environ.get("CLUSTER", ROOT.parent / "shared" / "cluster" / "cluster"))
    assert command.exists(), f"{command} is missing; CLUSTER says where it is"
    return Cluster.up(command)


@pytest.fixture(scope="session")
def kube_config(cluster: Cluster) -> str:
    """Where pytest-helm-charts finds the cluster."""
    return cluster.environment["KUBECONFIG"]


@pytest.fixture(scope="session")
def image(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image of this tree, built by the first process that needs it."""
    if given := os.environ.get("E2E_IMAGE"):
        return given
    with locked(tmp_path_factory, "image-built") as lock:
        if Path(lock.name).stat().st_size == 0:
            cluster.build(IMAGE)
            lock.write(IMAGE)
    return IMAGE


@pytest.fixture(scope="module")
def definition(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The kind ModelDeployment as this tree has it, owned by no release."""
    with locked(tmp_path_factory, "definition"):
        define(cluster)


@pytest.fixture
def owned_definition(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Only one release of a cluster can own the kind ModelDeployment: for one scenario at a time, and as it was after it."""
    with locked(tmp_path_factory, "definition"):
        yield
        define(cluster)


@pytest.fixture
def node_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The NodePort of the minikube values, which no two Services of a cluster can have: for one scenario at a time.

    Ask for it before the namespace, so that the Service is gone before the next one has it.
    """
    with locked(tmp_path_factory, "node-port"):
        yield 30080


@pytest.fixture
def namespace(request: pytest.FixtureRequest, cluster: Cluster, kube_cluster: KubeCluster) -> Iterator[Namespace]:
    """A fresh namespace. If the scenario fails, what happened in it is kept as files."""
    namespace = Namespace(cluster, kube_cluster.kube_client, f"e2e-{uuid4().hex[:8]}")
    namespace.create()
    yield namespace
    if request.node.stash.get(FAILED, False):
        artifacts.keep(namespace, artifacts.folder_of(request.node.name))
    namespace.delete()


@pytest.fixture
def helm() -> str:
    """The helm binary; scenarios may be parametrized by it."""
    return "helm"


@pytest.fixture
def release(namespace: Namespace, image: str, helm: str) -> Release:
    """A release with the minikube values, not installed yet."""
    return Release(namespace, image, helm)


@pytest.fixture
def workbench(release: Release) -> Callable[[], Workbench]:
    """A pod with the claim of the release, when that is installed."""
    return lambda: Workbench(release.namespace, release.image, f"{NAME}-store")


@pytest.fixture
def clients(release: Release, tmp_path: Path) -> Callable[..., list[Client]]:
    """Load on both ways to the Service, a NodePort of each node and a pod: `clients(Shape(...), key="...")`."""

    numbers = count(1)

    def make(shape: Shape, **fields: str) -> list[Client]:
        target = Target(release.inner_url(), **fields)
        return [
            MachineClient("node1", Target(release.url(node=0), **fields), shape, tmp_path),
            MachineClient("node2", Target(release.url(node=1), **fields), shape, tmp_path),
            PodClient(f"service{next(numbers)}", target, shape, release.namespace, release.image),
        ]

    return make


@pytest.fixture
def operators(alone: Deployments, tmp_path: Path, cluster: Cluster) -> Iterator[Operators]:
    """Operators in place of the own one of the module's platform, with the same base."""
    config = alone.namespace.object(pykube.ConfigMap, f"{NAME}-operator-base")
    operators = Operators(config["data"], alone.namespace.name, tmp_path, Path(cluster.environment["KUBECONFIG"]))
    yield operators
    operators.close()


@pytest.fixture
def alone(platform: Deployments) -> Iterator[Deployments]:
    """The platform of the module without its operator."""
    namespace = platform.namespace
    namespace.kubectl("scale", f"deployment/{NAME}-operator", "--replicas=0")
    poll(lambda: not namespace.pods("operator"), "it is gone")
    yield platform
    namespace.kubectl("scale", f"deployment/{NAME}-operator", "--replicas=1")
    namespace.kubectl("rollout", "status", f"deployment/{NAME}-operator", "--timeout=60s")
