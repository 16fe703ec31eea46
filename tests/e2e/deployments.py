"""ModelDeployments of a namespace: written as a person would, looked at, and asked for predictions."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pykube
import yaml

from .cluster import ROOT, Cluster
from .namespace import Namespace, Object, is_ready
from .polling import poll
from .release import Release

DEFINITION = ROOT / "charts" / "ml-platform" / "files" / "crd.yaml"
MLPLAT = str(Path(sys.executable).with_name("mlplat"))

CUSTOMER = {"age": 40, "monthly_charges": 70.5, "tenure_months": 12, "support_calls": 2}


def define(cluster: Cluster, **metadata: Any) -> None:
    """Let there be the kind ModelDeployment; under Helm's name, so that a release may change it later."""
    definition = yaml.safe_load(DEFINITION.read_text())
    definition["metadata"] |= metadata
    words = ("kubectl", "apply", "--server-side", "--force-conflicts", "--field-manager=helm", "--filename", "-")
    cluster.run(*words, stdin=json.dumps(definition))
    cluster.run("kubectl", "wait", "--for=condition=Established", f"crd/{definition['metadata']['name']}")


def is_open(host: str, port: int) -> bool:
    """Whether connections are taken there."""
    try:
        socket.create_connection((host, port), timeout=10).close()
    except OSError:
        return False
    return True


class ModelDeployment(pykube.objects.NamespacedAPIObject):  # type: ignore[misc]
    """The kind, as `Namespace.object` takes it."""

    version = "mlplat.dev/v1"
    endpoint = "modeldeployments"
    kind = "ModelDeployment"


@dataclass(frozen=True)
class Deployments:
    """Those of the namespace of a release."""

    release: Release

    @property
    def namespace(self) -> Namespace:
        return self.release.namespace

    def apply(self, name: str, **spec: Any) -> None:
        """Create or change one."""
        self.namespace.apply(manifest(name, **spec))

    def patch(self, name: str, **spec: Any) -> None:
        """Change some of its spec."""
        self.namespace.kubectl("patch", "md", name, "--type=merge", "--patch", json.dumps({"spec": spec}))

    def get(self, name: str) -> Object:
        return self.namespace.object(ModelDeployment, name)

    def delete(self, name: str) -> None:
        self.namespace.kubectl("delete", "md", name)

    def reason(self, name: str) -> tuple[str, str]:
        """Why it is ready or not, of the present spec, and the message."""
        return _reason(self.get(name))

    def await_reason(self, name: str, reason: str, seconds: float = 180.0) -> str:
        """The message, as soon as the reason is this."""
        return poll(lambda: self._message(name, reason), f"{name} is {reason}", seconds)

    def await_served(self, name: str, version: str, seconds: float = 180.0) -> Object:
        """The status, as soon as a version is all that is served."""

        def served() -> Object | None:
            found = self.get(name)
            status: Object = found.get("status", {})
            return status if status.get("servedVersion") == version and _reason(found)[0] == "Ready" else None

        return poll(served, f"{name} serves {version}", seconds)

    def pods(self, name: str) -> list[Object]:
        """Its pods, those about to leave too."""
        return [
            pod
            for pod in self.namespace.pods("inference-server")
            if pod["metadata"]["labels"].get("mlplat.dev/model-deployment") == name
        ]

    def await_pods(self, name: str, count: int) -> list[Object]:
        """Its pods, when there are exactly so many and all are Ready; those about to leave are left out."""

        def settled() -> list[Object] | None:
            found = [pod for pod in self.pods(name) if "deletionTimestamp" not in pod["metadata"]]
            return found if len(found) == count and all(map(is_ready, found)) else None

        return poll(settled, f"{name} has {count} pods", 180)

    def url(self, name: str) -> str:
        """Where it answers, seen from this machine; as soon as the node leads there, a moment after its first pod is Ready."""
        host, port = (
            self.release.address(0),
            self.namespace.object(pykube.Service, name)["spec"]["ports"][0]["nodePort"],
        )
        poll(lambda: is_open(host, port), f"the node leads to {name}")
        return f"http://{host}:{port}/predict"

    def predict(self, name: str, body: Object) -> Object:
        """One prediction."""
        answer = httpx.post(self.url(name), json=body, timeout=30)
        assert answer.status_code == 200, answer.text
        read: Object = answer.json()
        return read

    def events(self, name: str) -> set[str]:
        """Reasons of its events."""
        listed = json.loads(
            self.namespace.kubectl("get", "events", f"--field-selector=involvedObject.name={name}", "--output=json")
        )
        return {each["reason"] for each in listed["items"] if each["involvedObject"]["kind"] == "ModelDeployment"}

    def await_events(self, name: str, *reasons: str) -> None:
        """Return as soon as it has events of these reasons; they are told after the status."""
        poll(lambda: set(reasons) <= self.events(name), f"{name} has events of {', '.join(reasons)}")

    def mlplat(self, *words: str, code: int = 0) -> str:
        """What `mlplat deployments` says."""
        verb, *rest = words
        done = subprocess.run(
            [MLPLAT, "deployments", verb, *rest, "-n", self.namespace.name],
            env={**os.environ, **self.namespace.cluster.environment},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def _message(self, name: str, reason: str) -> str | None:
        found, message = self.reason(name)
        return message if found == reason else None


def _reason(found: Object) -> tuple[str, str]:
    status = found.get("status", {})
    if status.get("observedGeneration") != found["metadata"]["generation"]:
        return "", ""
    [ready] = [each for each in status["conditions"] if each["type"] == "Ready"]
    return ready["reason"], ready["message"]


def manifest(name: str, **spec: Any) -> Object:
    """One that serves iris v1 with a small pod, if nothing else is said."""
    small = {"requests": {"cpu": "20m", "memory": "128Mi"}}
    wanted = {"modelName": "iris", "resources": small} | ({} if "alias" in spec else {"modelVersion": "v1"}) | spec
    return {"apiVersion": "mlplat.dev/v1", "kind": "ModelDeployment", "metadata": {"name": name}, "spec": wanted}
