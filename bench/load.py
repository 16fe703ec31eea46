"""A client that keeps connections busy: one request under way on each, the next as soon as it is answered.

One thread, raw sockets, requests made beforehand. `learn` asks each request once and reads its answer in full; from then
on an answer of the same length that begins with status 200 is taken as it is, and any other is read in full again.
"""

import gc
import os
import select
import socket
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from types import TracebackType
from typing import Protocol, Self

OK = b"HTTP/1.1 200"
PATIENCE_SECONDS = 30.0
MOST_ANSWERS = 5_000_000
"""Of one measurement, so that its memory is bounded."""


class LoadError(Exception):
    """The server did not answer as it should."""


class NotServedError(LoadError):
    """The server knows no such path."""


class Gauges(Protocol):
    """What can be read off a server."""

    def cpu(self) -> float:
        """Seconds of its core that it has used."""
        ...

    def busy(self) -> float:
        """Seconds of its core and the client's that anyone has used."""
        ...

    def memory(self) -> float:
        """MiB that are resident."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, read in full."""

    status: int
    headers: dict[str, str]
    body: bytes
    length: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of keeping a server busy for some seconds; times in seconds, latencies in milliseconds."""

    answers: int
    seconds: float
    server_cpu: float
    client_cpu: float
    busy: float
    """Of both cores, by whomever."""
    p50: float
    p99: float | None
    p999: float | None
    """None where too few answers came for it."""
    memory: float
    """MiB of the server that are resident afterwards."""

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.answers / self.seconds

    @property
    def cpu(self) -> float:
        """Microseconds of the server's core for one request."""
        return self.server_cpu / self.answers * 1e6

    @property
    def others(self) -> float:
        """The share of the two cores that neither the server nor the client used, but others."""
        return max(0.0, self.busy - self.server_cpu - self.client_cpu) / (2 * self.seconds)

    @property
    def limited_by_client(self) -> bool:
        """Whether the client had no time left while the server had: then the rate is the client's."""
        return self.client_cpu > 0.95 * self.seconds and self.server_cpu < 0.9 * self.seconds


def parse(data: bytes) -> Answer | None:
    """The answer that `data` holds, or None while some of it is missing.

    Raises:
        LoadError: if it is none, or does not say how long it is.
    """
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if not first.startswith("HTTP/1.1 ") or not headers.get("content-length", "").isdecimal():
        raise LoadError(f"found {head[:200]!r}, expected an answer with its length")
    length = int(headers["content-length"])
    if len(body) < length:
        return None
    return Answer(int(first[9:12]), headers, body[:length], len(head) + len(end) + length)


def connect(port: int, patience: float = PATIENCE_SECONDS) -> socket.socket:
    """A connection to a server of this machine, on which each step may take so many seconds."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=patience)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)  # a request fits, so that no write waits
    return connection


def ask(connection: socket.socket, request: bytes) -> Answer:
    """Send one request, and read its answer in full.

    Raises:
        LoadError: if there is none.
    """
    connection.sendall(request)
    data = b""
    while (answer := parse(data)) is None:
        more = connection.recv(1 << 20)
        if not more:
            raise LoadError("the server closed the connection")
        data += more
    return answer


def learn(port: int, requests: Sequence[bytes]) -> list[Answer]:
    """The answer to each request.

    Raises:
        NotServedError: if the server knows no such path.
        LoadError: if an answer has another status than 200.
    """
    with connect(port) as connection:
        answers = [ask(connection, request) for request in requests[:1]]
        if answers[0].status == 404:
            raise NotServedError(answers[0].body.decode("utf-8", "replace")[:200])
        answers += [ask(connection, request) for request in requests[1:]]
    for answer in answers:
        if answer.status != 200:
            raise LoadError(f"status {answer.status}: {answer.body[:200]!r}")
    return answers


class Client:
    """Connections that ask the requests in turn.

    Args:
        port: of a server on this machine.
        requests: asked in turn, over all connections.
        lengths: of the answer to each, in bytes with its head, as `learn` found them.
        connections: how many.
    """

    def __init__(self, port: int, requests: Sequence[bytes], lengths: Sequence[int], connections: int) -> None:
        self._turns = cycle(zip(requests, lengths, strict=True))
        self._size = max(lengths) + 4096
        self._sockets = [connect(port) for _ in range(connections)]
        self._poll = select.epoll()
        for each in self._sockets:
            each.setblocking(True)
            self._poll.register(each.fileno(), select.EPOLLIN)
        highest = 1 + max(each.fileno() for each in self._sockets)
        self._sent = [0] * highest
        self._expected = [0] * highest
        self._parts: dict[int, bytes] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._poll.close()
        for each in self._sockets:
            each.close()

    def run(self, seconds: float, server: Gauges) -> Measured:
        """Keep all connections busy for some seconds, then wait for what is under way, which does not count.

        Raises:
            LoadError: if an answer is not 200, or none comes.
        """
        latencies = array("q")
        gc.disable()  # nothing here makes cycles, and a collection would be measured
        try:
            stretch = Stretch(server)
            end = self._keep_busy(stretch.start + int(seconds * 1e9), latencies)
            stretch.end()
        finally:
            gc.enable()
        self._drain()
        if not latencies:
            raise LoadError(f"no answer within {seconds:g} s")
        return stretch.measured(latencies, (end - stretch.start) / 1e9)

    def _keep_busy(self, stop: int, latencies: "array[int]") -> int:
        """Ask and answer until `stop`, in nanoseconds; when it ended. Every name in the inner loop is a local one."""
        poll, read, write, now = self._poll.poll, os.read, os.write, time.perf_counter_ns
        sent, expected, size, turns, rest = self._sent, self._expected, self._size, self._turns, self._rest
        note = latencies.append
        for each in self._sockets:
            fd = each.fileno()
            request, expected[fd] = next(turns)
            sent[fd] = now()
            write(fd, request)
        at = now()
        while at < stop and len(latencies) < MOST_ANSWERS:
            events = poll(PATIENCE_SECONDS)
            if not events:
                raise LoadError(f"no answer within {PATIENCE_SECONDS:g} s")
            for fd, _ in events:
                data = read(fd, size)
                if (len(data) != expected[fd] or data[:12] != OK) and not rest(fd, data):
                    continue
                at = now()
                note(at - sent[fd])
                request, expected[fd] = next(turns)
                sent[fd] = at
                write(fd, request)
        return at

    def _rest(self, fd: int, data: bytes) -> bool:
        """Take a part of an answer, or one of another length; whether it is whole."""
        if not data:
            raise LoadError("the server closed a connection")
        whole = self._parts.get(fd, b"") + data
        answer = parse(whole)
        if answer is None:
            self._parts[fd] = whole
            return False
        self._parts.pop(fd, None)
        if answer.status != 200:
            raise LoadError(f"status {answer.status}: {answer.body[:200]!r}")
        if answer.length != len(whole):
            raise LoadError("more came than was asked for")
        return True

    def _drain(self) -> None:
        """Read what is under way on every connection."""
        waiting = {each.fileno() for each in self._sockets}
        while waiting:
            events = self._poll.poll(PATIENCE_SECONDS)
            if not events:
                raise LoadError(f"no answer within {PATIENCE_SECONDS:g} s")
            for fd, _ in events:
                data = os.read(fd, self._size)
                if (len(data) == self._expected[fd] and data[:12] == OK) or self._rest(fd, data):
                    waiting.discard(fd)


class Stretch:
    """A stretch of time in which a server is measured; it begins with the object."""

    def __init__(self, server: Gauges) -> None:
        self._server = server
        self._used = self._read()
        self.start = time.perf_counter_ns()

    def end(self) -> None:
        """Note what was used until now."""
        self._used = [now - before for now, before in zip(self._read(), self._used, strict=True)]

    def measured(self, latencies: Sequence[int], seconds: float) -> Measured:
        """What came of it, with latencies in nanoseconds."""
        ordered = sorted(latencies)
        server_cpu, client_cpu, busy = self._used
        return Measured(
            answers=len(ordered),
            seconds=seconds,
            server_cpu=server_cpu,
            client_cpu=client_cpu,
            busy=busy,
            p50=ordered[len(ordered) // 2] / 1e6,
            p99=_quantile(ordered, 0.99),
            p999=_quantile(ordered, 0.999),
            memory=self._server.memory(),
        )

    def _read(self) -> list[float]:
        return [self._server.cpu(), time.process_time(), self._server.busy()]


def _quantile(ordered: Sequence[int], share: float) -> float | None:
    """The value in milliseconds that `share` of the values do not exceed, if at least two do."""
    index = int(len(ordered) * share)
    return ordered[index] / 1e6 if len(ordered) - index > 2 else None
