"""HTTP as bytes on a socket: requests in any pieces, answers parsed strictly, and how a connection ended."""

import fcntl
import re
import select
import socket
import struct
import termios
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import msgspec
import uvicorn

PATIENCE_SECONDS = 20.0

STATUS = re.compile(rb"HTTP/1\.1 ([1-5]\d\d) [A-Za-z' -]*")
HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9a-z-]+): ([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)")


@dataclass(frozen=True)
class Reply:
    """One answer, or one that announces it (1xx)."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def closes(self) -> bool:
        return self.headers.get("connection") == "close"


class Wire:
    """A client's end of a connection. Every answer must be HTTP to the letter.

    Args:
        port: of the server.
        server: if it runs in this process; it tells which bytes it has read.
        receive_bytes: that the client's system takes before the client reads.
        patience: seconds to wait for anything.
    """

    def __init__(
        self,
        port: int,
        server: uvicorn.Server | None = None,
        *,
        receive_bytes: int | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self.socket = socket.socket()
        if receive_bytes is not None:  # before it connects, so that the window is never larger
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(patience)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server = server
        self._patience = patience
        self._sent = 0
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *pieces: bytes) -> Self:
        """Send pieces, each of which the server has read before the next is sent."""
        for i, piece in enumerate(pieces):
            self.socket.sendall(piece)
            self._sent += len(piece)
            if i < len(pieces) - 1:
                self.taken()
        return self

    def taken(self) -> Self:
        """Wait until the server has read all that was sent, or has closed."""
        end = time.monotonic() + self._patience
        while self._unread():
            assert time.monotonic() < end, "the server reads no more"
            time.sleep(0.0001)
        return self

    def other_end(self) -> Any:
        """The server's protocol object, once it has accepted, and until it has closed."""
        assert self._server is not None, "only a server in this process tells"
        mine = self.socket.getsockname()
        connections: set[Any] = {*self._server.server_state.connections}
        for connection in connections:
            if connection.client == mine and not connection.transport.is_closing():
                return connection
        return None

    def _unread(self) -> bool:
        connection = self.other_end()
        if connection is None:
            return not self._readable()  # it is accepted later, or has ended
        end = connection.transport.get_extra_info("socket")
        try:
            (come,) = struct.unpack_from("Q", end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 136), 128)
            return come < self._sent or fcntl.ioctl(end, termios.FIONREAD, bytes(4)) != bytes(4)
        except (OSError, ValueError):  # it was closed meanwhile
            return True

    def half_close(self) -> Self:
        """Send no more."""
        self.socket.shutdown(socket.SHUT_WR)
        self._sent += 1  # as TCP counts it
        return self

    def reset(self) -> None:
        """Leave by a reset, as a client that crashed."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def reply(self, method: str = "POST") -> Reply:
        """The next answer, to a request by this method."""
        match = STATUS.fullmatch(self._line())
        assert match, "no status line"
        status = int(match.group(1))
        headers: dict[str, str] = {}
        while line := self._line():
            header = HEADER.fullmatch(line)
            assert header, f"no header: {line!r}"
            name, value = header.group(1).decode(), header.group(2).decode()
            assert name not in headers, f"{name} comes twice"
            headers[name] = value
        if status < 200:
            assert not headers
            return Reply(status, headers, b"")
        assert ("content-length" in headers) != ("transfer-encoding" in headers), "no framing, or two"
        assert "date" in headers
        if method == "HEAD":
            return Reply(status, headers, b"")
        if "content-length" in headers:
            return Reply(status, headers, self._bytes(int(headers["content-length"])))
        body = b""
        while size := int(self._line(), 16):
            body += self._bytes(size)
            assert not self._line()
        assert not self._line()
        return Reply(status, headers, body)

    def replies(self, methods: Iterable[str]) -> list[Reply]:
        return [self.reply(method) for method in methods]

    def ended(self) -> str:
        """How the server ended the connection: "closed" or "reset". There may be no byte before that."""
        assert not self._buffer, f"more came: {self._buffer[:200]!r}"
        try:
            more = self.socket.recv(1000)
        except ConnectionResetError:
            return "reset"
        assert not more, f"more came: {more[:200]!r}"
        return "closed"

    def silent(self) -> bool:
        """Whether nothing has come that was not read yet, neither bytes nor an end."""
        return not self._buffer and not self._readable()

    def _readable(self) -> bool:
        return bool(select.select([self.socket], [], [], 0)[0])

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._more()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _bytes(self, size: int) -> bytes:
        parts = [self._buffer[:size]]
        self._buffer = self._buffer[size:]
        missing = size - len(parts[0])
        while missing:
            parts.append(self.socket.recv(min(missing, 65536)))
            assert parts[-1], f"ended {missing} bytes too early"
            missing -= len(parts[-1])
        return b"".join(parts)

    def _more(self) -> None:
        more = self.socket.recv(65536)
        assert more, f"ended within an answer, or before it: {self._buffer[:200]!r}"
        self._buffer += more


@contextmanager
def wires(port: int, count: int, server: uvicorn.Server | None = None) -> Iterator[list[Wire]]:
    """Many connections."""
    made: list[Wire] = []
    try:
        for _ in range(count):
            made.append(Wire(port, server))  # noqa: PERF401 - those that were made are closed if one fails
        yield made
    finally:
        for wire in made:
            wire.socket.close()


def request(
    method: str, target: str, *headers: str, body: bytes | None = None, version: str = "1.1", host: str = "x"
) -> bytes:
    """A request as most clients write it; a body brings its length."""
    lines = [f"{method} {target} HTTP/{version}", f"Host: {host}", *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def chunked(*chunks: bytes, trailer: bytes = b"") -> bytes:
    """A body in chunks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + trailer + b"\r\n"
