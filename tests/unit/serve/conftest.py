"""Real servers on real sockets."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlplat.runtime.cost import Cost
from mlplat.serve.run import DrainingServer, make_server
from mlplat.settings import ServeSettings
from mlplat.web.listening import listen

PATIENCE_SECONDS = 30.0

FLOWER = {"features": [5.1, 3.5, 1.4, 0.2]}


def poll(condition: Callable[[], Any], what: str, patience: float = PATIENCE_SECONDS) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"waited {patience} s until {what}"
        time.sleep(0.01)


@dataclass
class Running:
    """A server in a thread of this process, and a client of it."""

    server: DrainingServer
    client: httpx.Client
    port: int

    def ready(self) -> "Running":
        poll(lambda: self.client.get("/ready").status_code == 200, "the server is ready")
        return self

    def predict(self, body: Any, **options: Any) -> httpx.Response:
        return self.client.post("/predict", json=body, **options)

    def raw(self, data: bytes) -> socket.socket:
        """A connection on which `data` was sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)
        connection.sendall(data)
        return connection


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers of a store: `start(store_url, model="iris", version="v1", ...)`."""
    with running_servers(tmp_path) as begin:
        yield begin


@pytest.fixture(scope="module")
def iris(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of iris v1 for tests that change nothing."""
    with running_servers(tmp_path_factory.mktemp("iris")) as begin:
        yield begin(str(trained), model="iris", version="v1", max_body_bytes=100_000, max_rows=100).ready()


class running_servers:  # noqa: N801 - a context manager
    """Servers that end with the block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._all: list[tuple[Running, threading.Thread]] = []

    def __enter__(self) -> Start:
        return self._start

    def __exit__(self, *_: object) -> None:
        for running, thread in self._all:
            running.client.close()
            running.server.should_exit = True
            running.server.force_exit = True
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()

    def _start(self, store: str, **settings: Any) -> Running:
        settings = {"store": store, "host": "127.0.0.1", "cache": self._folder / "cache"} | settings
        server = make_server(ServeSettings.model_validate(settings))
        listener = listen("127.0.0.1", 0)
        port = listener.getsockname()[1]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        running = Running(server, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS), port)
        self._all.append((running, thread))
        poll(lambda: server.started or not thread.is_alive(), "the server listens")
        assert thread.is_alive()
        return running


@contextmanager
def held(running: Running) -> Iterator[threading.Event]:
    """Predictions wait in the thread where slow models run; the event says that one does."""
    served = running.server.lifecycle.current
    assert served is not None
    batcher, gate, entered = served.batcher, threading.Event(), threading.Event()
    poll(lambda: not batcher._busy, "what was asked before is over")
    predict, cost = batcher._predict, batcher._cost

    def wait(inputs: Any) -> Any:
        entered.set()
        assert gate.wait(PATIENCE_SECONDS)
        return predict(inputs)

    batcher._predict, batcher._cost = wait, Cost(0.01, 0.0)
    try:
        yield entered
    finally:
        gate.set()
        poll(lambda: not batcher._busy or running.server.force_exit, "what was held is over, and taught no cost")
        batcher._predict, batcher._cost = predict, cost


@contextmanager
def serving(store: Path | str, folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], str, Path]]:
    """A `mlplat serve` of iris: its process, its URL, its log."""
    log = folder / "serve.log"
    command = [sys.executable, "-m", "mlplat", "serve", "--model", "iris", "--host", "127.0.0.1", "--port", "0"]
    environment = os.environ | {"MLPLAT_STORE": str(store), "MLPLAT_CACHE": str(folder / "cache")}
    with log.open("wb") as out:
        process = subprocess.Popen([*command, *options], stdout=out, stderr=out, env=environment)
    try:
        poll(lambda: process.poll() is not None or b"listening" in log.read_bytes(), "the server listens")
        assert process.poll() is None, log.read_text()
        line = next(line for line in log.read_text().splitlines() if "listening" in line)
        yield process, json.loads(line)["url"], log
    finally:
        process.kill()
        process.wait()


def await_ready(url: str) -> None:
    poll(lambda: httpx.get(f"{url}/ready").status_code == 200, "the server is ready")
