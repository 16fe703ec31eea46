"""Scenario 11: a registry before the store. All goes through it, and what serves never notices that something is away."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import pykube
import pytest
from tests.contract.browser import Browser, open_browser

from . import processes
from .clients import Client, under_load
from .cluster import Cluster
from .load import Shape
from .namespace import Object, is_ready, restarts
from .pages import Pages
from .pods import restricted_pod
from .polling import poll
from .registry import CHAMPION, MODEL, SERVICE, Registry
from .release import FLOWER, NAME, Release

ADMIN = "e2e-key-of-the-admin"
DATABASE = "postgresql://registry:registry@{host}/{name}"
STORE = {"AWS_ENDPOINT_URL": "http://minio.minio.svc.cluster.local:9000", "AWS_REGION": "us-east-1"}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "minioadmin", "AWS_SECRET_ACCESS_KEY": "minioadmin"}

LIGHT = Shape(keep_alive=4, fresh=2, rate=60, seconds=600)
OUTAGE_SECONDS = 60


def psql(cluster: Cluster, database: str, statement: str) -> str:
    """What the database server of the cluster says to a statement, asked in its own pod."""
    url = DATABASE.format(host="127.0.0.1", name=database)
    words = ("exec", "deployment/postgres", "--", "psql", url, "--tuples-only", "--command", statement)
    return cluster.run("kubectl", "--namespace", "postgres", *words)


def put_secret(release: Release, name: str, **data: str) -> None:
    release.namespace.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data})


@pytest.fixture
def shared(release: Release) -> tuple[Release, Registry]:
    """A release on both nodes that follows the alias through two registries, with a database and a store of its own.

    Installed as docs/registry.md has it: the registry comes first, then the keys, for which all other pods wait.
    """
    namespace = release.namespace
    for name in ("postgres", "minio"):
        namespace.cluster.addon(name)
    database = namespace.name.replace("-", "_")
    psql(namespace.cluster, "registry", f"CREATE DATABASE {database}")
    host = "postgres.postgres.svc.cluster.local:5432"
    put_secret(release, "ml-platform-database", uri=DATABASE.format(host=host, name=database))
    put_secret(release, "ml-platform-registry-admin", key=ADMIN)
    put_secret(release, "store", **CREDENTIALS)
    installed = Release(namespace, release.image, release.helm, ("minikube", "registry"))
    settings = {
        "store.url": f"s3://models/{namespace.name}",
        "store.existingSecret": "store",
        **{f"store.env.{name}": value for name, value in STORE.items()},
        "registry.service.nodePort": "null",
        "registry.settings.syncSeconds": "5",
        "model.version": "",
        "model.alias": "champion",
        "serving.replicas": "2",
        "serving.spread.nodes": "true",
        "serving.settings.pollSeconds": "1",
    }
    chosen = ",".join(f"{name}={value}" for name, value in settings.items())
    installed.run("install", *installed.rendering("--set", chosen))
    namespace.kubectl("rollout", "status", f"deployment/{SERVICE}", "--timeout=120s", timeout=130)
    registry = Registry(installed, ADMIN)
    put_secret(
        release, "ml-platform-registry-keys", reader=registry.make_key("reader"), writer=registry.make_key("writer")
    )
    installed.await_settled(2, 300)
    return installed, registry


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """A browser on this machine."""
    with open_browser(tmp_path / "profile") as opened:
        yield opened


def train(release: Release, version: str) -> None:
    """Train a version through the registry, with the key that training has, in a pod that has nothing else."""
    command = ["mlplat", "train", "--recipe", "iris", "--version", version, "--param", "n_estimators=30"]
    keys = {"secret": {"secretName": "ml-platform-registry-keys", "items": [{"key": "writer", "path": "key"}]}}
    pod = restricted_pod(f"train-{version}", release.image, command, {"/tmp": {"emptyDir": {}}, "/keys": keys})
    pod["spec"]["containers"][0]["env"] = [
        {"name": "MLPLAT_STORE", "value": f"http://{SERVICE}"},
        {"name": "MLPLAT_STORE_KEY_FILE", "value": "/keys/key"},
    ]
    release.namespace.apply(pod)

    def ended() -> bool:
        phase = release.namespace.object(pykube.Pod, f"train-{version}")["status"]["phase"]
        assert phase != "Failed", release.namespace.logs(f"train-{version}")
        return bool(phase == "Succeeded")

    poll(ended, f"{version} is trained", 120)


def follows(release: Release, version: str) -> bool:
    """Whether both pods serve a version, asked one by one."""
    urls = [f"http://{pod['status']['podIP']}:8000/predict" for pod in release.pods()]
    return {httpx.post(url, json=FLOWER).json()["model_version"] for url in urls} == {version}


@contextmanager
def unreachable(cluster: Cluster, service: str) -> Iterator[float]:
    """No new connection leads to a Service, which is called like its namespace, until the block ends; gives the time."""

    def lead_to(app: str) -> None:
        patch = json.dumps({"spec": {"selector": {"app": app}}})
        cluster.run("kubectl", "--namespace", service, "patch", "service", service, "--patch", patch)

    lead_to("nobody")
    try:
        yield time.monotonic()
    finally:
        lead_to(service)


def says_when_to_come_back(answer: httpx.Response) -> bool:
    """Whether an answer is the one of a registry that cannot do its work now."""
    return answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0 and "error" in answer.json()


def await_away(registry: Registry, path: str, cut: Callable[[], object]) -> None:
    """Cut what a path needs, and wait until each pod says so, several times in a row: one that connects anew before its
    node knows that nothing is there any more would go on with that connection, and is cut again.
    """
    told = 0

    def is_away() -> bool:
        nonlocal told
        if all(says_when_to_come_back(registry.ask("GET", path, at=url)) for url in registry.addresses()):
            told += 1
        else:
            told = 0
            cut()
        return told == 3

    cut()
    poll(is_away, "each pod of the registry says so", 180)


def champion(registry: Registry) -> str | None:
    """What the alias names; None if the pod that is asked cannot say it yet."""
    answer = registry.ask("GET", CHAMPION)
    return str(answer.json()["version"]) if answer.status_code == 200 else None


def assert_never_replaced(before: list[Object], after: list[Object]) -> None:
    """The pods are the same, and no container was started again."""
    assert {pod["metadata"]["uid"] for pod in after} == {pod["metadata"]["uid"] for pod in before}
    assert {restarts(pod) for pod in after} == {0}
    assert all(map(is_ready, after))


def test_versions_are_trained_promoted_and_rolled_back_through_it(
    shared: tuple[Release, Registry], clients: Callable[..., list[Client]], browser: Browser
) -> None:
    release, registry = shared
    pages = Pages(browser, registry.url)
    pages.log_in(registry.make_key("writer"))
    pods = release.await_settled(2)
    assert {pod["spec"]["nodeName"] for pod in pods} == {"node1", "node2"}
    assert {is_ready(pod) for pod in registry.pods()} == {True}
    assert len(registry.pods()) == 2
    first = release.predict()["model_version"]
    assert registry.versions() == {first}
    assert "AWS_" not in release.namespace.kubectl("exec", f"deployment/{NAME}", "--", "env")
    assert registry.ask("GET", MODEL, key="mlp_nokey").status_code == 401

    with under_load(*clients(LIGHT)) as traffic:
        train(release, "v2")
        assert registry.versions() == {first, "v2"}
        before = registry.ask("GET", CHAMPION).headers["ETag"]
        pages.promote("v2", "better")
        assert registry.move(first, "too late", **{"If-Match": before}).status_code == 412
        poll(partial(follows, release, "v2"), "both pods follow")
        traffic.await_more(300)
        pages.roll_back(first, "worse than it looked")
        poll(partial(follows, release, first), "both pods are back")
        traffic.await_more(300)

    traffic.assert_none_failed(1000)
    assert {version for result in traffic.results.values() for version in result.versions} == {first, "v2"}
    assert_never_replaced(pods, release.await_settled(2))
    moves = [(each["version"], each["reason"]) for each in registry.read(f"{CHAMPION}/history")["items"]]
    assert moves[:2] == [(first, "worse than it looked"), ("v2", "better")]
    said = registry.read("/audit?model=iris")["items"]
    assert [each["who"] for each in said if each["action"] == "alias.move"][:2] == ["e2e-writer", "e2e-writer"]
    refused = registry.ask("PUT", CHAMPION, key=registry.make_key("reader"), json={"version": "v2"})
    assert refused.status_code == 403


@pytest.mark.disruptive
def test_an_outage_of_the_database_is_said_and_ends_by_itself(
    shared: tuple[Release, Registry], clients: Callable[..., list[Client]]
) -> None:
    release, registry = shared
    cluster = release.namespace.cluster
    serving, catalogue = release.await_settled(2), registry.pods()
    first = release.predict()["model_version"]
    train(release, "v2")

    with under_load(*clients(LIGHT)) as traffic:
        traffic.await_more(300)
        with unreachable(cluster, "postgres") as begun:
            ours = f"datname = '{release.namespace.name.replace('-', '_')}'"
            end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}"
            await_away(registry, MODEL, partial(psql, cluster, "registry", end))

            def over() -> bool:
                assert says_when_to_come_back(registry.ask("GET", MODEL))
                assert says_when_to_come_back(registry.move("v2", "while the database is away"))
                return time.monotonic() > begun + OUTAGE_SECONDS

            poll(over, "the outage is over", 2 * OUTAGE_SECONDS)
            release.await_settled(2)
        assert poll(partial(champion, registry), "the registry is back") == first
        poll(lambda: registry.move("v2", "better").status_code == 200, "the alias is moved")
        poll(partial(follows, release, "v2"), "both pods follow")
        traffic.await_more(300)

    traffic.assert_none_failed(3000)
    assert_never_replaced(serving, release.await_settled(2))
    assert_never_replaced(catalogue, registry.pods())


@pytest.mark.disruptive
def test_an_outage_of_the_store_is_said_and_ends_by_itself(
    shared: tuple[Release, Registry], clients: Callable[..., list[Client]]
) -> None:
    release, registry = shared
    cluster = release.namespace.cluster
    serving, catalogue = release.await_settled(2), registry.pods()
    first = release.predict()["model_version"]
    train(release, "v2")
    file = next(iter(registry.read(f"{MODEL}/versions/v2")["files"]))

    with under_load(*clients(LIGHT)) as traffic:
        traffic.await_more(300)
        with unreachable(cluster, "minio") as begun:
            path = f"{MODEL}/versions/v2/files/{file}"
            fetch = partial(registry.ask, "GET", path)

            def cut() -> None:
                """With all its connections; its data stays."""
                for process in processes.minio():
                    os.kill(process, signal.SIGKILL)

            await_away(registry, path, cut)

            def over() -> bool:
                assert registry.versions() == {first, "v2"}
                assert says_when_to_come_back(fetch())
                assert says_when_to_come_back(registry.move("v2", "while the store is away"))
                return time.monotonic() > begun + OUTAGE_SECONDS

            poll(over, "the outage is over", 3 * OUTAGE_SECONDS)
            release.await_settled(2)
        poll(lambda: fetch().status_code == 200, "the registry is back", 120)
        assert poll(partial(champion, registry), "the alias can be read") == first
        poll(lambda: registry.move("v2", "better").status_code == 200, "the alias is moved")
        poll(partial(follows, release, "v2"), "both pods follow")
        traffic.await_more(300)

    traffic.assert_none_failed(3000)
    assert_never_replaced(serving, release.await_settled(2))
    assert_never_replaced(catalogue, registry.pods())


def test_on_one_node_the_catalogue_outlives_its_pod(release: Release) -> None:
    embedded = "registry.enabled=true,registry.open=true,registry.service.nodePort=null,store.through=registry"
    release.install("--set", embedded)
    registry = Registry(release)
    (before,) = registry.pods()
    assert release.predict()["model_version"] == "v1"
    assert registry.versions() == {"v1"}
    assert registry.ask("PATCH", MODEL, json={"description": "of flowers"}).status_code == 200

    release.namespace.kubectl("delete", "pod", before["metadata"]["name"], "--wait=false")

    def replaced() -> bool:
        pods = registry.pods()
        return len(pods) == 1 and is_ready(pods[0]) and pods[0]["metadata"]["uid"] != before["metadata"]["uid"]

    poll(replaced, "another pod is Ready", 120)
    assert release.predict()["model_version"] == "v1"
    assert registry.read(MODEL)["description"] == "of flowers"
    claims = [each["spec"]["volumes"] for each in release.pods() + registry.pods()]
    assert ["persistentVolumeClaim" in str(volumes) for volumes in claims] == [False, True]
