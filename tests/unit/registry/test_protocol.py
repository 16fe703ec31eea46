"""What one connection may take before it has shown a key."""

import socket

import pytest
from httpx import Client

from mlplat.registry import protocol

pytestmark = pytest.mark.parametrize("kind", ["sqlite"], indirect=True)  # no database is asked for anything


def connect(client: Client) -> socket.socket:
    return socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=30)


def answer(connection: socket.socket) -> bytes:
    received = b""
    while data := connection.recv(65536):
        received += data
    return received


@pytest.mark.parametrize("header", [b"X: " + b"x" * 300, b"x" * 300 + b": x"])
def test_many_headers_are_refused(client: Client, header: bytes) -> None:
    with connect(client) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n" + (header + b"\r\n") * 200 + b"\r\n")
        assert answer(connection).startswith(b"HTTP/1.1 400")


def test_a_header_without_end_is_refused(client: Client) -> None:
    with connect(client) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX: ")
        with pytest.raises(OSError, match=r"reset|pipe"):
            connection.sendall(bytes([120]) * (512 << 20))


def test_a_head_that_does_not_arrive_is_not_waited_for(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.1)
    for start in (b"", b"GET /health HTTP/1.1\r\n", b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET"):
        with connect(client) as connection:
            connection.sendall(start)
            try:
                answer(connection)
            except ConnectionResetError:
                continue


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
