"""More than the server can do: how much of what it can do it still does, and what the rest is told.

The server has one core, the client another one. First the peak is measured, with as many requests as it takes on a few
connections. Then requests arrive at random (Poisson) at a multiple of that rate, whether or not earlier ones were answered;
times are from when a request was to be sent. Then the peak is measured again, as a shared machine is not as fast all the time,
and so on in turn; a goodput is compared with the mean of the peaks before and after it. Then /health is asked while one
prediction takes 10 s, and last, all connections ask a fast model at once. Exit 0 if every goal is met.

    python bench/overload.py                                     1x, 2x, 10x; 2000 connections: 7 minutes
    python bench/overload.py --connections 100 --factors 10      one of them
"""

import argparse
import os
import random
import resource
import select
import signal
import socket
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Self

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `bench`, when this file is run by its path

from bench.load import Client, LoadError, ask, connect, learn, parse
from bench.questions import Protocol, compact, flowers, get, post, question
from bench.servers import Cores, Server, mlplat

COLUMNS = 20
TREES = 1000
FEW_ROWS = 8
WARM_SECONDS = 0.5
PEAK_CONNECTIONS = 64
PROBES = {"/health": 0.1, "/metrics": 1.0}
"""How often each is asked, in seconds; on a new connection, as a kubelet and Prometheus do."""
CALM_FACTOR = 0.5
GOODPUT = 0.9
"""Of the peak, at any load beyond it."""
PROBE_SECONDS = 1.0
"""A kubelet gives a probe so long."""
LATE = 1.1
"""So many times the deadline is the most that a 503 may take, as some are sent when it passes."""
SLOW_SECONDS = 10.0
SLOW_LAYERS = "4096,4096"
SLOW_LIMITS = ["--max-rows", "100000", "--deadline-seconds", "60"]
HEALTH_SECONDS = 0.05
"""/health is answered within this time while one prediction takes `SLOW_SECONDS`."""
BURSTS = 5


@dataclass(slots=True)
class Sent:
    """A request under way on a connection."""

    due: float
    kind: str


@dataclass
class Outcome:
    """What came of a stretch of load; times in seconds, from when a request was to be sent."""

    seconds: float
    offered: int = 0
    unsent: int = 0
    """Given up by the client, as no connection was free within the deadline."""
    late: int = 0
    """Answered by 200 after the deadline."""
    without_retry_after: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    times: dict[str, list[float]] = field(default_factory=dict)
    """By status or probe."""
    by_second: dict[int, Counter[int]] = field(default_factory=dict)
    meanwhile: int = 0
    """Answered by 200 in time, and in the second half of the load: the queue has filled then, and none is drained."""

    def note(self, name: str, seconds: float) -> None:
        """Keep a time."""
        self.times.setdefault(name, []).append(seconds)

    def quantile(self, name: str, share: float) -> float:
        """Milliseconds; 0 if there were none."""
        ordered = sorted(self.times.get(name, [0.0]))
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))]

    @property
    def goodput(self) -> float:
        """Requests a second that were answered by 200 within the deadline."""
        return (self.statuses[200] - self.late) / self.seconds

    @property
    def steady(self) -> float:
        """The same of those that were answered in the second half of the load."""
        return 2 * self.meanwhile / self.seconds


class Open:
    """Connections over which requests are sent when they are due, not when the ones before are answered.

    There must be more of them than requests that wait at any time, or this is not what it is: what is `unsent` shows it.
    The client never sleeps: to wake it would be the server's work, where both are on one machine.

    Args:
        port: of the server.
        connections: how many.
        questions: are sent in turn.
    """

    def __init__(self, port: int, connections: int, questions: Sequence[bytes]) -> None:
        self._port = port
        self._questions = questions
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._free: deque[int] = deque()
        self._under_way: dict[int, Sent] = {}
        self._parts: dict[int, bytes] = {}
        for _ in range(connections):
            fd = self._connect()
            ask(self._sockets[fd], get("/health"))  # so that the server has taken it
            self._free.append(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._poll.close()
        for each in self._sockets.values():
            each.close()

    def run(self, rate: float, seconds: float, deadline: float, seed: int) -> Outcome:
        """Let requests arrive at random for some seconds, then wait for what is under way."""
        rng = random.Random(seed)
        outcome = Outcome(seconds)
        start = time.perf_counter()
        end = start + seconds
        due = start + rng.expovariate(rate)
        probes = {"/health": start, "/metrics": start}
        waiting: deque[float] = deque()
        number = 0
        while True:
            now = time.perf_counter()
            while due <= now and due < end:
                waiting.append(due)
                outcome.offered += 1
                due += rng.expovariate(rate)
            while waiting and waiting[0] < now - deadline:
                waiting.popleft()
                outcome.unsent += 1
            while waiting and self._free:
                number += 1
                self._send(self._free.popleft(), self._questions[number % len(self._questions)], waiting.popleft(), "")
            for path, at in probes.items():
                if at <= now < end:
                    self._send(self._connect(), get(path), now, path)
                    probes[path] = now + PROBES[path]
            if now >= end and not self._under_way and not waiting:
                return outcome
            if now > end + deadline + 30:
                raise LoadError(f"{len(self._under_way)} requests are without an answer 30 s after their deadline")
            for fd, _ in self._poll.poll(0):
                self._read(fd, start, deadline, outcome)

    def _connect(self) -> int:
        connection = socket.create_connection(("127.0.0.1", self._port), timeout=10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sockets[connection.fileno()] = connection
        self._poll.register(connection.fileno(), select.EPOLLIN)
        return connection.fileno()

    def _send(self, fd: int, request: bytes, due: float, kind: str) -> None:
        self._under_way[fd] = Sent(due, kind)
        os.write(fd, request)

    def _read(self, fd: int, start: float, deadline: float, outcome: Outcome) -> None:
        data = os.read(fd, 1 << 18)
        now = time.perf_counter()
        if not data:
            raise LoadError("the server closed a connection")
        answer = parse(self._parts.pop(fd, b"") + data)
        if answer is None:
            self._parts[fd] = data
            return
        sent = self._under_way.pop(fd)
        took = now - sent.due
        if sent.kind:
            self._poll.unregister(fd)
            self._sockets.pop(fd).close()
            outcome.note(sent.kind, took)
            if answer.status != 200:
                raise LoadError(f"{sent.kind}: status {answer.status}")
            return
        self._free.append(fd)
        outcome.statuses[answer.status] += 1
        outcome.note(str(answer.status), took)
        outcome.late += answer.status == 200 and took > deadline
        outcome.meanwhile += answer.status == 200 and took <= deadline and 0.5 < (now - start) / outcome.seconds <= 1.0
        outcome.without_retry_after += answer.status == 503 and "retry-after" not in answer.headers
        outcome.by_second.setdefault(int(sent.due - start), Counter())[answer.status] += 1


def train(folder: Path) -> None:
    """Publish a forest whose runs take milliseconds, one whose runs take microseconds, and a network of a millisecond a row."""
    rng = random.Random(0)
    lines = [",".join([*(f"x{number}" for number in range(COLUMNS)), "y"])]
    for _ in range(3000):
        row = [rng.gauss(0, 1) for _ in range(COLUMNS)]
        label = "yes" if sum(row[:5]) + rng.gauss(0, 1) > 0 else "no"
        lines.append(",".join([*(f"{value:.3f}" for value in row), label]))
    (folder / "heavy.csv").write_text("\n".join(lines) + "\n")
    words = ["--param", f"n_estimators={TREES}", "--param", "max_depth=10", "--jobs", "2"]
    mlplat(
        "train", "--recipe", "tabular", "--model", "heavy", "--version", "v1", "--target", "y", "--data",
        str(folder / "heavy.csv"), *words,
    )  # fmt: skip
    mlplat("train", "--recipe", "iris", "--version", "fast")
    layers = ["--param", "estimator=mlp", "--param", f"hidden_layer_sizes={SLOW_LAYERS}", "--param", "max_iter=1"]
    mlplat("train", "--recipe", "iris", "--version", "slow", *layers)


def questions(rows: int, headers: dict[str, str]) -> list[bytes]:
    """Requests of so many rows each."""
    rng = random.Random(1)
    bodies = [[[round(rng.gauss(0, 1), 3) for _ in range(COLUMNS)] for _ in range(rows)] for _ in range(32)]
    return [post("/predict", compact({"features": body}), headers) for body in bodies]


def peak_of(server: Server, asked: list[bytes], seconds: float) -> float:
    """Requests a second with `PEAK_CONNECTIONS` connections that are always busy."""
    lengths = [answer.length for answer in learn(server.port, asked)]
    with Client(server.port, asked, lengths, PEAK_CONNECTIONS) as client:
        client.run(WARM_SECONDS, server)
        return client.run(seconds, server).rate


def rows_for(server: Server, seconds: float) -> int:
    """So many rows that a request takes so long where many are answered."""
    rows = FEW_ROWS
    for _ in range(3):  # a request takes some time besides its rows
        rows = max(1, round(rows * seconds * peak_of(server, questions(rows, {}), 1.0)))
    return rows


def judge(factor: float, outcome: Outcome, deadline: float) -> list[str]:
    """What of a stretch is not as it should be, besides its goodput."""
    problems = []
    if set(outcome.statuses) - {200, 503}:
        problems.append(f"statuses {dict(outcome.statuses)}")
    if outcome.without_retry_after:
        problems.append(f"{outcome.without_retry_after} times 503 without Retry-After")
    if outcome.quantile("503", 1.0) > 1000 * deadline * LATE:
        problems.append("a 503 came after its deadline")
    problems += [
        f"{path} took {outcome.quantile(path, 1.0):.0f} ms"
        for path in ("/health", "/metrics")
        if outcome.quantile(path, 1.0) > 1000 * PROBE_SECONDS
    ]
    return [f"{factor:g}x: {problem}" for problem in problems]


def ask_slowly(command: list[str], cores: Cores, folder: Path) -> list[str]:
    """Ask /health a hundred times a second while one prediction takes long; what is not as it should be."""
    with ExitStack() as stack:
        server = stack.enter_context(
            Server(command, get("/ready"), cores=cores, log=folder / "slow.log", environment={})
        )
        slow, probe = (stack.enter_context(connect(server.port, 10 * SLOW_SECONDS)) for _ in range(2))
        block = flowers(500)
        start = time.perf_counter()
        ask(slow, question(Protocol.V2_BINARY, "iris", block))
        blocks = round(SLOW_SECONDS / (time.perf_counter() - start))
        slow.sendall(question(Protocol.V2_BINARY, "iris", block * blocks))
        start = time.perf_counter()
        outcome = Outcome(SLOW_SECONDS)
        while not select.select([slow], [], [], 0.01)[0]:
            asked = time.perf_counter()
            ask(probe, get("/health"))
            outcome.note("/health", time.perf_counter() - asked)
        took = time.perf_counter() - start
        status = ask(slow, b"").status
    longest = outcome.quantile("/health", 1.0)
    print(
        f"/health while a prediction of {blocks * len(block):,} rows took {took:.1f} s: {len(outcome.times['/health'])} times, "
        f"p50 {outcome.quantile('/health', 0.5):.1f}, p99 {outcome.quantile('/health', 0.99):.1f}, longest {longest:.1f} ms",
        flush=True,
    )
    problems = [] if status == 200 else [f"the slow prediction was answered by {status}"]
    if longest > 1000 * HEALTH_SECONDS:
        problems.append(f"/health took {longest:.0f} ms while a prediction took {took:.1f} s")
    return problems


def ask_at_once(command: list[str], connections: int, cores: Cores, folder: Path) -> list[str]:
    """Let each of many connections ask a fast model at once, a few times; what is not as it should be."""
    statuses: Counter[int] = Counter()
    asked = post("/predict", compact({"features": [5.1, 3.5, 1.4, 0.2]}))
    with ExitStack() as stack:
        server = stack.enter_context(
            Server(command, get("/ready"), cores=cores, log=folder / "fast.log", environment={})
        )
        clients = [stack.enter_context(connect(server.port)) for _ in range(connections)]
        for client in clients:
            ask(client, get("/health"))
        for _ in range(BURSTS):
            server.pause()  # so that all is there when it reads
            for client in clients:
                client.sendall(asked)
            server.resume()
            statuses.update(ask(client, b"").status for client in clients)
    print(f"a fast model, {BURSTS} times {connections} requests at once: {dict(statuses)}", flush=True)
    return [] if set(statuses) == {200} else [f"a fast model answered {dict(statuses)}"]


def show(name: str, outcome: Outcome, peak: float, memory: float) -> None:
    """A line of the table."""
    lost = f", {outcome.unsent:,} not sent for want of a connection" if outcome.unsent else ""
    late = f", {outcome.late} of them late" if outcome.late else ""
    print(
        f"{name}: offered {outcome.offered / outcome.seconds:,.0f}/s; goodput {outcome.goodput:,.0f}/s, "
        f"{outcome.goodput / peak:.0%} of the peak; 200: {outcome.statuses[200]:,}{late} "
        f"(p50 {outcome.quantile('200', 0.5):.0f}, p99 {outcome.quantile('200', 0.99):.0f} ms), "
        f"503: {outcome.statuses[503]:,} (p50 {outcome.quantile('503', 0.5):.0f}, p99 "
        f"{outcome.quantile('503', 0.99):.0f}, longest {outcome.quantile('503', 1.0):.0f} ms){lost}; "
        f"/health p50 {outcome.quantile('/health', 0.5):.1f}, longest {outcome.quantile('/health', 1.0):.0f} ms; "
        f"/metrics longest {outcome.quantile('/metrics', 1.0):.0f} ms; {memory:.0f} MiB",
        flush=True,
    )


def recovery(outcome: Outcome) -> int | None:
    """The first second from which on all are answered by 200."""
    odd = [second for second, statuses in outcome.by_second.items() if set(statuses) != {200}]
    return max(odd, default=-1) + 1


def overload(server: Server, rows: int, header: float | None, factor: float, options: argparse.Namespace) -> list[str]:
    """Offer a multiple of the peak, and measure the peak, in turn; what is not as it should be."""
    problems: list[str] = []
    deadline = options.deadline if header is None else header
    plain = questions(rows, {})
    asked = plain if header is None else questions(rows, {"X-Request-Timeout": str(header)})
    shares: list[float] = []
    steady: list[float] = []
    before = peak_of(server, plain, options.seconds / 2)
    for number in range(options.rounds):
        with Open(server.port, options.connections, asked) as load:
            outcome = load.run(factor * before, options.seconds, deadline, number)
            memory = server.memory()
            calm = load.run(CALM_FACTOR * before, 3, deadline, 0)
        after = peak_of(server, plain, options.seconds / 2)
        peak = (before + after) / 2
        show(f"{factor:g}x", outcome, peak, memory)
        problems += judge(factor, outcome, deadline)
        if (seconds := recovery(calm)) != 0:
            problems.append(f"after {factor:g}x: all is answered by 200 from second {seconds} on only")
        shares.append(outcome.goodput / (min(1.0, factor) * peak))
        steady.append(outcome.steady / (min(1.0, factor) * peak))
        before = after
    print(
        f"{factor:g}x: goodput {median(shares):.0%} of the peak ({min(shares):.0%} to {max(shares):.0%}); of what was "
        f"answered in the second half of the load alone {median(steady):.0%} ({min(steady):.0%} to {max(steady):.0%})",
        flush=True,
    )
    if median(shares) < GOODPUT:
        problems.append(f"{factor:g}x: goodput is {median(shares):.0%} of the peak")
    return problems


def run(options: argparse.Namespace, folder: Path) -> int:
    """Train, serve, measure; 0 if all is as it should be."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    os.environ |= {"MLPLAT_STORE": str(folder / "store"), "MLPLAT_CACHE": str(folder / "cache")}
    train(folder)
    cores = Cores()
    os.sched_setaffinity(0, {cores.client})
    problems: list[str] = []
    serve = [sys.executable, "-m", "mlplat", "serve", "--host", "127.0.0.1", "--port", "{port}"]
    command = [*serve, "--model", "heavy", "--version", "v1", "--deadline-seconds", str(options.deadline)]
    with Server(command, get("/ready"), cores=cores, log=folder / "log", environment={}) as server:
        before = server.memory()
        rows = rows_for(server, options.cost / 1000)
        for header in (None, options.header):
            print(
                f"deadline {header or options.deadline:g} s by {'setting' if header is None else 'header'}: requests of "
                f"{rows} rows; the peak is that of {PEAK_CONNECTIONS} connections, the rest has {options.connections}",
                flush=True,
            )
            for factor in options.factors if header is None else options.factors[-1:]:
                problems += overload(server, rows, header, factor, options)
        after = server.memory()
        print(f"resident: {before:.0f} MiB before, {after:.0f} MiB after")
        if after > before + 100:
            problems.append(f"memory grew by {after - before:.0f} MiB")
    iris = [*serve, "--model", "iris", "--version"]
    problems += ask_slowly([*iris, "slow", *SLOW_LIMITS], cores, folder)
    problems += ask_at_once([*iris, "fast"], options.connections, cores, folder)
    print(*problems or ["all goals are met"], sep="\n")
    return 1 if problems else 0


def main() -> int:
    """Run what is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--factors", type=float, nargs="+", default=[1.0, 2.0, 10.0], help="of the peak")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each load")
    parser.add_argument("--rounds", type=int, default=5, help="how often the peak and a load are measured in turn")
    parser.add_argument("--cost", type=float, default=5.0, help="milliseconds that a request takes, about")
    parser.add_argument("--deadline", type=float, default=2.0, help="seconds, by setting")
    parser.add_argument("--header", type=float, default=1.0, help="seconds, by X-Request-Timeout, in the last part")
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="bench-overload-") as name:
        return run(parser.parse_args(), Path(name))


if __name__ == "__main__":
    sys.exit(main())
