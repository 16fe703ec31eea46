"""A load generator that counts every request, the version that answered it, and every error, with its time.

It needs nothing but Python, so the same file runs on the machine and in a pod: `python load.py URL --seconds 60` writes a
line of JSON every second and the whole result at the end, or when it gets SIGTERM or SIGINT.

Some clients keep their connection, others make a new one for each request. Nothing is ever sent twice: a request whose
answer does not come is a failure, also when the server closes a kept connection just as the request is written. Only if
the server had said `Connection: close`, or had closed before anything was written, is a connection made anew.
"""

import argparse
import asyncio
import json
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

TENTH = 0.1
"""Answers are counted by version in parts of a second so long."""

SAME_OUTAGE_SECONDS = 1.0
"""Failures that follow each other within this time are one outage."""

KEPT_FAILURES = 1000
"""So many failures are kept with their time; all are counted."""

PAUSE_AFTER_FAILURE_SECONDS = 0.02

LONGEST_NAP_SECONDS = 0.5

LOOKUP_SECONDS = 60.0
"""A host must have an address within this time."""


@dataclass(frozen=True)
class Target:
    """What to ask: a URL such as http://10.0.0.1:80/predict, and what each request holds."""

    url: str
    body: str = '{"features": [5.1, 3.5, 1.4, 0.2]}'
    host: str | None = None
    key: str | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where to connect to."""
        parts = urlsplit(self.url)
        return str(parts.hostname), parts.port or 80

    @property
    def request(self) -> bytes:
        """The bytes of one request."""
        parts = urlsplit(self.url)
        body = self.body.encode()
        head = [
            f"POST {parts.path or '/predict'} HTTP/1.1",
            f"Host: {self.host or parts.netloc}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        if self.key is not None:
            head.append(f"X-API-Key: {self.key}")
        return "\r\n".join([*head, "", ""]).encode() + body


@dataclass(frozen=True)
class Shape:
    """Who asks, how often and how long: `rate` is the requests per second of all together, 0 for as many as there can be."""

    keep_alive: int = 8
    fresh: int = 4
    rate: float = 400.0
    seconds: float = 60.0
    requests: int = 1_000_000
    timeout: float = 10.0


@dataclass(frozen=True)
class Failure:
    """A request that was not answered with a prediction. Times are Unix times in seconds."""

    begun: float
    at: float
    kind: str
    client: str
    detail: str


@dataclass
class Seen:
    """A version that answered: how often, and when first and last."""

    count: int
    first: float
    last: float


@dataclass
class Result:
    """What happened. `timeline` is by tenths of a second since `started`: how many answers of which version."""

    started: float = 0.0
    seconds: float = 0.0
    answered: int = 0
    failed: int = 0
    connections: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    versions: dict[str, Seen] = field(default_factory=dict)
    timeline: dict[int, dict[str, int]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    outage_seconds: float = 0.0
    silence_seconds: float = 0.0

    @property
    def total(self) -> int:
        """All requests."""
        return self.answered + self.failed

    def versions_between(self, start: float, end: float) -> set[str]:
        """Who answered between two Unix times; tenths of a second that lie only partly between them do not count."""
        return set(self.count_between(start, end))

    def count_between(self, start: float, end: float) -> dict[str, int]:
        """Answers by version between two Unix times; tenths of a second that lie only partly between them do not count."""
        counts: dict[str, int] = {}
        for tenth, versions in self.timeline.items():
            if self.started + tenth * TENTH >= start and self.started + (tenth + 1) * TENTH <= end:
                for version, count in versions.items():
                    counts[version] = counts.get(version, 0) + count
        return counts

    def first_after(self, time: float, version: str) -> float | None:
        """When a version answered first after a Unix time, to a tenth of a second."""
        ends = (self.started + (tenth + 1) * TENTH for tenth, versions in self.timeline.items() if version in versions)
        return min((end for end in ends if end - TENTH >= time), default=None)

    def summary(self) -> str:
        """One line for people."""
        versions = ", ".join(f"{name} {seen.count:,}" for name, seen in sorted(self.versions.items()))
        line = f"{self.failed:,} failed of {self.total:,} in {self.seconds:.1f} s ({versions or 'no answer'})"
        line += f", {self.connections:,} connections, longest silence {self.silence_seconds:.2f} s"
        if self.failed:
            kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(self.kinds.items()))
            line += f", longest outage {self.outage_seconds:.2f} s: {kinds}"
        return line

    def to_json(self) -> str:
        """One line for programs."""
        return json.dumps({"done": True, **asdict(self)})

    @classmethod
    def from_json(cls, line: str) -> "Result":
        """What `to_json` wrote."""
        read = json.loads(line)
        del read["done"]
        read["versions"] = {name: Seen(**seen) for name, seen in read["versions"].items()}
        read["timeline"] = {int(tenth): versions for tenth, versions in read["timeline"].items()}
        read["failures"] = [Failure(**failure) for failure in read["failures"]]
        return cls(**read)


class CutError(Exception):
    """The connection ended without a whole answer."""


class AnswerError(Exception):
    """An answer that is no prediction."""


class Load:
    """One run of the load."""

    def __init__(self, target: Target, shape: Shape) -> None:
        self.result = Result()
        self._address = target.address
        self._request = target.request
        self._shape = shape
        self._stop = asyncio.Event()
        self._last_answer = 0.0
        self._outage = (0.0, 0.0)

    def stop(self) -> None:
        """End after the requests that are under way."""
        self._stop.set()

    async def run(self, progress: Callable[[Result], None] | None = None) -> Result:
        """Ask until `stop`, or until the shape's time or number of requests is over."""
        shape, result = self._shape, self.result
        self._address = await look_up(*self._address)
        result.started = self._last_answer = time.time()
        clients = shape.keep_alive + shape.fresh
        interval = clients / shape.rate if shape.rate else 0.0
        async with asyncio.TaskGroup() as tasks:
            for number in range(clients):
                kept = number < shape.keep_alive
                tasks.create_task(self._ask_often(kept=kept, delay=interval * number / clients, interval=interval))
            while not self._stop.is_set():
                left = result.started + shape.seconds - time.time()
                if left <= 0 or result.total >= shape.requests:
                    self.stop()
                    break
                try:
                    async with asyncio.timeout(min(left, 1.0)):
                        await self._stop.wait()
                except TimeoutError:
                    if progress is not None:
                        progress(result)
        result.seconds = time.time() - result.started
        result.silence_seconds = max(result.silence_seconds, time.time() - self._last_answer)
        return result

    async def _ask_often(self, *, kept: bool, delay: float, interval: float) -> None:
        client = Client(self._address, self.result)
        due = time.monotonic() + delay
        while not self._stop.is_set():
            wait = due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(min(wait, LONGEST_NAP_SECONDS))
                continue
            due = max(due + interval, time.monotonic())
            await self._ask_once(client, "keep-alive" if kept else "fresh")
            if not kept:
                client.close()
            if self.result.total >= self._shape.requests:
                self.stop()
        client.close()

    async def _ask_once(self, client: "Client", name: str) -> None:
        begun = time.time()
        try:
            async with asyncio.timeout(self._shape.timeout):
                version = await client.ask(self._request)
        except (OSError, CutError, AnswerError, TimeoutError) as error:
            self._note_failure(Failure(begun, time.time(), kind_of(error, client), name, str(error)))
            client.close()
            await asyncio.sleep(PAUSE_AFTER_FAILURE_SECONDS)
        else:
            self._note_answer(version)

    def _note_answer(self, version: str) -> None:
        now, result = time.time(), self.result
        result.answered += 1
        seen = result.versions.setdefault(version, Seen(0, now, now))
        seen.count += 1
        seen.last = now
        tenth = result.timeline.setdefault(int((now - result.started) / TENTH), {})
        tenth[version] = tenth.get(version, 0) + 1
        result.silence_seconds = max(result.silence_seconds, now - self._last_answer)
        self._last_answer = now

    def _note_failure(self, failure: Failure) -> None:
        result = self.result
        result.failed += 1
        result.kinds[failure.kind] = result.kinds.get(failure.kind, 0) + 1
        if len(result.failures) < KEPT_FAILURES:
            result.failures.append(failure)
        start, end = self._outage
        start = failure.begun if failure.begun - end > SAME_OUTAGE_SECONDS else min(start, failure.begun)
        self._outage = (start, failure.at)
        result.outage_seconds = max(result.outage_seconds, failure.at - start)


class Client:
    """One connection at a time, made when it is needed."""

    def __init__(self, address: tuple[str, int], result: Result) -> None:
        self.connecting = False
        self._address = address
        self._result = result
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> str:
        """Send a request; the version that answered it.

        Raises:
            OSError: if there is no connection, or it is reset.
            CutError: if it is closed before the answer is complete.
            AnswerError: if the answer is no prediction.
        """
        if self._streams is not None:
            reader, writer = self._streams
            if reader.at_eof() or reader.exception() is not None:  # closed before anything was written
                self.close()
        if self._streams is None:
            self.connecting = True
            self._streams = await asyncio.open_connection(*self._address)
            self._result.connections += 1
            self.connecting = False
        reader, writer = self._streams
        writer.write(request)
        await writer.drain()
        status, closes, body = await read_answer(reader)
        if closes:
            self.close()
        if status != 200:
            raise AnswerError(f"status {status}", body[:300].decode(errors="replace"))
        try:
            return str(json.loads(body)["model_version"])
        except (ValueError, KeyError, TypeError) as error:
            raise AnswerError("no prediction", body[:300].decode(errors="replace")) from error

    def close(self) -> None:
        """Let go of the connection."""
        self.connecting = False
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def look_up(host: str, port: int) -> tuple[str, int]:
    """The address of a host, asked for once: a busy cluster's DNS loses packets, and a resolver takes 5 s to ask again.

    Raises:
        TimeoutError: if there is none within `LOOKUP_SECONDS`.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(LOOKUP_SECONDS):
        while True:
            try:
                found = await loop.getaddrinfo(host, port, family=socket.AF_INET, type=socket.SOCK_STREAM)
            except socket.gaierror:
                await asyncio.sleep(PAUSE_AFTER_FAILURE_SECONDS)
            else:
                address, number = found[0][4][:2]
                return str(address), int(number)


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bool, bytes]:
    """Status, whether the server closes the connection, and body.

    Raises:
        CutError: if the connection ends before.
        AnswerError: if the answer is not HTTP/1.1 with a length.
    """
    head = b""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        if not lines[0].startswith("HTTP/1.1 ") or not headers.get("content-length", "").isdecimal():
            raise AnswerError("not understood", lines[0])
        body = await reader.readexactly(int(headers["content-length"]))
    except asyncio.IncompleteReadError as error:
        raise CutError("within the answer" if head or error.partial else "before the answer") from error
    except asyncio.LimitOverrunError as error:
        raise AnswerError("not understood", "an endless head") from error
    return int(lines[0].split()[1]), headers.get("connection", "").lower() == "close", body


def kind_of(error: Exception, client: Client) -> str:
    """What to call a failure."""
    match error:
        case AnswerError():
            return str(error.args[0])
        case CutError():
            return "cut"
        case ConnectionRefusedError():
            return "refused"
        case TimeoutError():
            return "connect timeout" if client.connecting else "timeout"
        case ConnectionResetError() | BrokenPipeError():
            return "reset"
    return "unreachable"


def write_progress(result: Result) -> None:
    """A line for who waits for the load to be under way."""
    sys.stdout.write(json.dumps({"done": False, "answered": result.answered, "failed": result.failed}) + "\n")
    sys.stdout.flush()


async def run(target: Target, shape: Shape) -> Result:
    """Run the load until SIGTERM or SIGINT, or until it is over."""
    load = Load(target, shape)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, load.stop)
    return await load.run(write_progress)


def main() -> None:
    """The command line: options are the fields of Target and Shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    defaults: dict[str, Any] = {**vars(Target("")), **vars(Shape())}
    del defaults["url"]
    for name, default in defaults.items():
        kind = str if default is None else type(default)
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=default)
    options = vars(parser.parse_args())
    target = Target(**{name: options.pop(name) for name in ("url", "body", "host", "key")})
    sys.stdout.write(asyncio.run(run(target, Shape(**options))).to_json() + "\n")


if __name__ == "__main__":
    main()
