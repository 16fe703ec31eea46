"""Fixtures for all tests: a version to publish, a real S3 server, and a proxy before it that loses replies."""

import http.client
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit
from uuid import uuid4

import hypothesis
import pyarrow as pa
import pytest

from mlplat.bundle.baseline import Baseline, Histogram
from mlplat.bundle.features import Features, NumericColumn
from mlplat.bundle.golden import Golden
from mlplat.bundle.manifest import DataInfo, FileEntry, Manifest, RecipeInfo, Signature, Tensor, sha256_of

hypothesis.settings.register_profile("shared", deadline=None)  # no test asserts a duration
hypothesis.settings.load_profile("shared")

SERVER = Path(__file__).parents[2] / "shared" / "cluster" / "bin" / "minio.zst"
KEY = "minioadmin"


@dataclass(frozen=True)
class Draft:
    """A version that is not published yet: the manifest, and where its files are."""

    manifest: Manifest
    files: dict[str, Path]


@dataclass(frozen=True)
class S3:
    """A running S3 server, and its bucket."""

    endpoint: str
    bucket: str
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to use it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": KEY,
            "AWS_REGION": "us-east-1",
        }

    def new_url(self) -> str:
        """A URL below which nothing is yet."""
        return f"s3://{self.bucket}/{uuid4().hex}"


def draft_version(
    folder: Path, version: str = "v1", *, model: str = "iris", contents: dict[str, bytes] | None = None
) -> Draft:
    """A small version whose files have the given contents; not a model that could predict."""
    contents = contents or {"model.onnx": b"model of " + version.encode() + bytes(range(256)), "card.md": b"# A card\n"}
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    manifest = Manifest(
        model=model,
        version=version,
        created_at=datetime.now(UTC),
        writer=uuid4().hex,
        recipe=RecipeInfo(name="iris"),
        data=DataInfo(uri="iris", rows=2, held_out=1, sha256="0" * 64),
        fingerprint="1" * 64,
        task="classification",
        features=Features(columns=(NumericColumn(name="x"),)),
        signature=Signature(inputs=(Tensor(name="x", dtype="float32", shape=(-1, 1)),), outputs=()),
        classes=("a", "b"),
        metrics={"accuracy": 0.9375},
        files={name: FileEntry(sha256=sha256_of(data), bytes=len(data)) for name, data in contents.items()},
        packages={"numpy": "2.0"},
        golden=Golden(rows=((1.0,),), values=(0.0,), probabilities=((0.75, 0.25),), tolerance=1e-5),
        baseline=Baseline(rows=1, features={}, predictions=Histogram(edges=(0.5,), counts=(1, 0))),
    )
    return Draft(manifest, {name: folder / name for name in contents})


@pytest.fixture
def draft(tmp_path: Path) -> Callable[..., Draft]:
    """Make a version with its files in a folder of their own: `draft("v1", model="iris", contents={...})`."""
    numbers = count()

    def make(version: str = "v1", *, model: str = "iris", contents: dict[str, bytes] | None = None) -> Draft:
        return draft_version(tmp_path / f"draft{next(numbers)}", version, model=model, contents=contents)

    return make


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """One server for all tests of this process, which ends with it."""
    if not SERVER.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{SERVER} is missing: in CI the tests of S3 must run")
        pytest.skip(f"{SERVER} is missing")
    folder = tmp_path_factory.mktemp("s3")
    program = folder / "minio"
    with pa.CompressedInputStream(pa.OSFile(str(SERVER)), "zstd") as packed, program.open("wb") as unpacked:
        shutil.copyfileobj(packed, unpacked, 1 << 20)
    program.chmod(0o755)
    data = folder / "data"
    (data / "bucket").mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "server", "--quiet", "--address", f"127.0.0.1:{port}", data],
            env={"HOME": str(folder), "MINIO_ROOT_USER": KEY, "MINIO_ROOT_PASSWORD": KEY, "MINIO_BROWSER": "off"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _await_health(process, f"{endpoint}/minio/health/live", log)
        yield S3(endpoint, "bucket", data)
    finally:
        process.terminate()
        process.wait()
        program.unlink()


def _await_health(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the S3 server did not start:\n{log.read_text()}")
            time.sleep(0.02)


@pytest.fixture
def s3(s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """The S3 server, with the environment set so that `s3://` URLs reach it."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server


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
def proxy(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
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
