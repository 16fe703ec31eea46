"""Registries to test against: a real one in a thread, a wire before it that breaks, and servers that are none."""

import re
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import pytest
import urllib3

from mlplat.registry.run import make_server, make_service
from mlplat.settings import RegistrySettings
from mlplat.store import Store, open_store
from mlplat.web.listening import listen

PATIENCE_SECONDS = 20.0
LISTENING = re.compile(r'"url": "(http://[^"]+)".*"event": "listening"')
KEY = "the key of an admin in tests"

STORES = pytest.mark.parametrize(
    ("kind", "store_kind"), [("sqlite", "folder"), ("postgresql", "folder"), ("postgresql", "s3")], indirect=["kind"]
)
"""For tests of what is done with files."""


class Registry:
    """A registry over a folder and SQLite, which can go and come back at the same address."""

    def __init__(self, folder: Path, *, is_open: bool = False) -> None:
        self.folder = folder
        self.port = 0
        self._is_open = is_open
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def uploads(self) -> Path:
        return self.folder / "uploads"

    def start(self) -> None:
        service = make_service(
            RegistrySettings(
                store=str(self.folder / "store"), uploads=self.uploads, admin_key=KEY, open=self._is_open, pool_size=5
            )
        )
        listener = listen("127.0.0.1", self.port)
        self.port = listener.getsockname()[1]
        self._server = make_server(service, sync_seconds=3600, drain_seconds=0)
        self._thread = Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()
        await_true(lambda: self._server.started and service.condition.store == "ok")

    def end(self) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive()

    def new_key(self, role: str, pattern: str | None = None) -> str:
        """A key with a role."""
        asked = {"name": f"a {role}", "role": role, "pattern": pattern}
        made = urllib3.request("POST", f"{self.url}/keys", json=asked, headers={"X-API-Key": KEY})
        assert made.status == 201, made.data
        return str(made.json()["key"])

    def store(self) -> Store:
        """The store as a client sees it."""
        return open_store(self.url)


class Wire:
    """What is between client and registry: hands bytes on, and cuts connections as it is told."""

    def __init__(self, port: int) -> None:
        self.cut_down: list[int] = []
        """For each of the next connections, after how many bytes towards the client it is cut."""
        self.cut_up: list[int] = []
        """And towards the registry."""
        self.connections = 0
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                down = self.cut_down.pop(0) if self.cut_down else None
                up = self.cut_up.pop(0) if self.cut_up else None
                self._threads.append(Thread(target=self._connect, args=(client, up, down), daemon=True))
                self._threads[-1].start()

    def _connect(self, client: socket.socket, up: int | None, down: int | None) -> None:
        with client, socket.create_connection(("127.0.0.1", self._port)) as server:
            back = Thread(target=_pump, args=(server, client, down), daemon=True)
            back.start()
            _pump(client, server, up)
            back.join()

    def end(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)


class SecureWire(Wire):
    """A wire that speaks TLS with the client."""

    def __init__(self, port: int, certificate: Path, key: Path) -> None:
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate, key)
        super().__init__(port)
        self.url = self.url.replace("http:", "https:")

    def _connect(self, client: socket.socket, up: int | None, down: int | None) -> None:
        with suppress(OSError):  # a client that does not trust it hangs up
            super()._connect(self._context.wrap_socket(client, server_side=True), up, down)


class Tunnel(Wire):
    """A proxy that knows one host behind it, and notes what it is asked for."""

    def __init__(self, port: int) -> None:
        self.heads: list[bytes] = []
        super().__init__(port)

    def _connect(self, client: socket.socket, up: int | None, down: int | None) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n") and (byte := client.recv(1)):
            head += byte
        self.heads.append(head)
        client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        super()._connect(client, up, down)


def _pump(source: socket.socket, target: socket.socket, most: int | None) -> None:
    with suppress(OSError):
        while (most is None or most > 0) and (data := source.recv(65536 if most is None else min(65536, most))):
            target.sendall(data)
            most = None if most is None else most - len(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def answering(*answers: bytes, endless: bytes = b"") -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives one answer a connection, the last one for ever; its URL, and the requests that it got.

    Args:
        answers: whole ones.
        endless: goes on after each of them until the client hangs up.
    """
    requests: list[bytes] = []
    ended = Event()

    def serve() -> None:
        with suppress(OSError):
            while not ended.is_set():
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    connection.settimeout(PATIENCE_SECONDS)
                    requests.append(connection.recv(65536))
                    connection.sendall(answers[min(len(requests), len(answers)) - 1])
                    while endless:
                        connection.sendall(endless)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", requests
        ended.set()


def answer(status: str, body: bytes, *headers: str) -> bytes:
    """An answer as bytes."""
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers])
    return head.encode() + b"\r\n\r\n" + body


def await_true(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Poll until something holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it does not come true"
        time.sleep(0.01)


def await_listening(log: Path, process: subprocess.Popen[bytes]) -> str:
    """The URL at which a server listens whose port the system chose, by its log."""
    found: list[str] = []

    def listens() -> bool:
        assert process.poll() is None, log.read_text()
        found.extend(LISTENING.findall(log.read_text()))
        return bool(found)

    await_true(listens, 60)
    return found[0]


def raw(registry: Registry, method: str, path: str) -> urllib3.BaseHTTPResponse:
    """A request past the client."""
    return urllib3.request(method, registry.url + path, headers={"X-API-Key": KEY})
