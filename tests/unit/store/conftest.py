"""What the tests of the store share: a store of each kind, child processes, and a proxy that loses replies."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

from mlplat.store import Store, open_store

PUBLISHER = Path(__file__).with_name("publisher.py")


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store, in a folder and in a bucket."""
    return open_store(str(tmp_path / "store") if request.param == "file" else request.getfixturevalue("s3").new_url())


@pytest.fixture
def files(tmp_path: Path) -> Store:
    """An empty store in a folder."""
    return open_store(str(tmp_path / "store"))


class Publisher:
    """A process that publishes folders when it is told to."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, PUBLISHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ.copy()
        )
        assert self._read() == {"ready": True}

    def tell(self, **command: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        result: dict[str, Any] = json.loads(self._process.stdout.readline())
        return result

    def end(self) -> None:
        self._process.communicate()


@pytest.fixture
def publishers(request: pytest.FixtureRequest) -> Iterator[Callable[[], Publisher]]:
    """Start processes that publish."""
    started: list[Publisher] = []

    def start() -> Publisher:
        started.append(Publisher())
        return started[-1]

    yield start
    for each in started:
        each.end()


class Proxy:
    """An HTTP proxy before the S3 server; `lose` and `stall` say for which requests (method, path)."""

    def __init__(self, upstream: str) -> None:
        self.lose: Callable[[str, str], bool] = lambda _method, _path: False
        self.stall: Callable[[str, str], bool] = lambda _method, _path: False
        self.lost: list[str] = []
        self.ended = Event()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if proxy.stall(self.command, self.path):
                    proxy.ended.wait()
                    self.close_connection = True
                    return
                connection = http.client.HTTPConnection(urlsplit(upstream).netloc)
                try:
                    connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                    for name, value in self.headers.items():
                        connection.putheader(name, value)
                    connection.endheaders(body)
                    response = connection.getresponse()
                    data = response.read()
                finally:
                    connection.close()
                if proxy.lose(self.command, self.path):
                    proxy.lost.append(f"{self.command} {self.path}")
                    self.close_connection = True
                    return
                self.send_response_only(response.status, response.reason)
                for name, value in response.getheaders():
                    if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                        self.send_header(name, value)
                length = response.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
                self.send_header("Content-Length", length or "0")
                self.end_headers()
                self.wfile.write(data)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def end(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def proxy(s3: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """The way to the S3 server for this test."""
    between = Proxy(s3.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL", between.endpoint)
    yield between
    between.end()


def first_time(chosen: Callable[[str, str], bool]) -> Callable[[str, str], bool]:
    """Choose only the first of the chosen requests."""
    seen: list[str] = []

    def choose(method: str, path: str) -> bool:
        if seen or not chosen(method, path):
            return False
        seen.append(path)
        return True

    return choose


@pytest.fixture
def once() -> Callable[[Callable[[str, str], bool]], Callable[[str, str], bool]]:
    """Make a choice of requests that chooses only once."""
    return first_time


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[bool]:
    """A tmpfs at `folder`, if this user may mount; whether it could."""
    folder.mkdir(parents=True, exist_ok=True)
    done = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False, capture_output=True
        ).returncode
    )
    try:
        yield done
    finally:
        if done:
            subprocess.run(["umount", folder], check=True)


@pytest.fixture
def mount() -> Callable[[Path, str], Any]:
    """Mount a tmpfs where this user may."""
    return mounted
