"""`mlplat deployments` against a small API server; the whole is tried on a cluster, by tests/e2e."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from .conftest import Run


def resource(name: str, *, served: str = "v1", before: str | None = None, ready: bool = True, **spec: Any) -> Any:
    told = {"reason": "Ready" if ready else "VersionNotFound", "message": f"{served} is served by 1 pod."}
    return {
        "metadata": {"name": name, "namespace": "ml", "generation": 1},
        "spec": {"modelName": "iris", **({} if "alias" in spec else {"modelVersion": served}), **spec},
        "status": {
            "observedGeneration": 1,
            "servedVersion": served,
            "targetVersion": spec.get("modelVersion", served),
            "previousVersion": before,
            "replicas": 1,
            "readyReplicas": 1,
            "conditions": [
                {"type": kind, "status": str(holds), "lastTransitionTime": "2026-01-01T00:00:00Z", **told}
                for kind, holds in (("Ready", ready), ("Reconciling", False), ("Stalled", not ready))
            ],
        },
    }


def tried(name: str, phase: str) -> Any:
    """One that serves v1 and tries v2."""
    found = resource(name, served="v1", modelVersion="v2")
    trial = {"version": "v2", "stable": "v1", "asked": "x", "phase": phase, "pods": 1, "message": "v2 gets 5 %."}
    times = {"begun": "2026-01-01T00:00:00Z", "since": "2026-01-01T00:00:00Z"}
    counted = {"requests": 7, "errors": 1, "latencyMilliseconds": 2.5, "at": "2026-01-01T00:00:09Z"}
    found["status"]["canary"] = trial | times | {"counted": counted}
    return found


def promoted(name: str) -> Any:
    """One that was just told to go from v2 to v3, which the operator has not seen."""
    found = resource(name, served="v2", before="v1", modelVersion="v3")
    found["metadata"]["generation"] = 2
    found["status"]["targetVersion"] = "v2"
    return found


FLEET = {
    each["metadata"]["name"]: each
    for each in (
        resource("flowers", served="v2", before="v1"),
        resource("rolling", modelVersion="v9"),
        resource("first"),
        resource("follower", alias="champion"),
        resource("stuck", ready=False),
        tried("trying", "Trying"),
        tried("promoting", "Promoting"),
        promoted("promoted"),
    )
}


@pytest.fixture
def patches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """An API server with a few ModelDeployments; gives what is written to them."""
    written: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rpartition("modeldeployments")[2].strip("/")
            self._answer(FLEET.get(name) if name else {"items": list(FLEET.values())})

        def do_PATCH(self) -> None:
            written.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer({})

        def _answer(self, found: Any) -> None:
            self.send_response(404 if found is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps({"message": "not found"} if found is None else found).encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = {
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}],
        "users": [{"name": "here", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here", "namespace": "ml"}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    yield written
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("patches")
def test_what_there_is_is_listed_and_described(run: Run) -> None:
    listed = run("deployments", "list")
    assert listed.out.splitlines()[0].split() == ["NAME", "MODEL", "WANTED", "SERVED", "READY", "REASON", "PODS"]
    rows = json.loads(run("deployments", "list", "-A", "-o", "json").out)
    assert [(row["namespace"], row["wanted"]) for row in rows[:4]] == [
        ("ml", "v2"), ("ml", "v9"), ("ml", "v1"), ("ml", "@champion"),
    ]  # fmt: skip
    assert "1 of 1 ready" in run("deployments", "describe", "flowers").out
    assert json.loads(run("deployments", "describe", "flowers", "-o", "json").out) == FLEET["flowers"]


@pytest.mark.parametrize(
    ("words", "version"),
    [
        (("promote", "flowers", "v3"), "v3"),
        (("rollback", "rolling"), "v1"),  # what serves while v9 rolls out
        (("rollback", "trying"), "v1"),  # and while v2 is tried
        (("rollback", "promoted"), "v2"),  # also before the operator has looked
    ],
)
def test_a_version_is_asked_for(run: Run, patches: list[Any], words: tuple[str, ...], version: str) -> None:
    done = run("deployments", *words)
    assert done.code == 0, done.err
    assert f"is to serve {version} (before: " in done.out
    assert patches == [{"spec": {"modelVersion": version}}]


@pytest.mark.parametrize(("words", "version"), [((), "v1"), (("--to", "v0"), "v0")])
def test_the_way_back_is_without_a_canary(run: Run, patches: list[Any], words: tuple[str, ...], version: str) -> None:
    assert f"is to serve {version} (before: v2)" in run("deployments", "rollback", "flowers", *words).out
    annotations = {"mlplat.dev/promote": f"{version}@v2@1"}
    assert patches == [{"spec": {"modelVersion": version}, "metadata": {"annotations": annotations}}]


def test_the_steps_of_just_this_canary_are_skipped(run: Run, patches: list[Any]) -> None:
    assert "is to serve v2 without the other steps (before: v1)" in run("deployments", "promote", "trying").out
    assert patches == [{"metadata": {"annotations": {"mlplat.dev/promote": "v2@2026-01-01T00:00:00Z"}}}]


@pytest.mark.usefixtures("patches")
def test_a_canary_is_described_with_its_figures(run: Run) -> None:
    said = run("deployments", "describe", "trying").out
    assert "v2 gets 5 %." in said
    assert "answered 7 requests, 1 of them with a server error, in 2.5 ms" in said


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("promote", "follower", "v3"), 4, "mlplat models promote iris v3 champion"),
        (("rollback", "follower"), 4, "mlplat models rollback iris champion"),
        (("rollback", "first"), 3, "first has served nothing else before. --to names the version."),
        (
            ("promote", "flowers"),
            4,
            "flowers tries no other version. mlplat deployments promote flowers VERSION moves it.",
        ),
        (("promote", "promoting"), 4, "tries no other version"),
        (("describe", "none"), 3, "There is no ModelDeployment none in the namespace ml. There: flowers, rolling,"),
        (("wait", "stuck"), 1, "stuck is stalled. mlplat deployments explain stuck says why."),
        (("wait", "flowers", "--timeout", "0"), 2, "--timeout"),
        (("list", "--context", "nowhere"), 2, "Cannot tell where the API server is"),
    ],
)
def test_what_cannot_be_done_is_said(
    run: Run, patches: list[Any], words: tuple[str, ...], code: int, said: str
) -> None:
    done = run("deployments", *words)
    assert (done.code, said in done.err) == (code, True), done.err
    assert patches == []


@pytest.mark.usefixtures("patches")
def test_what_is_ready_is_not_waited_for(run: Run) -> None:
    assert run("deployments", "wait", "flowers").out == "v2 is served by 1 pod.\n"
    assert "flowers is to serve v2 already" in run("deployments", "promote", "flowers", "v2").out


def test_without_a_kubeconfig_it_says_what_to_set(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    done = run("deployments", "list")
    assert (done.code, "Set KUBECONFIG." in done.err) == (2, True), done.err


@pytest.mark.parametrize("command", ["list", "describe", "promote", "rollback", "wait", "explain"])
def test_every_command_has_help_with_an_example(run: Run, command: str) -> None:
    text = run("deployments", command, "--help").out
    assert f"Example: mlplat deployments {command}" in " ".join(text.split())
