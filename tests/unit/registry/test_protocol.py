"""What one connection may take before it has shown a key."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from httpx import Client
from tests.registries import await_true

from mlplat.registry import protocol

from .routes.uploading import parts

pytestmark = pytest.mark.parametrize("kind", ["sqlite"], indirect=True)  # no database is asked for anything


def connect(client: Client) -> socket.socket:
    return socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=30)


def answer(connection: socket.socket) -> bytes:
    received = b""
    while data := connection.recv(65536):
        received += data
    return received


def send_on(connection: socket.socket, block: bytes, count: int) -> None:
    for _ in range(count):
        connection.sendall(block)


def await_cut(connection: socket.socket) -> None:
    """Dribble a body until the connection is cut, within 30 s."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        connection.sendall(b"1\r\nx\r\n")


@pytest.mark.parametrize("header", [b"X: " + b"x" * 300, b"x" * 300 + b": x"])
def test_many_headers_are_refused(client: Client, header: bytes) -> None:
    with connect(client) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n" + (header + b"\r\n") * 100)
        connection.sendall((header + b"\r\n") * 10 + b"\r\n")  # come at once: what is left unread would cut the answer
        assert answer(connection).startswith(b"HTTP/1.1 400")


def test_a_header_without_end_is_refused(client: Client) -> None:
    with connect(client) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX: ")
        with pytest.raises(OSError, match=r"reset|pipe"):
            send_on(connection, b"x" * (1 << 20), 512)


def test_a_head_that_does_not_arrive_is_not_waited_for(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.1)
    for start in (b"", b"GET /health HTTP/1.1\r\n", b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET"):
        with connect(client) as connection, suppress(ConnectionError):
            connection.sendall(start)
            answer(connection)


CHUNKED = b"GET /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
LONG = b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n"


@pytest.mark.parametrize(
    ("start", "block"),
    [
        pytest.param(CHUNKED + b"0\r\n", b"X: " + b"x" * 1000 + b"\r\n", id="trailers"),
        pytest.param(CHUNKED + b"0\r\n", b"a:\r\n" * 1000, id="small trailers"),
        pytest.param(CHUNKED + b"0\r\nX: ", b"x" * 1000, id="a trailer"),
        pytest.param(CHUNKED + b"1;x=", b"x" * 1000, id="an extension of a chunk"),
        pytest.param(CHUNKED, b"3e8\r\n" + b"x" * 1000 + b"\r\n", id="chunks of what is answered"),
        pytest.param(LONG, b"x" * 1000, id="a body of what is answered"),
    ],
)
def test_what_does_not_end_is_cut(client: Client, start: bytes, block: bytes) -> None:
    with connect(client) as connection:
        connection.sendall(start)
        with pytest.raises(OSError, match=r"reset|pipe"):
            send_on(connection, block * 1000, (64 << 20) // (len(block) * 1000))


def test_a_trailer_is_no_header(client: Client) -> None:
    with connect(client) as connection:
        connection.sendall(CHUNKED + b"0\r\nX-Request-Id: sent-late\r\n\r\n")
        received = b""
        while not received.endswith(b'{"status":"ok"}'):
            received += connection.recv(65536)
    assert b"sent-late" not in received


def test_a_body_that_does_not_get_on_is_not_waited_for(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "BODY_SECONDS", 0.1)
    monkeypatch.setattr(protocol, "LEFT_BYTES", 1 << 60)
    with connect(client) as connection:
        connection.sendall(CHUNKED)
        with pytest.raises(OSError, match=r"reset|pipe"):
            await_cut(connection)


def test_an_upload_that_gets_on_may_take_longer(
    client: Client, draft: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[bool] = []
    real = protocol.LimitedProtocol._look

    def look(connection: protocol.LimitedProtocol) -> None:
        """On a busy machine nothing may have come since the last look: wait on then."""
        if connection._grew:
            looked.append(True)
            real(connection)
        else:
            connection._late = connection.loop.call_later(protocol.BODY_SECONDS, connection._look)

    monkeypatch.setattr(protocol, "BODY_SECONDS", 0.05)
    monkeypatch.setattr(protocol.LimitedProtocol, "_look", look)
    made = client.build_request("POST", "/models/iris/versions", files=parts(draft("v1")))

    def slowly() -> Iterator[bytes]:
        body = made.read()
        step = len(body) // 5 + 1
        for start in range(0, len(body), step):
            before = len(looked)
            yield body[start : start + step]
            await_true(lambda before=before: len(looked) > before)  # type: ignore[misc]

    headers = {"Content-Type": made.headers["content-type"]}
    assert client.post("/models/iris/versions", content=slowly(), headers=headers).status_code == 201
    assert len(looked) >= 5


def test_a_connection_is_kept_for_many_requests(client: Client) -> None:
    with connect(client) as connection:
        for _ in range(100):
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 1000 + b"\r\n\r\n")
            received = b""
            while not received.endswith(b'{"status":"ok"}'):
                received += connection.recv(65536)
            assert received.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nA\nB: x\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused(client: Client, data: bytes) -> None:
    with connect(client) as connection:
        connection.sendall(data)
        assert answer(connection).startswith(b"HTTP/1.1 400")
