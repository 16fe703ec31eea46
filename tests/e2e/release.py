"""A release of the chart, made by the real helm binary."""

import json
from dataclasses import dataclass
from typing import Any

import httpx
import pykube

from .cluster import CommandError
from .namespace import Namespace, Object, is_ready
from .polling import poll

CHART = "charts/ml-platform"
NAME = "ml-platform"

FLOWER = {"features": [5.1, 3.5, 1.4, 0.2]}


@dataclass(frozen=True)
class Release:
    """One release named ml-platform, which is also the name of its Deployment and its Service.

    `helm` is the binary: helm (4) or helm3. `values` are the files under values/ that every command gets.
    """

    namespace: Namespace
    image: str
    helm: str = "helm"
    values: tuple[str, ...] = ("minikube",)

    def run(self, verb: str, *words: str, timeout: float = 600.0) -> str:
        """What helm says to a verb."""
        return self.namespace.cluster.run(self.helm, verb, "--namespace", self.namespace.name, *words, timeout=timeout)

    def rendering(self, *words: str) -> list[str]:
        """The chart and its values as words: the image of this tree, any free NodePort, and the given ones."""
        files = [word for name in self.values for word in ("--values", f"values/{name}.yaml")]
        registry, _, rest = self.image.partition("/")
        repository, _, tag = rest.rpartition(":")
        image = f"image.registry={registry},image.repository={repository},image.tag={tag}"
        free = "serving.service.nodePort=null"
        return [
            NAME,
            CHART,
            *files,
            "--set",
            image,
            "--set-string",
            "image.pullPolicy=IfNotPresent",
            "--set",
            free,
            *words,
        ]

    def install(self, *words: str, seconds: int = 180) -> str:
        """`helm install --wait`."""
        return self.run("install", *self.rendering(*words), "--wait", "--timeout", f"{seconds}s")

    def upgrade(self, *words: str, seconds: int = 180) -> str:
        """`helm upgrade --wait`."""
        return self.run("upgrade", *self.rendering(*words), "--wait", "--timeout", f"{seconds}s")

    def rollback(self, *words: str, seconds: int = 180) -> str:
        """`helm rollback --wait` to the release before, or to the revision given."""
        return self.run("rollback", NAME, *words, "--wait", "--timeout", f"{seconds}s")

    def history(self) -> list[dict[str, Any]]:
        """The revisions of the release."""
        revisions: list[dict[str, Any]] = json.loads(self.run("history", NAME, "--output", "json"))
        return revisions

    def address(self, node: int) -> str:
        """The address of the first or the second node."""
        nodes = sorted(pykube.Node.objects(self.namespace.api), key=lambda each: str(each.name))
        addresses = {each["type"]: each["address"] for each in nodes[node].obj["status"]["addresses"]}
        return str(addresses["InternalIP"])

    def url(self, path: str = "/predict", *, node: int = 0) -> str:
        """The URL from this machine: a node, and the Service's NodePort."""
        port = self.namespace.object(pykube.Service, NAME)["spec"]["ports"][0]["nodePort"]
        return f"http://{self.address(node)}:{port}{path}"

    def inner_url(self, path: str = "/predict") -> str:
        """The URL from a pod of the namespace: the Service."""
        return f"http://{NAME}:{self.namespace.object(pykube.Service, NAME)['spec']['ports'][0]['port']}{path}"

    def predict(self, body: Object = FLOWER, *, key: str | None = None) -> Object:
        """One prediction through the NodePort."""
        answer = httpx.post(self.url(), json=body, headers={} if key is None else {"X-API-Key": key}, timeout=30)
        assert answer.status_code == 200, answer.text
        read: Object = answer.json()
        return read

    def pods(self) -> list[Object]:
        """The serving pods, those about to leave too."""
        return self.namespace.pods("inference-server")

    def await_settled(self, pods: int, seconds: float = 120.0) -> list[Object]:
        """The serving pods, when there are exactly so many, all of the newest template, and all are Ready."""

        def settled() -> list[Object] | None:
            deployment = self.namespace.object(pykube.Deployment, NAME)
            if deployment["status"].get("observedGeneration") != deployment["metadata"]["generation"]:
                return None
            found = self.pods()
            newest = deployment["status"].get("updatedReplicas", 0)
            return found if len(found) == newest == pods and all(map(is_ready, found)) else None

        return poll(settled, f"{pods} serving pods are Ready, and no others left", seconds)

    def why_not_ready(self, pod: Object) -> str:
        """What /ready of a pod says; empty if it is ready, or does not listen yet."""
        try:
            answer = httpx.get(f"http://{pod['status']['podIP']}:8000/ready", timeout=10)
        except (KeyError, httpx.TransportError):
            return ""
        return "" if answer.status_code == 200 else str(answer.json()["error"])

    def job(self, version: str) -> Object:
        """The training Job of a version."""
        for job in self.namespace.objects(pykube.Job):
            containers = job["spec"]["template"]["spec"]["containers"]
            if {"name": "MLPLAT_VERSION", "value": version} in containers[0].get("env", ()):
                return job
        raise CommandError(f"no training Job of {version}")
