"""Exec plugins of a kubeconfig, run as they are, before an API server that takes the tokens of some."""

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mlplat.errors import UsageError
from mlplat.operator.console import Console

PLUGIN = """
import json, os, pathlib, sys
asked = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
count = pathlib.Path(sys.argv[1])
number = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(number))
token = f"{os.environ['WHO']}-{number}"
print(json.dumps({"apiVersion": asked["apiVersion"], "kind": asked["kind"], "status": {"token": token}}))
"""


class Server:
    """Takes one token, and notes those that it is given."""

    def __init__(self) -> None:
        self.takes = "me-1"
        self.given: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                token = self.headers["Authorization"]
                outer.given.append(token)
                self.send_response(200 if token == f"Bearer {outer.takes}" else 401)
                self.end_headers()
                self.wfile.write(b'{"items": []}')

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    with server.http:
        threading.Thread(target=server.http.serve_forever, daemon=True).start()
        yield server
        server.http.shutdown()


@pytest.fixture
def console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> Any:
    """Makes consoles whose user is let in by a plugin."""

    def make(*, version: str = "v1", **plugin: Any) -> Console:
        given = {
            "apiVersion": f"client.authentication.k8s.io/{version}",
            "command": sys.executable,
            "args": ["-c", PLUGIN, str(tmp_path / "count")],
            "env": [{"name": "WHO", "value": "me"}],
            "interactiveMode": "IfAvailable",
            **plugin,
        }
        config = {
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{server.http.server_port}"}}],
            "users": [{"name": "here", "user": {"exec": given}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        return Console()

    return make


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_its_token_is_used_until_it_is_taken_no_more(console: Any, server: Server, version: str) -> None:
    asked = console(version=version)
    assert asked.list() == asked.list() == []
    server.takes = "me-2"
    assert asked.list() == []
    assert server.given == [f"Bearer me-{number}" for number in (1, 1, 1, 2)]


@pytest.mark.parametrize(
    ("plugin", "said", "hint"),
    [
        ({"command": "no-such-plugin", "installHint": "Install it."}, "cannot be run", "Install it."),
        ({"command": "no-such-plugin"}, "cannot be run", "Does kubectl work"),
        ({"args": ["-c", "raise SystemExit(3)"]}, "failed with exit code 3", "Does kubectl work"),
        ({"args": ["-c", "print('hello')"]}, "gives no token", "client certificates"),
        ({"args": ["-c", 'print(\'{"status": {"clientKeyData": ""}}\')']}, "gives no token", "client certificates"),
    ],
)
def test_without_a_token_it_is_said_why(console: Any, plugin: dict[str, Any], said: str, hint: str) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        console(**plugin).list()
    assert hint in str(raised.value.hint)


@pytest.mark.parametrize(
    "text", ["a: [b", "- 1", "", "{}", "clusters: [{name: a, cluster: [1]}]", "{clusters: [], contexts: [{name: a}]}"]
)
def test_a_kubeconfig_that_is_none_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "kubeconfig").write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    with pytest.raises(UsageError, match="The kubeconfig cannot be read"):
        Console()
