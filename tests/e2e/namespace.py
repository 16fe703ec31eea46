"""A namespace for one scenario."""

import json
from dataclasses import dataclass
from typing import Any

import pykube

from .cluster import Cluster, CommandError

Object = dict[str, Any]
"""A Kubernetes object as JSON has it."""


@dataclass(frozen=True)
class Namespace:
    """Where one scenario runs. Objects are read through `api`, which costs less than a process each time."""

    cluster: Cluster
    api: pykube.HTTPClient
    name: str

    def create(self) -> None:
        """Make it; its pods must meet the restricted Pod Security Standard."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted", "test": "e2e"}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels}})

    def delete(self) -> None:
        """Remove it and all that is in it, in the background; its NodePorts are free at once, not after the last pod."""
        self.kubectl("delete", "service", "--all")
        self.cluster.run("kubectl", "delete", "namespace", self.name, "--wait=false")

    def kubectl(self, *words: str, stdin: str | None = None, timeout: float = 120.0) -> str:
        """What kubectl says, in this namespace."""
        return self.cluster.run("kubectl", "--namespace", self.name, *words, stdin=stdin, timeout=timeout)

    def apply(self, *objects: Object) -> None:
        """Create or change objects."""
        self.kubectl(
            "apply", "--filename", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        )

    def objects(self, kind: type[pykube.objects.APIObject], **labels: str) -> list[Object]:
        """All objects of a kind with these labels."""
        found = kind.objects(self.api).filter(namespace=self.name, selector=labels or None)
        return [each.obj for each in found]

    def object(self, kind: type[pykube.objects.APIObject], name: str) -> Object:
        """One object.

        Raises:
            pykube.exceptions.ObjectDoesNotExist: if there is none.
        """
        found: Object = kind.objects(self.api).filter(namespace=self.name).get_by_name(name).obj
        return found

    def pods(self, component: str) -> list[Object]:
        """The pods of a component, e.g. inference-server, that are not done."""
        pods = self.objects(pykube.Pod, component=component)
        return [pod for pod in pods if pod["status"]["phase"] in {"Pending", "Running"}]

    def logs(self, *words: str) -> str:
        """Logs of a pod, or of what `kubectl logs` takes; empty if there are none."""
        try:
            return self.kubectl("logs", "--tail=-1", *words)
        except CommandError:
            return ""


def restarts(pod: Object) -> int:
    """How often the containers of a pod were started again."""
    return sum(each["restartCount"] for each in pod["status"]["containerStatuses"])


def is_ready(pod: Object) -> bool:
    """Whether a pod takes requests, and is not about to leave."""
    conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", ())}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]
