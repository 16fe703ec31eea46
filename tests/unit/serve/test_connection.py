"""A connection over real sockets: heads that are known, who is told what, and the hooks that it has in uvicorn."""

import inspect
import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tests.wire import Reply, Wire, chunked, request
from uvicorn.lifespan.on import LifespanOn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import HANDLED_SIGNALS, ServerState

from mlplat.serve.connection import Connection
from mlplat.serve.heads import MOST_HEAD_BYTES, MOST_HEADS

from .conftest import Running, Start, held, poll

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
    known: Any = service_of(iris).heads.find.__self__
    known.clear()
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
        known: Any = service_of(forgetful).heads.find.__self__
        with Wire(forgetful.port) as wire:
            for i in range(MOST_HEADS + 10):
                data = ask(SETOSA, f"traceparent: {i}")
                wire.send(data).reply()
                wire.send(data).reply()
            assert 0 < len(known) <= MOST_HEADS
            before = parsed.count
            for _ in range(5):
                assert told(wire.send(ask(SETOSA, f"A: {'b' * MOST_HEAD_BYTES}")).reply()) == "setosa"
            assert parsed.count == before + 5


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
                for each in iris.server.server_state.connections
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
