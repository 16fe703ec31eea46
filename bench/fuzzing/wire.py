"""Sends requests, spoiled or not, and reads what comes back; nothing is waited for longer than patience lasts."""

import socket
import time
from collections.abc import Iterator

import h11
from bench.fuzzing.judge import Judge, Response, WrongError
from bench.fuzzing.requests import UNREAD, Request

PATIENCE_SECONDS = 10.0


class HangError(WrongError):
    """Neither an answer nor the end of the connection."""


class Wire:
    """A connection that is kept, and made anew when the server closed it.

    Args:
        port: of a server on this machine.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def close(self) -> None:
        """End it."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ask(self, data: bytes, method: bytes) -> Response:
        """The answer to one request.

        Raises:
            HangError: if none comes.
            WrongError: if it is none, or the connection is closed without one.
        """
        for attempt in range(2):
            fresh = self._socket is None
            if self._socket is None:
                self._socket = connect(self._port)
            try:
                self._socket.sendall(data)
                return self._answer(method)
            except (ConnectionError, EOFError) as error:
                self.close()
                if fresh or attempt:
                    raise WrongError(f"no answer: {error!r}") from error
        raise AssertionError  # pragma: no cover - the loop returns or raises

    def _answer(self, method: bytes) -> Response:
        connection = self._socket
        if connection is None:
            raise EOFError("closed")
        data = b""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            response, rest = parse(data, bodyless=method == b"HEAD")
            if response is not None and response.status >= 200:
                if rest:
                    raise WrongError(f"more came than was asked for: {rest[:200]!r}")
                if response.headers.get(b"connection") == b"close":
                    self.close()
                return response
            if response is not None:
                data = rest
                continue
            data += receive(connection, end)


def ask(
    connection: Wire, port: int, data: bytes, judge: Judge, *, alone: bool, half_close: bool = True
) -> Iterator[Response]:
    """Send some bytes, and show the answers to a judge one by one.

    Raises:
        WrongError: if one is wrong on the face of it.
    """
    sent = requests(data)
    if not alone:
        (request,) = sent
        if request is None:
            raise WrongError("h11 does not take this request: the generator is wrong")
        response = connection.ask(data, request.method)
        judge.see(request, response, (data, False))
        yield response
        return
    responses = stream(port, data, half_close=half_close)
    for number, response in enumerate(responses):
        known = number < len(sent) or UNREAD in sent[-1:]
        request = sent[min(number, len(sent) - 1)] if known else None
        judge.see(request, response, (data, True), strict=False)
        yield response


def stream(port: int, data: bytes, *, half_close: bool) -> list[Response]:
    """All that a server answers to some bytes, until it closes the connection.

    Args:
        port: of a server on this machine.
        data: is sent.
        half_close: say that no more will come.

    Raises:
        HangError: if it neither answers nor closes.
        WrongError: if what comes is no HTTP.
    """
    received = b""
    end = time.monotonic() + PATIENCE_SECONDS
    with connect(port) as connection:
        try:
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except OSError:  # it closes early, and may have said why
            pass
        while True:
            try:
                received += receive(connection, end)
            except (EOFError, ConnectionError):
                break
    return list(_all(received))


def requests(data: bytes) -> list[Request | None]:
    """The requests in some bytes as h11 reads them, which is strict.

    The last one is `UNREAD` if h11 refuses what follows; if that is the first one, it is what a looser reading finds.
    """
    found: list[Request | None] = []
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    parser.receive_data(data)
    parser.receive_data(b"")
    try:
        while True:
            head = parser.next_event()
            if not isinstance(head, h11.Request):
                break
            body = b""
            while isinstance(event := parser.next_event(), h11.Data):
                body += event.data
            if not isinstance(event, h11.EndOfMessage):
                break
            headers = {bytes(name): bytes(value) for name, value in head.headers}
            found.append(Request(bytes(head.method), bytes(head.target), headers, body))
            parser.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
            parser.send(h11.EndOfMessage())
            if parser.their_state is not h11.DONE or parser.our_state is not h11.DONE:
                break
            parser.start_next_cycle()
    except h11.ProtocolError:
        first = None if found else _loosely(data)
        found += [UNREAD] if found else [first] if first is None else [first, UNREAD]
    return found


def _loosely(data: bytes) -> Request | None:
    """The request that a server which is less strict than h11 may find in some bytes; None if there is none at all."""
    head, _, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    words = first.split()
    if len(words) not in {2, 3}:
        return None
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    length = headers.get(b"content-length", b"")
    if b"transfer-encoding" in headers or not (length or b"0").isdigit():
        return UNREAD
    return Request(words[0], words[1], headers, body[: int(length or 0)])


def connect(port: int) -> socket.socket:
    """A connection to a server on this machine."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def receive(connection: socket.socket, end: float) -> bytes:
    """What comes next, until `end`.

    Raises:
        EOFError: if the server closes.
        HangError: if nothing comes.
    """
    connection.settimeout(max(0.001, end - time.monotonic()))
    try:
        data = connection.recv(1 << 18)
    except TimeoutError:
        raise HangError(f"neither an answer nor the end within {PATIENCE_SECONDS:g} s") from None
    if not data:
        raise EOFError("closed")
    return data


def parse(data: bytes, *, bodyless: bool = False) -> tuple[Response | None, bytes]:
    """The first answer in some bytes, None if it is not whole; and what follows.

    Raises:
        WrongError: if they are none.
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        if data[:9] != b"HTTP/1.1 "[: len(data)]:
            raise WrongError(f"no HTTP: {data[:200]!r}")
        return None, data
    first, *lines = head.split(b"\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    if not first.startswith(b"HTTP/1.1 ") or not first[9:12].isdigit():
        raise WrongError(f"no HTTP: {first[:200]!r}")
    status = int(first[9:12])
    if status < 200 or status in {204, 304}:
        return Response(status, headers, b""), rest
    if not headers.get(b"content-length", b"").isdigit():
        raise WrongError(f"an answer without its length: {head[:300]!r}")
    length = 0 if bodyless else int(headers[b"content-length"])
    if len(rest) < length:
        return None, data
    return Response(status, headers, rest[:length]), rest[length:]


def _all(data: bytes) -> Iterator[Response]:
    """All answers in what came until the end."""
    while data:
        response, rest = parse(data)
        if response is None or (rest and not rest.startswith(b"HTTP/1.1 ")):  # one to HEAD, perhaps
            response, rest = parse(data, bodyless=True)
        if response is None:
            raise WrongError(f"half an answer: {data[:300]!r}")
        if response.status >= 200:
            yield response
        data = rest
