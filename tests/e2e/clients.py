"""Who sends the load: a process of this machine through a NodePort, or a pod through the Service."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pykube

from .load import Result, Shape, Target
from .namespace import Namespace
from .pods import restricted_pod
from .polling import poll

SOURCE = Path(__file__).with_name("load.py")


class Client(Protocol):
    """Runs the load generator somewhere."""

    name: str

    def start(self) -> None:
        """Begin."""

    def lines(self) -> list[str]:
        """What it has written."""

    def stop(self) -> None:
        """Tell it to end, and wait until it has."""


def options(target: Target, shape: Shape) -> list[str]:
    """The command line of load.py."""
    fields = {**vars(target), **vars(shape)}
    del fields["url"]
    return [target.url, *(f"--{name.replace('_', '-')}={value}" for name, value in fields.items() if value is not None)]


class MachineClient:
    """A process of this machine."""

    def __init__(self, name: str, target: Target, shape: Shape, folder: Path) -> None:
        self.name = name
        self._command = [sys.executable, str(SOURCE), *options(target, shape)]
        self._out = folder / f"{name}.jsonl"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._out.open("wb") as out:
            self._process = subprocess.Popen(self._command, stdout=out)

    def lines(self) -> list[str]:
        return self._out.read_text().splitlines()

    def stop(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(30) == 0


class PodClient:
    """A pod of the scenario's namespace, which meets the restricted Pod Security Standard like all others there."""

    def __init__(self, name: str, target: Target, shape: Shape, namespace: Namespace, image: str) -> None:
        self.name = name
        self._namespace = namespace
        self._words = ["python", "/load/load.py", *options(target, shape)]
        self._image = image

    def start(self) -> None:
        source = {"name": "load"}
        self._namespace.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": source, "data": {"load.py": SOURCE.read_text()}},
            restricted_pod(self.name, self._image, self._words, {"/load": {"configMap": source}}),
        )

    def lines(self) -> list[str]:
        pod = pykube.Pod.objects(self._namespace.api).filter(namespace=self._namespace.name).get_by_name(self.name)
        if pod.obj["status"]["phase"] == "Pending":
            return []
        lines: list[str] = pod.logs().splitlines()
        return lines

    def stop(self) -> None:
        self._namespace.kubectl("exec", self.name, "--", "sh", "-c", "kill -TERM 1")

        def ended() -> bool:
            phase = self._namespace.object(pykube.Pod, self.name)["status"]["phase"]
            assert phase != "Failed", "\n".join(self.lines())
            return bool(phase == "Succeeded")

        poll(ended, f"the pod {self.name} ends")


@dataclass
class Traffic:
    """The load of several clients: how far it is, and what came of it when it has ended."""

    clients: tuple[Client, ...]
    results: dict[str, Result] = field(default_factory=dict)

    def answered(self) -> dict[str, int]:
        """How many answers each client has by now."""
        counts = {}
        for client in self.clients:
            lines = client.lines()
            counts[client.name] = int(json.loads(lines[-1])["answered"]) if lines else 0
        return counts

    def await_more(self, requests: int, seconds: float = 120.0) -> None:
        """Wait until so many more requests of all clients together were answered, and at least one of each."""
        before = self.answered()

        def enough() -> bool:
            now = self.answered()
            grown = [now[name] - before[name] for name in now]
            return sum(grown) >= requests and min(grown) > 0

        poll(enough, f"{requests} more requests are answered", seconds)

    @property
    def total(self) -> int:
        """All requests of all clients."""
        return sum(result.total for result in self.results.values())

    @property
    def failed(self) -> int:
        """All requests that failed."""
        return sum(result.failed for result in self.results.values())

    def versions_between(self, start: float, end: float) -> set[str]:
        """The versions that answered between two Unix times."""
        return set[str]().union(*(result.versions_between(start, end) for result in self.results.values()))

    def first_after(self, time: float, version: str) -> float:
        """When a version answered first after a Unix time, to a tenth of a second.

        Raises:
            ValueError: if it did not.
        """
        return min(first for result in self.results.values() if (first := result.first_after(time, version)))

    def stop(self) -> None:
        """End all clients; then the results are there."""
        while self.clients:
            client, *others = self.clients
            self.clients = tuple(others)
            client.stop()
            self.results[client.name] = Result.from_json(client.lines()[-1])

    def summary(self) -> str:
        """A line for each client."""
        return "\n".join(f"{name}: {result.summary()}" for name, result in self.results.items())

    def assert_none_failed(self, least: int) -> None:
        """All requests were answered, and there were at least so many."""
        failures = [failure for result in self.results.values() for failure in result.failures[:20]]
        assert self.failed == 0, "\n".join([self.summary(), *map(str, failures)])
        assert self.total >= least, self.summary()


@contextmanager
def under_load(*clients: Client) -> Iterator[Traffic]:
    """Traffic that has begun for each client, and ends at the latest with the block; a line for each is printed then."""
    traffic = Traffic(())
    try:
        for client in clients:
            client.start()
            traffic.clients += (client,)
        traffic.await_more(1)
        yield traffic
    finally:
        traffic.stop()
        sys.stdout.write(traffic.summary() + "\n")
