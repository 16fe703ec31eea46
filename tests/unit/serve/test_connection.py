"""A connection over real sockets: heads that are known, who is told what, and the hooks that it has in uvicorn."""

import asyncio
import inspect
import json
import math
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from tests.wire import Reply, Wire, chunked, request
from uvicorn.lifespan.on import LifespanOn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import HANDLED_SIGNALS, ServerState

from mlplat.errors import MlplatError
from mlplat.serve.calm import Calm
from mlplat.serve.connection import Connection
from mlplat.serve.exchange import Exchange
from mlplat.serve.heads import MOST_HEAD_BYTES, MOST_HEADS, Heads
from mlplat.serve.limits import LINGER_SECONDS, MOST_AT_ONCE, MOST_PIECES_AT_ONCE, PART_BYTES, ConnectionLimits
from mlplat.serve.protocols import Answer
from mlplat.serve.targets import Targets

from .conftest import PATIENCE_SECONDS, Running, Start, held, poll

SETOSA = b'{"features":[5.1,3.5,1.4,0.2]}'
VIRGINICA = b'{"features":[6.7,3.0,5.2,2.3]}'


def ask(body: bytes, *headers: str, path: str = "/predict", version: str = "1.1") -> bytes:
    return request("POST", path, "Content-Type: application/json", *headers, body=body, version=version)


def told(reply: Reply) -> Any:
    assert reply.status == 200, reply
    return reply.json["prediction"]


class Parsed:
    """Counts the requests that the parser has read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        complete = Connection.on_headers_complete

        def counting(connection: Connection) -> None:
            self.count += 1
            complete(connection)

        monkeypatch.setattr(Connection, "on_headers_complete", counting)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Parsed:
    return Parsed(monkeypatch)


@pytest.fixture
def forgetful(iris: Running) -> Running:
    """A server that knows no head yet."""
    heads = service_of(iris).heads
    for kept in (heads._known, heads._alike, heads._met):
        kept.clear()
    return iris


def service_of(running: Running) -> Any:
    make: Any = running.server.config.http
    return make.args[0]


class TestKnownHeads:
    """The third request with the same head is answered without the parser, and nobody can tell."""

    def test_the_parser_reads_it_twice(self, forgetful: Running, parsed: Parsed) -> None:
        with Wire(forgetful.port) as wire:
            for _ in range(10):
                assert told(wire.send(ask(SETOSA)).reply()) == "setosa"
        assert parsed.count == 2
        with Wire(forgetful.port) as another:
            assert told(another.send(ask(VIRGINICA)).reply()) == "virginica"
        assert parsed.count == 2

    def test_its_answers_are_the_same_in_every_byte(self, forgetful: Running) -> None:
        answers = []
        with Wire(forgetful.port) as wire:
            for body in [SETOSA] * 3 + [VIRGINICA] * 3 + [b" " * 30] * 3 + [b"{" * 30] * 3 + [SETOSA] * 3:
                reply = wire.send(ask(body)).reply()
                found = reply.json
                found.pop("timestamp", "")
                answers.append((reply.status, {**reply.headers, "date": ""}, json.dumps(found)))
        for i in range(0, 15, 3):
            assert answers[i] == answers[i + 1] == answers[i + 2]
        assert answers[0] == answers[12]
        assert [status for status, _, _ in answers[::3]] == [200, 200, 400, 400, 200]

    def test_bodies_may_be_of_any_length(self, forgetful: Running, parsed: Parsed) -> None:
        bodies = [SETOSA + b" " * i for i in range(20)]
        for name in ("Content-Length", "content-length"):
            before = parsed.count
            for body in bodies:
                with Wire(forgetful.port) as wire:
                    known = ask(body).replace(b"Content-Length", name.encode())
                    assert told(wire.send(known).reply()) == "setosa"
                    assert told(wire.send(known.replace(b": %d" % len(body), b": 0%d" % len(body))).reply()) == "setosa"
            assert parsed.count == before + 2

    def test_a_known_head_may_come_with_a_length_that_is_none(self, forgetful: Running) -> None:
        with Wire(forgetful.port) as wire:
            for _ in range(3):
                assert told(wire.send(ask(SETOSA)).reply()) == "setosa"
        length = b": %d\r\n" % len(SETOSA)
        lengths = [b"+30", b"-1", b"", b" ", b"3 0", b"0x1e", b"30, 30", b"9" * 30, b"9" * 600, b"\xb3\xb0"]
        for wrong in lengths:
            with Wire(forgetful.port) as wire:
                wire.send(ask(SETOSA).replace(length, b": " + wrong + b"\r\n"))
                assert wire.reply().status in {400, 413}, wrong
        for second in (b"Content-Length", b"content-length"):
            with Wire(forgetful.port) as wire:
                wire.send(ask(SETOSA).replace(length, length + second + b": 5\r\n"))
                assert wire.reply().status == 400

    def test_a_known_head_may_come_with_too_large_a_body(self, trained: Path, start: Start) -> None:
        running = start(str(trained), model="iris", version="v1", max_body_bytes=100).ready()
        with Wire(running.port) as wire:
            for _ in range(3):
                assert told(wire.send(ask(SETOSA)).reply()) == "setosa"
            assert wire.send(ask(SETOSA.ljust(100))).reply().status == 200
            assert wire.send(ask(SETOSA.ljust(101))).reply().status == 413

    def test_heads_take_turns(self, forgetful: Running, parsed: Parsed) -> None:
        heads = [("A: 1",), ("A: 2",), ("A: 3", "B: 4")]
        with Wire(forgetful.port) as wire:
            for headers in heads:
                for _ in range(3):
                    wire.send(ask(SETOSA, *headers)).reply()
            before = parsed.count
            for i in range(12):
                body = (SETOSA, VIRGINICA)[i % 2]
                assert told(wire.send(ask(body, *heads[i % 3])).reply()) == ("setosa", "virginica")[i % 2]
        assert parsed.count == before

    def test_what_is_not_just_that_request_goes_to_the_parser(self, forgetful: Running, parsed: Parsed) -> None:
        known = ask(SETOSA)
        with Wire(forgetful.port, forgetful.server) as wire:
            for _ in range(3):
                wire.send(known).reply()
            before = parsed.count
            wire.send(known + ask(VIRGINICA))
            assert [told(wire.reply()), told(wire.reply())] == ["setosa", "virginica"]
            wire.send(known[:-10], known[-10:])
            assert told(wire.reply()) == "setosa"
            wire.send(known[:20], known[20:])
            assert told(wire.reply()) == "setosa"
            wire.send(known[:-30], SETOSA + known)
            assert [told(wire.reply()), told(wire.reply())] == ["setosa", "setosa"]
            wire.send(b"\r\n" + known)
            assert told(wire.reply()) == "setosa"
            assert parsed.count == before + 7
            for _ in range(3):
                assert told(wire.send(known).reply()) == "setosa"
            assert parsed.count == before + 7

    def test_other_requests_may_come_between(self, forgetful: Running, parsed: Parsed) -> None:
        known = ask(SETOSA)
        others = [
            (request("GET", "/health"), 200),
            (request("GET", "/docs"), 200),
            (request("GET", "/nothing"), 404),
            (request("POST", "/nothing", body=b"abc"), 404),
            (request("POST", "/predict", "Transfer-Encoding: chunked") + chunked(SETOSA), 200),
            (request("POST", "/predict", "Connection: upgrade", "Upgrade: h2c", body=SETOSA), 200),
            (ask(b"{"), 400),
            (request("POST", "/predict", "Content-Type: text/html", body=b"x"), 415),
        ]
        with Wire(forgetful.port) as wire:
            for _ in range(3):
                wire.send(known).reply()
            for other, status in others:
                assert wire.send(other).reply().status == status
                before = parsed.count
                assert told(wire.send(known).reply()) == "setosa"
                assert parsed.count == before
                wire.send(other + known)
                assert wire.reply().status == status
                assert told(wire.reply()) == "setosa"

    @pytest.mark.parametrize(
        ("data", "closes"),
        [
            (ask(SETOSA, "Connection: close"), True),
            (ask(SETOSA, version="1.0"), True),
            (ask(SETOSA, "Expect: 100-continue"), False),
            (request("POST", "/predict", "Transfer-Encoding: chunked") + chunked(SETOSA), False),
        ],
    )
    def test_what_else_a_head_says_holds_each_time(self, forgetful: Running, data: bytes, closes: bool) -> None:
        for _ in range(2):
            with Wire(forgetful.port) as wire:
                for _ in range(1 if closes else 4):
                    reply = wire.send(data).reply()
                    reply = wire.reply() if reply.status == 100 else reply
                    assert (told(reply), reply.closes) == ("setosa", closes)
                if closes:
                    assert wire.ended() == "closed"

    def test_a_time_that_a_client_wants_holds_each_time(self, forgetful: Running) -> None:
        data = ask(SETOSA, "X-Request-Timeout: 0.2")
        with Wire(forgetful.port) as wire:
            for _ in range(3):
                assert told(wire.send(data).reply()) == "setosa"
            with held(forgetful):
                assert wire.send(data).reply().status == 503

    def test_a_key_that_was_taken_back_opens_nothing(self, trained: Path, start: Start, tmp_path: Path) -> None:
        keys = tmp_path / "keys"
        keys.write_text("old\n")
        running = start(str(trained), model="iris", version="v1", api_keys_path=keys).ready()
        old, new = ask(SETOSA, "X-API-Key: old"), ask(SETOSA, "X-API-Key: new")
        with Wire(running.port) as wire:
            for _ in range(3):
                assert wire.send(old).reply().status == 200
                assert wire.send(new).reply().status == 401
            (tmp_path / "next").write_text("new\n")
            (tmp_path / "next").replace(keys)
            poll(lambda: wire.send(old).reply().status == 401, "the old key is refused")
            for _ in range(3):
                assert wire.send(new).reply().status == 200
                assert wire.send(old).reply().status == 401
                assert wire.send(ask(SETOSA)).reply().status == 401

    def test_a_server_that_leaves_says_so_each_time(self, trained: Path, start: Start) -> None:
        running = start(str(trained), model="iris", version="v1").ready()
        with Wire(running.port) as wire:
            for _ in range(3):
                assert not wire.send(ask(SETOSA)).reply().closes
            running.server.handle_exit(signal.SIGTERM, None)
            reply = wire.send(ask(SETOSA)).reply()
            assert (told(reply), reply.closes) == ("setosa", True)
            assert wire.ended() == "closed"

    def test_a_version_that_is_not_there_yet_is_said_each_time(self, start: Start, tmp_path: Path) -> None:
        running = start(str(tmp_path / "none"), model="iris", version="v1")
        with Wire(running.port) as wire:
            for _ in range(5):
                reply = wire.send(ask(SETOSA)).reply()
                assert (reply.status, reply.json["code"]) == (503, "unavailable")
                assert wire.send(request("GET", "/ready")).reply().status == 503

    def test_only_so_many_are_remembered(self, forgetful: Running, parsed: Parsed) -> None:
        heads = service_of(forgetful).heads
        with Wire(forgetful.port) as wire:
            for i in range(MOST_HEADS + 10):
                data = ask(SETOSA, f"traceparent: {i}")
                wire.send(data).reply()
                wire.send(data).reply()
            assert 0 < len(heads._alike) <= MOST_HEADS
            before = parsed.count
            for _ in range(5):
                assert told(wire.send(ask(SETOSA, f"A: {'b' * MOST_HEAD_BYTES}")).reply()) == "setosa"
            assert parsed.count == before + 5


class TestTooMuch:
    @pytest.mark.parametrize("path", ["/predict", "/v1/models/iris:predict", "/v2/models/iris/infer", "/invocations"])
    def test_a_known_head_is_refused_and_counted_as_any_other(
        self, forgetful: Running, parsed: Parsed, path: str
    ) -> None:
        def refused() -> float:
            text = forgetful.client.get("/metrics").text
            lines = [
                line for line in text.splitlines() if line.startswith("mlplat_requests") and 'status="503"' in line
            ]
            return sum(float(line.rpartition(" ")[2]) for line in lines)

        with Wire(forgetful.port) as busy, Wire(forgetful.port) as wire, held(forgetful) as entered:
            busy.send(ask(SETOSA))
            assert entered.wait(PATIENCE_SECONDS)
            before, heads = refused(), parsed.count
            replies = [wire.send(ask(b"{}", "X-Request-Timeout: 0.01", path=path)).reply() for _ in range(5)]
            assert parsed.count == heads + 2
            assert refused() == before + 5
        first = replies[0]
        assert (first.status, first.headers["retry-after"], first.closes) == (503, "1", False)
        assert {(reply.status, reply.headers["retry-after"], reply.body) for reply in replies} == {
            (503, "1", first.body)
        }

    def test_what_was_answered_is_not_answered_again(self, trained: Path, start: Start) -> None:
        running = start(str(trained), model="iris", version="v1").ready()
        data = ask(SETOSA, "X-Request-Timeout: 0.01")
        with Wire(running.port) as busy, Wire(running.port) as wire, held(running) as entered:
            busy.send(ask(SETOSA))
            assert entered.wait(PATIENCE_SECONDS)
            assert [wire.send(data).reply().status for _ in range(3)] == [503] * 3
            service_of(running).calm.count = None  # a bug
            assert wire.send(data).reply().status == 503
            assert wire.ended() == "closed"

    def test_only_who_comes_back_at_once_is_not_read_for_a_moment(self) -> None:
        async def scenario(bench: Bench) -> None:
            bench.connection.calm()
            assert bench.transport.reading
            bench.connection.calm()
            assert not bench.transport.reading
            bench.connection._end_calm()
            assert bench.transport.reading
            bench.connection.calm()
            assert not bench.transport.reading
            bench.connection._end_calm()
            bench.connection._hurried_to = 0.0  # long ago
            bench.connection.calm()
            assert bench.transport.reading

        on_bench(scenario)


@pytest.mark.parametrize("part", ["parse", "answer"])
def test_a_bug_is_a_500_and_ends_only_its_connection(
    trained: Path, start: Start, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    running = start(str(trained), model="iris", version="v1").ready()

    def fail(*_: Any) -> Any:
        raise RuntimeError("secret")

    with Wire(running.port) as wire, monkeypatch.context() as patch:
        service = service_of(running)
        patch.setattr(*((service.targets, "find") if part == "parse" else (service, "_answer_probe")), fail)
        reply = wire.send(request("GET", "/health")).reply()
        assert (reply.status, reply.json["code"]) == (500, "internal")
        assert b"secret" not in reply.body
    assert running.client.get("/health").status_code == 200


def test_a_sweep_that_fails_ends_only_its_connection(
    trained: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = start(str(trained), model="iris", version="v1").ready()
    sweep, failing = Connection.sweep, threading.Event()
    with Wire(running.port) as wire:
        mine = wire.socket.getsockname()

        def fail_for_one(connection: Connection, now: float) -> None:
            if connection.client == mine:
                failing.set()
                raise RuntimeError("a bug")
            sweep(connection, now)

        monkeypatch.setattr(Connection, "sweep", fail_for_one)
        assert wire.ended() in {"closed", "reset"}
        assert failing.is_set()
    assert running.predict({"features": [5.1, 3.5, 1.4, 0.2]}).status_code == 200


class Transport(asyncio.Transport):
    """Takes what is written, as far as the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.unsent = 0
        self.closing = self.aborted = self.ended = self.drained = False
        self.reading = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return Socket() if name == "socket" else default

    def write(self, data: Any) -> None:
        assert not self.ended, "written after the end"
        if not self.closing:
            self.written += data

    def write_eof(self) -> None:
        self.ended = True

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.closing
        assert not self.drained, "reading after the end is undefined"
        self.reading = True

    @property
    def answers(self) -> int:
        return self.written.count(b"HTTP/1.1 2")


class Socket:
    """Of a client that is there."""

    def getsockopt(self, *_: Any) -> int:
        return 0

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 1

    getpeername = getsockname


class Waiting:
    """A service whose predictions wait until the test answers them."""

    deadline = 30.0
    draining = False

    def __init__(self) -> None:
        self.targets, self.heads, self.calm = Targets(), Heads(), Calm(self.deadline)
        self.asked: list[Exchange] = []
        self.forgotten: list[Exchange] = []

    def refusal(self, exchange: Exchange) -> MlplatError | None:
        return exchange.head.refusal

    def answer(self, exchange: Exchange) -> None:
        if exchange.head.target is not None and exchange.head.target.probe is not None:
            exchange.connection.respond(exchange, 200, Answer(b"{}"))
        else:
            self.asked.append(exchange)

    def fail(self, exchange: Exchange, error: MlplatError) -> None:
        exchange.connection.respond(exchange, error.status, Answer(b"{}"))

    def hold(self, exchange: Exchange) -> None:
        pass

    def forget(self, exchange: Exchange) -> None:
        self.forgotten.append(exchange)

    def predict(self) -> None:
        """Answer what waits."""
        for exchange in self.asked:
            body, exchange.body = bytes(exchange.body), b""
            exchange.connection.respond(exchange, 200, Answer(body))
        self.asked.clear()


async def nothing_here(_: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


LIMITS = ConnectionLimits(head_bytes=4096, body_bytes=100_000, receive_seconds=10, keep_alive_seconds=75)


class Bench:
    """A connection without a network, and what belongs to it."""

    def __init__(self) -> None:
        self.service, self.transport, self.state = Waiting(), Transport(), ServerState()
        config = uvicorn.Config(nothing_here, lifespan="off", log_config=None, ws="none")
        service: Any = self.service
        self.connection = Connection(service, LIMITS, config=config, server_state=self.state, app_state={})
        self.connection.connection_made(self.transport)

    @staticmethod
    async def turns(count: int = 3) -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    def ages(self, seconds: float) -> None:
        """Look at the connection as if so much time had passed."""
        self.connection.sweep(asyncio.get_running_loop().time() + seconds)

    @property
    def mortal(self) -> bool:
        """Whether it will be ended if nothing happens any more."""
        return self.connection._due < math.inf


HEALTH = request("GET", "/health")


def on_bench(test: Callable[[Bench], Coroutine[Any, Any, None]]) -> None:
    async def scenario() -> None:
        bench = Bench()
        try:
            await test(bench)
        finally:
            bench.connection.connection_lost(None)
            await asyncio.gather(*bench.state.tasks)

    asyncio.run(scenario())


class TestTurns:
    """Of requests on one connection, and of connections on the loop."""

    def test_many_requests_are_answered_in_several_turns(self) -> None:
        async def scenario(bench: Bench) -> None:
            bench.connection.data_received(HEALTH * 1000)
            found = [bench.transport.answers]
            while found[-1] < 1000:
                await bench.turns(1)
                found.append(bench.transport.answers)
            steps = [after - before for before, after in pairwise([0, *found])]
            assert max(steps) <= MOST_AT_ONCE + PART_BYTES // len(HEALTH)
            assert bench.transport.reading

        on_bench(scenario)

    @pytest.mark.parametrize(
        "before",
        [
            b"",
            ask(b" " * 50_000),
            request("POST", "/predict", "Content-Type: text/html", body=b" " * 50_000),
            request("POST", "/nothing", body=b" " * 50_000),
        ],
        ids=["", "a large one", "a refused one", "one for ASGI"],
    )
    @pytest.mark.parametrize("cut", [0, 1, 60])
    def test_few_of_them_are_made_at_once(self, before: bytes, cut: int) -> None:
        async def scenario(bench: Bench) -> None:
            data = before + ask(SETOSA) * 1000
            for start, end in pairwise([0, len(before) // 2, len(before) + cut]):
                if start < end:
                    bench.connection.data_received(data[start:end])
            await bench.turns()
            bench.service.predict()
            await bench.turns()
            bench.transport.written = b""
            bench.connection.data_received(data[len(before) + cut :])
            for _ in range(1000):
                assert len(bench.service.asked) == 1
                assert len(bench.connection.pipeline) <= PART_BYTES // len(ask(SETOSA)) + 1
                bench.service.predict()
                await bench.turns()
            assert (bench.transport.answers, bench.service.asked) == (1000, [])

        on_bench(scenario)

    def test_a_body_in_small_pieces_is_read_in_several_turns(self) -> None:
        async def scenario(bench: Bench) -> None:
            head = request("POST", "/predict", "Transfer-Encoding: chunked")
            bench.connection.data_received(head + b"1\r\n \r\n" * 10_000)
            exchange = bench.connection.cycle
            found = [len(exchange.body)]
            while found[-1] < 10_000:
                await bench.turns(1)
                found.append(len(exchange.body))
            steps = [after - before for before, after in pairwise([0, *found])]
            assert max(steps) <= MOST_PIECES_AT_ONCE + PART_BYTES // len(b"1\r\n \r\n")
            bench.connection.data_received(b"0\r\n\r\n")
            await bench.turns()
            assert bench.service.asked == [exchange]

        on_bench(scenario)

    def test_what_comes_next_is_not_asked_while_something_is_answered(self) -> None:
        async def scenario(bench: Bench) -> None:
            many = HEALTH * MOST_AT_ONCE
            last = ask(SETOSA + b" " * (PART_BYTES - len(many) - len(ask(SETOSA)) - 1))  # all of the first part
            bench.connection.data_received(many + last + ask(VIRGINICA))
            (first,) = bench.service.asked
            bench.service.asked.clear()
            bench.connection.respond(first, 200, Answer(b"{}"))
            assert bench.service.asked == []
            await bench.turns()
            assert len(bench.service.asked) == 1

        on_bench(scenario)

    def test_nobody_keeps_the_body_of_a_probe(self) -> None:
        async def scenario(bench: Bench) -> None:
            bench.connection.data_received(request("GET", "/health", body=b" " * 50_000)[:-1])
            assert bench.connection.cycle.body == b""
            bench.connection.data_received(b" ")
            await bench.turns()
            assert bench.transport.answers == 1

        on_bench(scenario)

    def test_what_a_lost_connection_held_is_free_at_once(self) -> None:
        async def scenario(bench: Bench) -> None:
            bench.connection.data_received(ask(SETOSA)[:-1])
            bench.connection.connection_lost(None)
            exchange = bench.service.forgotten.pop()
            assert sys.getrefcount(exchange) == 2  # this name and the argument

        on_bench(scenario)

    def test_none_is_answered_while_the_client_takes_nothing(self) -> None:
        async def scenario(bench: Bench) -> None:
            bench.connection.data_received(ask(SETOSA) * 3 + HEALTH * 3)
            bench.connection.pause_writing()
            for _ in range(3):
                bench.service.predict()
                await bench.turns()
            assert bench.transport.answers == 1
            assert not bench.transport.reading
            assert bench.mortal
            bench.connection.resume_writing()
            for _ in range(3):
                await bench.turns(5)
                bench.service.predict()
            await bench.turns(5)
            assert bench.transport.answers == 6
            assert bench.transport.reading

        on_bench(scenario)

    def test_what_comes_behind_is_kept_only_up_to_a_bound(self) -> None:
        async def scenario(bench: Bench) -> None:
            bench.connection.data_received(ask(SETOSA) * 2)
            taken = 0
            while bench.transport.reading:
                bench.connection.data_received(ask(SETOSA) * 100)
                taken += 100
                assert taken < 10_000
            for _ in range(taken + 2):
                bench.service.predict()
                await bench.turns()
            assert bench.transport.answers == taken + 2
            assert bench.transport.reading

        on_bench(scenario)

    def test_all_of_one_that_is_gone_are_forgotten(self) -> None:
        async def scenario(bench: Bench) -> None:
            bench.connection.data_received(ask(SETOSA) * 3 + ask(SETOSA)[:-1])
            front = bench.service.asked[0]
            bench.connection.connection_lost(None)
            assert front in bench.service.forgotten
            assert len(set(bench.service.forgotten)) == 4
            assert bench.state.connections == set()

        on_bench(scenario)

    def test_so_is_one_that_will_not_arrive_whole(self) -> None:
        async def scenario(bench: Bench) -> None:
            bench.connection.data_received(ask(SETOSA) + ask(SETOSA)[:-1])
            unfinished = bench.connection.cycle
            assert bench.connection.eof_received()
            assert bench.service.forgotten == [unfinished]
            bench.service.predict()
            await bench.turns()
            assert (bench.transport.answers, bench.transport.closing) == (1, True)

        on_bench(scenario)

    def test_nothing_is_read_from_one_that_sends_no_more(self) -> None:
        async def scenario(bench: Bench) -> None:
            bench.connection.data_received(ask(SETOSA) * 2)
            bench.transport.drained = True
            assert bench.connection.eof_received()
            bench.connection.pause_writing()
            bench.service.predict()
            bench.connection.resume_writing()
            await bench.turns()
            bench.service.predict()
            await bench.turns()
            assert (bench.transport.answers, bench.transport.closing) == (2, True)

        on_bench(scenario)

    def test_so_are_those_behind_a_last_answer(self) -> None:
        async def scenario(bench: Bench) -> None:
            bench.connection.data_received(ask(SETOSA, "Connection: keep-alive", version="1.0") + ask(SETOSA) * 2)
            bench.service.predict()
            assert len(bench.service.forgotten) == 2
            assert (bench.transport.answers, bench.transport.ended) == (1, True)

        on_bench(scenario)


class TestLife:
    """How long a connection lives on which nothing happens any more."""

    def test_it_lives_while_its_prediction_is_made(self) -> None:
        async def scenario(bench: Bench) -> None:
            bench.connection.data_received(ask(SETOSA))
            for _ in range(5):
                bench.ages(1000)
            assert not bench.transport.closing
            bench.service.predict()
            bench.ages(LIMITS.keep_alive_seconds - 1)
            assert not bench.transport.closing
            bench.ages(LIMITS.keep_alive_seconds + 1)
            assert (bench.transport.closing, bench.transport.aborted) == (True, False)

        on_bench(scenario)

    def test_a_request_behind_one_that_takes_long_has_its_time_anew(self) -> None:
        async def scenario(bench: Bench) -> None:
            bench.connection.data_received(ask(SETOSA) + ask(SETOSA)[:-1])
            bench.ages(1000)
            bench.service.predict()
            bench.connection._due = 0.0
            await bench.turns()
            bench.ages(LIMITS.receive_seconds - 1)
            assert b" 408 " not in bench.transport.written
            bench.ages(LIMITS.receive_seconds + 1)
            assert b" 408 " in bench.transport.written

        on_bench(scenario)

    def test_one_that_takes_its_answers_late_must_still_send_its_requests(self) -> None:
        async def scenario(bench: Bench) -> None:
            bench.connection.data_received(HEALTH + ask(SETOSA)[:-1])
            bench.connection.pause_writing()
            bench.connection.resume_writing()
            bench.ages(LIMITS.receive_seconds + 1)
            assert b" 408 " in bench.transport.written
            assert bench.transport.ended

        on_bench(scenario)

    def test_one_that_takes_none_of_them_is_cut(self) -> None:
        async def scenario(bench: Bench) -> None:
            bench.connection.data_received(HEALTH + ask(SETOSA))
            bench.connection.pause_writing()
            bench.service.predict()
            bench.ages(LIMITS.receive_seconds - 1)
            assert not bench.transport.closing
            bench.ages(LIMITS.receive_seconds + 1)
            assert bench.transport.aborted

        on_bench(scenario)

    def test_a_last_answer_that_is_large_has_time_to_be_taken(self) -> None:
        async def scenario(bench: Bench) -> None:
            bench.connection.data_received(ask(SETOSA, "Connection: close"))
            bench.transport.unsent = 1
            bench.service.predict()
            assert bench.transport.ended
            bench.ages(LIMITS.receive_seconds - 1)
            assert not bench.transport.closing
            bench.ages(LIMITS.receive_seconds + 1)
            assert bench.transport.aborted

        on_bench(scenario)

    def test_a_last_answer_that_was_taken_ends_it_soon(self) -> None:
        async def scenario(bench: Bench) -> None:
            bench.connection.data_received(ask(SETOSA, "Connection: close"))
            bench.service.predict()
            assert bench.transport.ended
            bench.ages(LINGER_SECONDS + 1)
            assert bench.transport.closing

        on_bench(scenario)

    def test_one_that_uvicorn_has_closed_is_not_waited_for_for_ever(self) -> None:
        async def scenario(bench: Bench) -> None:
            bench.connection.data_received(request("GET", "/nothing", "Connection: close"))
            await bench.turns()
            assert bench.transport.closing
            bench.transport.unsent = 1
            bench.ages(0)
            bench.ages(LIMITS.receive_seconds - 1)
            assert not bench.transport.aborted
            bench.ages(LIMITS.receive_seconds + 1)
            assert bench.transport.aborted

        on_bench(scenario)

    @given(data=st.data())
    def test_none_lives_for_ever_whatever_happens(self, data: st.DataObject) -> None:
        async def scenario(bench: Bench) -> None:
            whole = b"".join(data.draw(st.lists(st.sampled_from(FRAGMENTS), max_size=8)))
            for event in data.draw(st.lists(st.sampled_from(EVENTS), max_size=20)):
                size = data.draw(st.integers(1, 3000)) if event == "bytes" else 0
                happen(bench, event, whole[:size])
                whole = whole[size:]
                await bench.turns(1)
                assert bench.mortal or bench.service.asked or alive(bench), event
            for _ in range(12):  # the model answers, the client takes it, and says nothing more
                bench.service.predict()
                if bench.connection.flow.write_paused:
                    happen(bench, "takes again", b"")
                await bench.turns(40)
                bench.ages(10_000)
                if bench.transport.closing:
                    return
            raise AssertionError("it lives for ever")

        on_bench(scenario)


def alive(bench: Bench) -> bool:
    """Whether something is under way that ends by itself: a task of ASGI, or a turn that comes."""
    connection = bench.connection
    return bool(bench.state.tasks or connection._unread or connection.pipeline) or bench.transport.closing


EVENTS = ["bytes", "bytes", "bytes", "answer", "takes nothing", "takes again", "no more", "calm", "the end"]

FRAGMENTS = [
    HEALTH,
    ask(SETOSA),
    ask(SETOSA)[:-1],
    ask(SETOSA, "Connection: close"),
    ask(SETOSA, "Expect: 100-continue"),
    ask(SETOSA, version="1.0"),
    ask(b" " * 5000),
    request("POST", "/predict", "Transfer-Encoding: chunked") + chunked(SETOSA),
    request("POST", "/predict", "Transfer-Encoding: chunked") + chunked(SETOSA, trailer=b"Connection: close\r\n"),
    request("POST", "/predict", "Connection: upgrade", "Upgrade: h2c", body=SETOSA),
    request("POST", "/predict", "Content-Length: 1000000"),
    request("GET", "/nothing"),
    request("POST", "/nothing", body=b"x" * 3000),
    request("GET", "/health", f"A: {'b' * 5000}"),
    b"garbage\r\n\r\n",
    b"\r\n",
    b"POST /pre",
]


def happen(bench: Bench, event: str, data: bytes) -> None:
    connection, transport = bench.connection, bench.transport
    if transport.closing or (event == "bytes" and not (transport.reading and data)):
        return
    match event:
        case "bytes":
            connection.data_received(data)
        case "answer":
            bench.service.predict()
        case "takes nothing" if not connection.flow.write_paused and transport.written and not transport.ended:
            connection.pause_writing()
        case "takes again" if connection.flow.write_paused:
            connection.resume_writing()
        case "no more" if not connection._half_closed and transport.reading:
            transport.reading, transport.drained = False, True
            if not connection.eof_received():
                transport.close()
        case "calm":
            connection.calm()
            connection.calm()
        case "the end":
            connection.shutdown()


HOOKS: list[tuple[Callable[..., Any], list[str]]] = [
    (HttpToolsProtocol.__init__, ["self", "config", "server_state", "app_state", "_loop"]),
    (HttpToolsProtocol.connection_made, ["self", "transport"]),
    (HttpToolsProtocol.connection_lost, ["self", "exc"]),
    (HttpToolsProtocol.data_received, ["self", "data"]),
    (HttpToolsProtocol.eof_received, ["self"]),
    (HttpToolsProtocol.pause_writing, ["self"]),
    (HttpToolsProtocol.resume_writing, ["self"]),
    (HttpToolsProtocol.on_message_begin, ["self"]),
    (HttpToolsProtocol.on_url, ["self", "url"]),
    (HttpToolsProtocol.on_header, ["self", "name", "value"]),
    (HttpToolsProtocol.on_headers_complete, ["self"]),
    (HttpToolsProtocol.on_body, ["self", "body"]),
    (HttpToolsProtocol.on_message_complete, ["self"]),
    (HttpToolsProtocol.on_response_complete, ["self"]),
    (HttpToolsProtocol.shutdown, ["self"]),
    (HttpToolsProtocol._start_asgi_task, ["self", "cycle", "app"]),
    (FlowControl.pause_reading, ["self"]),
    (FlowControl.resume_reading, ["self"]),
    (FlowControl.pause_writing, ["self"]),
    (FlowControl.resume_writing, ["self"]),
    (uvicorn.Server.handle_exit, ["self", "sig", "frame"]),
    (uvicorn.Server.startup, ["self", "sockets"]),
    (uvicorn.Server.on_tick, ["self", "counter"]),
    (uvicorn.Server.shutdown, ["self", "sockets"]),
    (LifespanOn.shutdown, ["self"]),
]
"""What we override or call; the pinned release may only change if this and all contract tests still hold."""


class TestHooks:
    @pytest.mark.parametrize(("hook", "parameters"), HOOKS, ids=lambda value: getattr(value, "__qualname__", ""))
    def test_uvicorn_still_has_it(self, hook: Callable[..., Any], parameters: list[str]) -> None:
        assert list(inspect.signature(hook).parameters) == parameters

    def test_nothing_of_its_protocol_is_new(self) -> None:
        """A new callback or a new timer would need a look at what it does to ours."""
        assert {name for name in vars(HttpToolsProtocol) if callable(getattr(HttpToolsProtocol, name))} == {
            *(hook.__name__ for hook, _ in HOOKS if hook.__qualname__.startswith("HttpToolsProtocol")),
            "_get_upgrade",
            "_should_upgrade",
            "_should_upgrade_to_ws",
            "_unset_keepalive_if_required",
            "_unsupported_upgrade_warning",
            "handle_websocket_upgrade",
            "send_400_response",
            "timeout_keep_alive_handler",
        }

    def test_a_connection_has_what_ours_uses(self, iris: Running) -> None:
        with Wire(iris.port) as wire:
            wire.send(request("GET", "/docs")).reply()
            (connection,) = (
                each
                for each in list(iris.server.server_state.connections)
                if isinstance(each, Connection) and each.client == wire.socket.getsockname()
            )
            assert connection.app is iris.server.config.loaded_app
            assert connection.server_state is iris.server.server_state
            assert connection.connections is iris.server.server_state.connections
            assert isinstance(connection.flow, FlowControl)
            assert (connection.flow.read_paused, connection.flow.write_paused) == (False, False)
            assert (connection.url, connection.headers) == (b"/docs", [(b"host", b"x")])
            assert (list(connection.pipeline), connection.parser.get_http_version()) == ([], "1.1")
            cycle = connection.cycle
            assert isinstance(cycle, RequestResponseCycle)
            assert (cycle.keep_alive, cycle.response_started, cycle.response_complete) == (True, True, True)
            assert (cycle.disconnected, cycle.message_event.is_set()) == (False, True)

    def test_the_headers_of_every_answer_are_made_anew_each_second(self) -> None:
        state = ServerState()
        assert (state.default_headers, state.total_requests, state.connections) == ([], 0, set())
        server = uvicorn.Server(uvicorn.Config(lambda: None, server_header=False))
        server.config.load()
        made = []
        for tick in (0, 1, 10):
            run(server.on_tick(tick))
            made.append(server.server_state.default_headers)
        assert made[0] is made[1] is not made[2]
        assert [name for name, _ in made[2]] == [b"date"]

    def test_status_lines_are_there_for_every_status(self) -> None:
        assert STATUS_LINE[200] == b"HTTP/1.1 200 OK\r\n"
        assert all(STATUS_LINE[status].startswith(b"HTTP/1.1 %d " % status) for status in range(100, 600))

    def test_signals_come_through_the_server(self) -> None:
        assert HANDLED_SIGNALS == (signal.SIGINT, signal.SIGTERM)
        server = uvicorn.Server(uvicorn.Config(lambda: None))
        assert (server.should_exit, server.force_exit, server.started) == (False, False, False)


def run(coroutine: Any) -> None:
    """Step through a coroutine that waits for nothing."""
    with pytest.raises(StopIteration):
        coroutine.send(None)
