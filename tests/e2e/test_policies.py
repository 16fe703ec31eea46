"""Scenario 8: quota, limits, disruption budget and network policies bind, and what the platform needs still works."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from uuid import uuid4

import pytest

from .cluster import CommandError
from .evictions import REFUSED, evict
from .namespace import Namespace, Object, is_ready
from .pods import restricted_pod
from .polling import poll
from .release import NAME, Release

REPLICAS = 3
PORT = 8000
STORE = "minio.minio.svc.cluster.local"
STORE_PORT = 9000

LISTEN = f"""
import asyncio
async def serve():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "0.0.0.0", {PORT})
    await server.serve_forever()
asyncio.run(serve())
"""

REACH = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3).close()
except OSError as error:
    print(type(error).__name__)
else:
    print("reached")
"""
"""TimeoutError is what a policy gives, since it drops packets; gaierror would be a name that is not resolved."""


@dataclass(frozen=True)
class Probe:
    """A pod that listens, and from which connections are tried."""

    namespace: Namespace
    name: str

    @classmethod
    def start(cls, namespace: Namespace, image: str, name: str, **labels: str) -> "Probe":
        pod = restricted_pod(name, image, ["python", "-c", LISTEN], {})
        pod["metadata"]["labels"] |= {label.replace("_", "/"): value for label, value in labels.items()}
        namespace.apply(pod)
        namespace.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
        return cls(namespace, name)

    @property
    def address(self) -> str:
        return self.namespace.kubectl("get", "pod", self.name, "--output=jsonpath={.status.podIP}")

    def reaches(self, host: str, port: int = PORT) -> str:
        return self.namespace.kubectl("exec", self.name, "--", "python", "-c", REACH, host, str(port)).strip()


@pytest.fixture
def customers(namespace: Namespace) -> Iterator[Namespace]:
    """A namespace whose pods production's values let in."""
    other = replace(namespace, name=f"{namespace.name}-customers")
    other.create()
    other.cluster.run("kubectl", "label", "namespace", other.name, "mlplat.dev/clients=true")
    yield other
    other.delete()


@pytest.fixture
def production(release: Release) -> Release:
    """A release with production's values, all policies on, installed."""
    namespace = release.namespace
    namespace.cluster.addon("minio")
    secrets = {
        "ml-platform-store": {"AWS_ACCESS_KEY_ID": "minioadmin", "AWS_SECRET_ACCESS_KEY": "minioadmin"},
        "ml-platform-api-keys": {"team": "open-sesame"},
    }
    for name, data in secrets.items():
        namespace.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data})
    installed = Release(namespace, release.image, release.helm, ("production",))
    settings = {
        "store.url": f"s3://models/{uuid4().hex}",
        "store.env.AWS_ENDPOINT_URL": f"http://{STORE}:{STORE_PORT}",
        "store.env.AWS_REGION": "us-east-1",
        "policies.networkPolicy.storePorts[0]": str(STORE_PORT),
        "serving.autoscaling.enabled": "false",
        "serving.replicas": str(REPLICAS),
        "serving.settings.drainSeconds": "5",
    }
    installed.install("--set", ",".join(f"{name}={value}" for name, value in settings.items()), seconds=240)
    return installed


def test_policies_bind_and_what_is_needed_still_works(production: Release, customers: Namespace) -> None:
    pods = production.await_settled(REPLICAS)

    network_policies_let_through_what_is_needed_and_no_more(production, customers, pods[0])
    quota_and_limits_refuse(production)
    budget_refuses_a_second_eviction(production)


def network_policies_let_through_what_is_needed_and_no_more(
    release: Release, customers: Namespace, pod: Object
) -> None:
    ours, image = release.namespace, release.image
    address = pod["status"]["podIP"]
    service = f"{NAME}.{ours.name}"
    customer = Probe.start(customers, image, "customer")
    stranger = Probe.start(ours, image, "stranger")
    trainer = Probe.start(
        ours, image, "trainer", **{"app.kubernetes.io_instance": NAME, "app.kubernetes.io_component": "training"}
    )
    server = Probe(ours, pod["metadata"]["name"])

    assert customer.reaches(address) == customer.reaches(service, 80) == "reached"
    assert stranger.reaches(address) == stranger.reaches(service, 80) == "TimeoutError"
    assert server.reaches(STORE, STORE_PORT) == trainer.reaches(STORE, STORE_PORT) == "reached"
    assert stranger.reaches(customer.address) == "reached"
    assert server.reaches(customer.address) == trainer.reaches(customer.address) == "TimeoutError"
    assert customer.reaches(trainer.address) == "TimeoutError"
    assert release.run("test", NAME, "--timeout", "60s")


def quota_and_limits_refuse(release: Release) -> None:
    namespace = release.namespace
    most = {"cpu": "1", "memory": "1Gi"}

    def pod(name: str, requests: Object, limits: Object) -> Object:
        pod = restricted_pod(name, release.image, ["true"], {})
        pod["spec"]["containers"][0]["resources"] = {"requests": requests, "limits": limits}
        pod["spec"]["nodeSelector"] = {"kubernetes.io/hostname": "nowhere"}  # what is Pending counts as well
        return pod

    for message, requests, limits in (
        ("maximum cpu usage per Container is 1", most, most | {"cpu": "1100m"}),
        ("maximum memory usage per Container is 1Gi", most, most | {"memory": "1100Mi"}),
        ("minimum cpu usage per Container is 10m", most | {"cpu": "5m"}, most),
        ("minimum memory usage per Container is 32Mi", most | {"memory": "16Mi"}, most),
    ):
        with pytest.raises(CommandError, match=message):
            namespace.apply(pod("outside", requests, limits))

    fitting = [f"fitting{number}" for number in range(3)]  # beside the serving pods, of 4 CPU
    for name in fitting:
        namespace.apply(pod(name, most, most))
    with pytest.raises(CommandError, match=f"exceeded quota: {NAME}, requested: requests.cpu=1"):
        namespace.apply(pod("over", most, most))
    namespace.kubectl("delete", "pod", *fitting)


def budget_refuses_a_second_eviction(release: Release) -> None:
    first, second, _ = (pod["metadata"]["name"] for pod in release.await_settled(REPLICAS))

    assert evict(release.namespace, first) == HTTPStatus.CREATED
    assert evict(release.namespace, second) == REFUSED
    assert len([pod for pod in release.pods() if is_ready(pod)]) == REPLICAS - 1

    poll(lambda: evict(release.namespace, second) == HTTPStatus.CREATED, "the second may go when all are Ready again")
    assert len([pod for pod in release.pods() if is_ready(pod)]) == REPLICAS - 1
    release.await_settled(REPLICAS)
