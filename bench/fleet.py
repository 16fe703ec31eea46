"""The operator with many ModelDeployments, whose pods run on fake nodes: `python bench/fleet.py 300`.

Wants a cluster with kwok's fake nodes (`cluster addon kwok`) and the kind ModelDeployment, KUBECONFIG, kubectl and helm. It
prints how long it takes until all are Ready, and the operator's CPU, memory and requests to the API server; exit 0 if the goals
are met. `tests/e2e/test_scale.py` runs it with `--counts`: how fast the machine is does not fail a test.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import yaml

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts" / "ml-platform"
MLPLAT = str(Path(sys.executable).with_name("mlplat"))

PODS_ON_A_NODE = 110
TAINT = {"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}

MOST_CPU_MILLISECONDS = 15.0
"""Of a reconcile."""

MOST_MEBIBYTES = 250.0

MOST_REQUESTS, MOST_REQUESTS_EACH = 5.0, 15.0
"""To the API server, of a reconcile and of a ModelDeployment, until all are Ready."""

MOST_AT_START = 50.0
"""Requests to the API server: lists, in parts, and watches."""

STEADY_LOOKS = 10

NAP_SECONDS = 0.25


def main() -> None:
    """Measure, and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=300)
    parser.add_argument("--counts", action="store_true", help="judge what is counted, not CPU and memory")
    given = parser.parse_args()
    count = given.count
    place = f"bench-{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder, fleet(place, count):
        operator = Operator(Path(folder), place)
        try:
            counts, costs = measure(operator, place, count)
        finally:
            operator.stop()
    sys.exit(0 if all(counts if given.counts else counts + costs) else 1)


def measure(operator: "Operator", place: str, count: int) -> tuple[list[bool], list[bool]]:
    """Print what is seen; returns whether each goal is met: of what is counted, and of CPU and memory."""
    operator.start()
    at_rest = operator.figures()["cpu"]
    begun = time.monotonic()
    kubectl("create", "--filename", "-", stdin=json.dumps(listed(deployment(place, n) for n in range(count))))
    created = time.monotonic()
    wait_until(lambda: operator.figures()["ready"] >= count, 1200)
    ready = time.monotonic()
    wait_until_steady(operator)
    first = operator.figures()
    cost = 1000 * (first["cpu"] - at_rest) / first["reconciles"]
    say(f"{count} created in {created - begun:.0f} s, all Ready after {ready - begun:.0f} s")
    asked = first["requests"] / first["reconciles"]
    each = first["requests"] / count
    say(f"{first['reconciles'] / count:.1f} reconciles and {each:.1f} requests to the API server for each")
    say(f"{cost:.1f} ms of CPU and {asked:.1f} requests a reconcile, {first['memory']:.0f} MiB")
    others = versions(place)

    kubectl("patch", "md", "m0", "-n", place, "--type=merge", "--patch", '{"spec": {"replicas": 2}}')
    wait_until(lambda: "2" in kubectl("get", "md", "m0", "-n", place, "-o", "jsonpath={.status.readyReplicas}"), 60)
    wait_until_steady(operator)
    change = {key: value - first[key] for key, value in operator.figures().items()}
    touched = {name for name, version in versions(place).items() if others.get(name) != version}
    say(f"a change of one: {change['reconciles']:.0f} reconciles, {change['writes']:.0f} writes")
    resting = operator.figures()
    wait_until_steady(operator)
    rest = {key: value - resting[key] for key, value in operator.figures().items()}

    operator.stop()
    operator.start()
    wait_until(lambda: operator.figures()["reconciles"] >= count, 300)
    wait_until_steady(operator)
    again = operator.figures()
    say(
        f"a restart: {again['reconciles']:.0f} reconciles, {again['writes']:.0f} writes, {again['requests']:.0f} requests,"
        f" {again['cpu'] - at_rest:.1f} s of CPU, {again['memory']:.0f} MiB"
    )
    costs = [
        goal(f"under {MOST_CPU_MILLISECONDS:g} ms of CPU a reconcile", cost < MOST_CPU_MILLISECONDS),
        goal(f"under {MOST_MEBIBYTES:g} MiB", max(first["memory"], again["memory"]) < MOST_MEBIBYTES),
    ]
    counts = [
        goal(f"at most {MOST_REQUESTS:g} requests a reconcile", asked <= MOST_REQUESTS),
        goal(f"at most {MOST_REQUESTS_EACH:g} requests for each", each <= MOST_REQUESTS_EACH),
        goal("nothing is written in a steady state", rest["requests"] == rest["reads"]),
        goal("a change of one touches one", touched == {"m0"} and change["reconciles"] < 20),
        goal("a restart writes nothing", again["writes"] == 0),
        goal(f"a restart takes at most {MOST_AT_START:g} requests", again["requests"] <= MOST_AT_START),
    ]
    return counts, costs


class Operator:
    """The operator of this tree, for one namespace, as a process."""

    def __init__(self, folder: Path, place: str) -> None:
        rendered = run("helm", "template", "ml-platform", str(CHART), "--set", "operator.enabled=true", "--set",
                       "store.url=s3://nowhere/models,serviceAccount.create=false", "--show-only", "templates/operator/base.yaml")  # fmt: skip
        for name, text in yaml.safe_load(rendered)["data"].items():
            (folder / name).write_text(text)
        self._environment = {
            **os.environ,
            "MLPLAT_OPERATOR_BASE": str(folder),
            "MLPLAT_OPERATOR_NAMESPACE": place,
            "MLPLAT_STORE": str(folder / "store"),
        }
        self._log = folder / "log"
        train = [MLPLAT, "train", "--recipe", "iris", "--version", "v1", "--param", "n_estimators=3"]
        subprocess.run(train, env=self._environment, check=True, capture_output=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._url = ""

    def start(self) -> None:
        """Run it."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [MLPLAT, "operator", "--port", "0", "--host", "127.0.0.1"],
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: re.search(r"http://127\.0\.0\.1:\d+", self._log.read_text()) is not None, 60)
        found = re.search(r"http://127\.0\.0\.1:\d+", self._log.read_text())
        self._url = found[0] if found else ""
        wait_until(self._listens, 60)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def figures(self) -> dict[str, float]:
        """What its metrics say now."""
        text = httpx2.get(f"{self._url}/metrics", timeout=30).text

        def total(name: str) -> float:
            return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))

        return {
            "reconciles": total("mlplat_operator_reconciles_total"),
            "writes": total("mlplat_operator_writes_total"),
            "requests": total("mlplat_operator_requests_total"),
            "reads": sum(
                map(float, re.findall(r'^mlplat_operator_requests_total\{method="GET"\} (\S+)$', text, re.MULTILINE))
            ),
            "ready": total("mlplat_operator_deployment_ready"),
            "cpu": total("process_cpu_seconds_total"),
            "memory": total("process_resident_memory_bytes") / 2**20,
        }

    def _listens(self) -> bool:
        try:
            return httpx2.get(f"{self._url}/health").is_success
        except httpx2.TransportError:
            return False


@contextmanager
def fleet(place: str, count: int) -> Iterator[None]:
    """A namespace, and fake nodes for that many pods."""
    nodes = [f"virtual-{place}-{number}" for number in range(count // (PODS_ON_A_NODE - 20) + 1)]
    kubectl("create", "namespace", place)
    try:
        kubectl("apply", "--filename", "-", stdin=json.dumps(listed(node(name, place) for name in nodes)))
        yield
    finally:
        kubectl("delete", "namespace", place, "--wait=false")
        kubectl("delete", "node", *nodes, "--wait=false")


def deployment(place: str, number: int) -> dict[str, Any]:
    """A ModelDeployment of one pod on the fake nodes."""
    return {
        "apiVersion": "mlplat.dev/v1",
        "kind": "ModelDeployment",
        "metadata": {"name": f"m{number}", "namespace": place},
        "spec": {
            "modelName": "iris",
            "modelVersion": "v1",
            "nodeSelector": {"type": "kwok", "bench": place},
            "tolerations": [{"key": TAINT["key"], "operator": "Exists"}],
            "resources": {"requests": {"cpu": "10m", "memory": "10Mi"}},
        },
    }


def node(name: str, place: str) -> dict[str, Any]:
    """A node that runs nothing."""
    room = {"cpu": "32", "memory": "256Gi", "pods": str(PODS_ON_A_NODE)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"type": "kwok", "bench": place, "kubernetes.io/hostname": name}},
        "spec": {"taints": [TAINT]},
        "status": {"allocatable": room, "capacity": room},
    }


def listed(items: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """Objects as one."""
    return {"apiVersion": "v1", "kind": "List", "items": list(items)}


def versions(place: str) -> dict[str, str]:
    """The resource versions of all ModelDeployments, by name."""
    columns = "custom-columns=:.metadata.name,:.metadata.resourceVersion"
    lines = kubectl("get", "md", "-n", place, "-o", columns, "--no-headers").splitlines()
    return dict(line.split() for line in lines if line.strip())


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Look until it holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"waited {seconds:g} s in vain")
        time.sleep(NAP_SECONDS)


def wait_until_steady(operator: Operator) -> None:
    """Look until nothing was reconciled for ten looks."""
    seen: list[float] = []

    def steady() -> bool:
        seen.append(operator.figures()["reconciles"])
        return len(seen) > STEADY_LOOKS and seen[-1] == seen[-STEADY_LOOKS]

    wait_until(steady, 300)


def kubectl(*words: str, stdin: str | None = None) -> str:
    """What kubectl says."""
    return run("kubectl", *words, stdin=stdin)


def run(*words: str, stdin: str | None = None) -> str:
    """What a program says."""
    return subprocess.run(words, input=stdin, check=True, capture_output=True, text=True).stdout


def goal(text: str, met: bool) -> bool:
    """Say whether a goal is met."""
    say(f"{'met' if met else 'MISSED'}: {text}")
    return met


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


if __name__ == "__main__":
    main()
