"""HTTP/1.1 to the letter, over raw sockets: the same cases for our server and for plain uvicorn with its fastest parser.

Where plain uvicorn is known to fail, the case says why, and fails if that is no longer so.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.serve.conftest import held, running_servers
from tests.wire import PATIENCE_SECONDS, Reply, Wire, chunked, request

from .plain import open_gate, plain_uvicorn

SETOSA = b'{"features":[5.1,3.5,1.4,0.2]}'
VIRGINICA = b'{"features":[6.7,3.0,5.2,2.3]}'
JSON = "Content-Type: application/json"

HEALTH = request("GET", "/health")
HIDDEN = request("GET", "/hidden")
"""What must not be taken for a request of its own, where it is a part of one."""


def ask(body: bytes, *headers: str, **options: Any) -> bytes:
    return request("POST", "/predict", JSON, *headers, body=body, **options)


def ask_chunked(body: bytes, *headers: str, version: str = "1.1") -> bytes:
    return request("POST", "/predict", JSON, "Transfer-Encoding: chunked", *headers, version=version) + body


def told(reply: Reply) -> Any:
    assert reply.status == 200, reply
    return reply.json["prediction"]


@dataclass
class Server:
    """One of the two.

    Attributes:
        hold: a context in which predictions begin, and end only after it.
        patience: seconds to wait for it; few where it is known to fail.
    """

    process: uvicorn.Server
    port: int
    hold: Callable[[], Any]
    patience: float = PATIENCE_SECONDS

    def settle(self, client: Wire) -> None:
        """Wait until the server has seen all that a client has sent so far."""
        client.taken()
        with Wire(self.port) as probe:
            assert probe.send(HEALTH).reply().status == 200

    def wire(self, **options: Any) -> Wire:
        return Wire(self.port, self.process, patience=self.patience, **options)


@contextmanager
def closed_gate() -> Iterator[None]:
    open_gate.clear()
    try:
        yield
    finally:
        open_gate.set()


@pytest.fixture(scope="module", params=["mlplat", "uvicorn"])
def one_of_both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if request.param == "uvicorn":
        with plain_uvicorn() as (process, port):
            yield Server(process, port, closed_gate)
        return
    trained: Path = request.getfixturevalue("trained")
    with running_servers(tmp_path_factory.mktemp("http")) as begin:
        running = begin(str(trained), model="iris", version="v1").ready()
        yield Server(running.server, running.port, lambda: held(running))


@pytest.fixture
def server(one_of_both: Server, request: pytest.FixtureRequest) -> Server:
    one_of_both.patience = PATIENCE_SECONDS
    reason = getattr(request.function, "uvicorn_fails", "")
    if reason and type(one_of_both.process) is uvicorn.Server:
        one_of_both.patience = 0.5
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True, raises=(AssertionError, OSError)))
    return one_of_both


def uvicorn_fails(reason: str) -> Callable[[Any], Any]:
    """Plain uvicorn is known to fail this test, in every case."""

    def note(test: Any) -> Any:
        test.uvicorn_fails = reason
        return test

    return note


class TestPieces:
    def test_a_request_may_come_byte_by_byte(self, server: Server) -> None:
        with server.wire() as wire:
            wire.send(*(bytes([byte]) for byte in ask(SETOSA)))
            assert told(wire.reply()) == "setosa"

    def test_a_request_may_be_cut_anywhere(self, server: Server) -> None:
        whole = ask(VIRGINICA)
        with server.wire() as wire:
            for cut in range(1, len(whole)):
                wire.send(whole[:cut], whole[cut:])
                assert told(wire.reply()) == "virginica", cut

    def test_pipelined_requests_may_be_cut_anywhere(self, server: Server) -> None:
        whole = ask(SETOSA) + HEALTH + ask(VIRGINICA)
        with server.wire() as wire:
            for size in (1, 7, 20, 100, 130, 200):
                wire.send(*(whole[start : start + size] for start in range(0, len(whole), size)))
                assert told(wire.reply()) == "setosa"
                assert wire.reply().json == {"status": "ok"}
                assert told(wire.reply()) == "virginica"


ASKED: list[tuple[bytes, Callable[[Reply], bool]]] = [
    (ask(SETOSA), lambda reply: told(reply) == "setosa"),
    (HEALTH, lambda reply: reply.json == {"status": "ok"}),
    (ask(VIRGINICA), lambda reply: told(reply) == "virginica"),
    (request("GET", "/docs"), lambda reply: reply.body.startswith(b"<!DOCTYPE html>")),
    (ask(b"{"), lambda reply: reply.status == 400),
    (request("GET", "/version"), lambda reply: reply.json["model_name"] == "iris"),
    (request("GET", "/nothing"), lambda reply: reply.status == 404),
    (request("GET", "/predict"), lambda reply: reply.status == 405),
    (ask_chunked(chunked(*(SETOSA[i : i + 9] for i in range(0, 30, 9)))), lambda reply: told(reply) == "setosa"),
    (request("POST", "/nothing", body=HIDDEN), lambda reply: reply.status == 404),
]
"""Requests that are answered below ASGI and by it, at once and soon, and what is right for each."""


class TestPipelining:
    def test_two_requests_are_answered_in_order(self, server: Server) -> None:
        with server.wire() as wire:
            wire.send(ask(SETOSA) + ask(VIRGINICA))
            assert [told(wire.reply()), told(wire.reply())] == ["setosa", "virginica"]
            assert told(wire.send(ask(SETOSA)).reply()) == "setosa"

    @pytest.mark.parametrize("step", [1, 3, 7, 9])
    def test_fifty_requests_of_all_kinds_are_answered_in_order(self, server: Server, step: int) -> None:
        asked = list(islice(cycle(ASKED[(i * step) % len(ASKED)] for i in range(len(ASKED))), 50))
        with server.wire() as wire:
            wire.send(b"".join(data for data, _ in asked))
            for i, (data, right) in enumerate(asked):
                assert right(wire.reply()), (i, data)
            assert told(wire.send(ask(SETOSA)).reply()) == "setosa"

    @uvicorn_fails("it answers the garbage before the requests in front of it, or instead of them")
    @pytest.mark.parametrize("kind", range(len(ASKED)))
    def test_garbage_after_requests_is_refused_after_their_answers(self, server: Server, kind: int) -> None:
        data, right = ASKED[kind]
        with server.wire() as wire:
            wire.send(ask(SETOSA) + data + b"garbage\r\n\r\n" + HIDDEN)
            assert told(wire.reply()) == "setosa"
            assert right(wire.reply())
            refusal = wire.reply()
            assert (refusal.status, refusal.closes) == (400, True)
            assert wire.ended() == "closed"

    def test_what_follows_a_last_request_is_not_answered(self, server: Server) -> None:
        with server.wire() as wire:
            wire.send(ask(SETOSA, "Connection: close") + HIDDEN)
            assert told(wire.reply()) == "setosa"
            assert wire.ended() == "closed"

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_any_requests_in_any_pieces_are_answered_in_order(self, server: Server, data: st.DataObject) -> None:
        asked = data.draw(st.lists(st.sampled_from(ASKED), min_size=1, max_size=12))
        whole = b"".join(request for request, _ in asked)
        cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=6)))
        with server.wire() as wire:
            wire.send(*(whole[a:b] for a, b in pairwise([0, *cuts, len(whole)])))
            for i, (_, right) in enumerate(asked):
                assert right(wire.reply()), i
            assert wire.silent()


class TestMethods:
    @pytest.mark.parametrize("path", ["/health", "/docs", "/version"])
    def test_head_has_the_head_of_get_and_no_body(self, server: Server, path: str) -> None:
        with server.wire() as wire:
            wire.send(request("HEAD", path) + request("GET", path))
            head, get = wire.reply("HEAD"), wire.reply()
            assert head.status == get.status == 200
            assert head.headers == get.headers | {"date": head.headers["date"]}

    @pytest.mark.parametrize("path", ["/predict", "/nothing"])
    def test_an_error_of_head_has_no_body(self, server: Server, path: str) -> None:
        with server.wire() as wire:
            wire.send(request("HEAD", path) + HEALTH)
            assert wire.reply("HEAD").status in {404, 405}
            assert wire.reply().json == {"status": "ok"}

    def test_a_body_of_get_is_no_request(self, server: Server) -> None:
        with server.wire() as wire:
            for path in ("/health", "/docs"):
                wire.send(request("GET", path, body=HIDDEN) + HEALTH)
                assert wire.reply().status == 200
                assert wire.reply().json == {"status": "ok"}
            assert wire.silent()

    def test_options_of_everything_is_answered(self, server: Server) -> None:
        with server.wire() as wire:
            assert wire.send(request("OPTIONS", "*")).reply().status == 404
            assert told(wire.send(ask(SETOSA)).reply()) == "setosa"


class TestContinue:
    HEAD = request("POST", "/predict", JSON, "Expect: 100-continue", f"Content-Length: {len(SETOSA)}")

    def test_a_client_that_waits_for_it_is_told_to_go_on(self, server: Server) -> None:
        with server.wire() as wire:
            for _ in range(3):
                assert wire.send(self.HEAD).reply().status == 100
                assert told(wire.send(SETOSA).reply()) == "setosa"

    def test_a_client_that_does_not_wait_is_answered(self, server: Server) -> None:
        with server.wire() as wire:
            for _ in range(4):  # by the third, the head is known
                wire.send(self.HEAD + SETOSA)
                reply = wire.reply()
                assert told(wire.reply() if reply.status == 100 else reply) == "setosa"

    @uvicorn_fails("it answers HTTP/1.0 by a status that only HTTP/1.1 has")
    def test_a_client_of_http_1_0_is_not_told(self, server: Server) -> None:
        with server.wire() as wire:
            wire.send(self.HEAD.replace(b"HTTP/1.1", b"HTTP/1.0"), SETOSA)
            assert told(wire.reply()) == "setosa"
            assert wire.ended() == "closed"

    def test_it_waits_for_its_turn(self, server: Server) -> None:
        with server.wire() as wire:
            wire.send(ask(VIRGINICA) + self.HEAD)
            assert told(wire.reply()) == "virginica"
            assert wire.reply().status == 100
            assert told(wire.send(SETOSA).reply()) == "setosa"

    def test_another_expectation_is_none_of_ours(self, server: Server) -> None:
        with server.wire() as wire:
            assert told(wire.send(ask(SETOSA, "Expect: the-unexpected")).reply()) == "setosa"


CHUNKED = {
    "one chunk": chunked(SETOSA),
    "a byte each": chunked(*(bytes([byte]) for byte in SETOSA)),
    "extensions": b'1E;a;b=c;d="e f"\r\n' + SETOSA + b"\r\n0;last\r\n\r\n",
    "a trailer": chunked(SETOSA, trailer=b"Checksum: abc\r\nHost: other\r\nExpect: 100-continue\r\n"),
    "lower case and zeros": b"000000000000001e\r\n" + SETOSA + b"\r\n0000\r\n\r\n",
}


class TestChunks:
    @pytest.mark.parametrize("form", CHUNKED)
    def test_a_body_in_chunks_is_read_and_the_next_request_after_it(self, server: Server, form: str) -> None:
        data = ask_chunked(CHUNKED[form])
        with server.wire() as wire:
            wire.send(data + ask(VIRGINICA) + data)
            assert [told(wire.reply()) for _ in range(3)] == ["setosa", "virginica", "setosa"]

    @pytest.mark.parametrize("form", CHUNKED)
    def test_chunks_may_come_byte_by_byte(self, server: Server, form: str) -> None:
        with server.wire() as wire:
            wire.send(*(bytes([byte]) for byte in ask_chunked(CHUNKED[form])))
            assert told(wire.reply()) == "setosa"

    @uvicorn_fails("it stays, and never answers again")
    def test_a_trailer_may_say_that_it_was_the_last_request(self, server: Server) -> None:
        with server.wire() as wire:
            wire.send(ask_chunked(chunked(SETOSA, trailer=b"Connection: close\r\n")) + HIDDEN)
            reply = wire.reply()
            assert (told(reply), reply.closes) == ("setosa", True)
            assert wire.ended() == "closed"

    def test_no_chunk_is_an_empty_body(self, server: Server) -> None:
        with server.wire() as wire:
            assert wire.send(ask_chunked(chunked())).reply().status == 400
            assert told(wire.send(ask(SETOSA)).reply()) == "setosa"


class TestVersions:
    @pytest.mark.parametrize("headers", [(), ("Connection: keep-alive",)])
    @pytest.mark.parametrize("path", ["/health", "/docs", "/predict"])
    def test_http_1_0_is_answered_and_closed(self, server: Server, path: str, headers: tuple[str, ...]) -> None:
        body = SETOSA if path == "/predict" else None
        method = "POST" if body else "GET"
        with server.wire() as wire:
            wire.send(request(method, path, *headers, body=body, version="1.0"))
            reply = wire.reply()
            assert (reply.status, reply.closes) == (200, True)
            assert wire.ended() == "closed"

    def test_chunks_of_http_1_0_end_the_connection(self, server: Server) -> None:
        with server.wire() as wire:
            wire.send(ask_chunked(chunked(SETOSA), version="1.0") + HIDDEN)
            assert told(wire.reply()) == "setosa"
            assert wire.ended() == "closed"

    @pytest.mark.parametrize("value", ["close", "Close", "close, te", "keep-alive, close"])
    @pytest.mark.parametrize("path", ["/health", "/docs", "/predict"])
    def test_a_client_that_wants_the_end_gets_it(self, server: Server, path: str, value: str) -> None:
        body = SETOSA if path == "/predict" else None
        with server.wire() as wire:
            wire.send(request("POST" if body else "GET", path, f"Connection: {value}", body=body))
            reply = wire.reply()
            assert (reply.status, reply.closes) == (200, True)
            assert wire.ended() == "closed"


class TestTargets:
    @pytest.mark.parametrize(
        "target",
        [
            "/predict?a=b",
            "/predict?",
            "/predict?a=/b%20c??d",
            "/%70redict",
            "/predic%74?x",
            "http://x/predict",
            "http://x:80/predict?a=b",
            "HTTP://other.example/predict",
        ],
    )
    def test_a_path_is_the_same_in_any_spelling(self, server: Server, target: str) -> None:
        with server.wire() as wire:
            for _ in range(3):
                assert told(wire.send(request("POST", target, JSON, body=SETOSA)).reply()) == "setosa"

    @pytest.mark.parametrize("target", ["/docs?x=y", "http://x/docs", "/%64ocs"])
    def test_so_is_one_of_asgi(self, server: Server, target: str) -> None:
        with server.wire() as wire:
            assert wire.send(request("GET", target)).reply().status == 200

    @uvicorn_fails("it takes it for no HTTP")
    def test_a_url_without_a_path_is_the_root(self, server: Server) -> None:
        with server.wire() as wire:
            root = wire.send(request("GET", "/")).reply()
            assert wire.send(request("GET", "http://x")).reply().status == root.status
            assert wire.send(request("GET", "http://x?a=b")).reply().status == root.status

    def test_empty_lines_before_a_request_are_ignored(self, server: Server) -> None:
        with server.wire() as wire:
            wire.send(b"\r\n\r\n" + ask(SETOSA) + b"\r\n" + ask(VIRGINICA) + b"\r\n\r\n\r\n", b"\r\n", ask(SETOSA))
            assert [told(wire.reply()) for _ in range(3)] == ["setosa", "virginica", "setosa"]


UPGRADES = {
    "h2c": ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
    "websocket": (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ),
    "unknown": ("Connection: upgrade", "Upgrade: something/1"),
}


class TestUpgrades:
    @uvicorn_fails("it forgets the body, and what comes with it")
    @pytest.mark.parametrize("protocol", UPGRADES)
    def test_a_prediction_is_answered_as_if_it_had_not_asked(self, server: Server, protocol: str) -> None:
        data = ask(SETOSA, *UPGRADES[protocol])
        with server.wire() as wire:
            for _ in range(4):
                wire.send(data + ask(VIRGINICA))
                assert [told(wire.reply()), told(wire.reply())] == ["setosa", "virginica"]
            for _ in range(4):
                assert told(wire.send(data).reply()) == "setosa"
            wire.send(*(bytes([byte]) for byte in data))
            assert told(wire.reply()) == "setosa"
            wire.send(ask_chunked(chunked(SETOSA), *UPGRADES[protocol]) + HEALTH)
            assert told(wire.reply()) == "setosa"
            assert wire.reply().json == {"status": "ok"}

    @uvicorn_fails("it forgets what comes with it")
    @pytest.mark.parametrize("protocol", UPGRADES)
    @pytest.mark.parametrize("path", ["/health", "/docs"])
    def test_so_is_any_other_request(self, server: Server, path: str, protocol: str) -> None:
        with server.wire() as wire:
            wire.send(request("GET", path, *UPGRADES[protocol]) * 3 + ask(VIRGINICA))
            for _ in range(3):
                assert wire.reply().status == 200
            assert told(wire.reply()) == "virginica"

    @uvicorn_fails("it takes the body for requests, if it comes later")
    def test_a_body_is_no_request(self, server: Server) -> None:
        hidden = request("GET", "/docs")
        head = request("POST", "/predict", JSON, *UPGRADES["h2c"], f"Content-Length: {len(hidden)}")
        with server.wire() as wire:
            wire.send(head, hidden, HEALTH)
            assert wire.reply().status == 400
            assert wire.reply().body == b'{"status":"ok"}'


def head(*headers: str, method: str = "POST", target: str = "/predict", version: str = "HTTP/1.1") -> bytes:
    return "\r\n".join([f"{method} {target} {version}", "Host: x", *headers, "", ""]).encode("latin-1")


CHUNKS = "Transfer-Encoding: chunked"

REFUSED = {
    "both framings": head("Content-Length: 30", CHUNKS) + chunked(SETOSA),
    "both framings, the other way": head(CHUNKS, "Content-Length: 30") + chunked(SETOSA),
    "two lengths": head("Content-Length: 30", "Content-Length: 31") + SETOSA,
    "a length twice": head("Content-Length: 30", "Content-Length: 30") + SETOSA,
    "a list of lengths": head("Content-Length: 30, 30") + SETOSA,
    "a signed length": head("Content-Length: +30") + SETOSA,
    "a negative length": head("Content-Length: -30") + SETOSA,
    "a hexadecimal length": head("Content-Length: 0x1e") + SETOSA,
    "a length with a space": head("Content-Length: 3 0") + SETOSA,
    "a length that is none": head("Content-Length: abc") + SETOSA,
    "an empty length": head("Content-Length:") + SETOSA,
    "a length beyond all numbers": head("Content-Length: 99999999999999999999999") + SETOSA,
    "an unknown coding": head("Transfer-Encoding: xchunked") + chunked(SETOSA),
    "no coding": head("Transfer-Encoding: identity") + SETOSA,
    "a coding after chunks": head("Transfer-Encoding: chunked, identity") + chunked(SETOSA),
    "chunks twice": head(CHUNKS, CHUNKS) + chunked(SETOSA),
    "chunks by a vertical tab": head("Transfer-Encoding: \x0bchunked") + chunked(SETOSA),
    "a chunk size beyond all numbers": head(CHUNKS) + b"fffffffffffffffff\r\n" + SETOSA,
    "a negative chunk size": head(CHUNKS) + b"-1\r\n" + SETOSA,
    "a chunk size with 0x": head(CHUNKS) + b"0x1e\r\n" + SETOSA + b"\r\n0\r\n\r\n",
    "a chunk size with a space": head(CHUNKS) + b"1e \r\n" + SETOSA + b"\r\n0\r\n\r\n",
    "no chunk size": head(CHUNKS) + b"\r\n" + SETOSA,
    "a chunk that is too long": head(CHUNKS) + b"5\r\n" + SETOSA + b"\r\n0\r\n\r\n",
    "a chunk by a bare LF": head(CHUNKS) + b"1e\n" + SETOSA + b"\n0\n\n",
    "a bare CR in an extension": head(CHUNKS) + b"1e;a\rb\r\n" + SETOSA + b"\r\n0\r\n\r\n",
    "a length in a trailer": head(CHUNKS) + chunked(SETOSA, trailer=b"Content-Length: 3\r\n"),
    "a coding in a trailer": head(CHUNKS) + chunked(SETOSA, trailer=b"Transfer-Encoding: identity\r\n"),
    "a space before a colon": head("Content-Length : 30") + SETOSA,
    "a space before the colon of chunks": head("Transfer-Encoding : chunked") + chunked(SETOSA),
    "a folded header": head("Content-Length: 30", "A: b\r\n c: d") + SETOSA,
    "a header after a space": b"POST /predict HTTP/1.1\r\n Host: x\r\nContent-Length: 30\r\n\r\n" + SETOSA,
    "a header without a colon": head("Content-Length: 30", "nothing") + SETOSA,
    "a header without a name": head("Content-Length: 30", ": x") + SETOSA,
    "a name beyond ASCII": head("Content-Length: 30", "\xe9: x") + SETOSA,
    "NUL in a name": head("Content-Length: 30", "A\0: x") + SETOSA,
    "NUL in a value": head("Content-Length: 30", "A: x\0y") + SETOSA,
    "a bare CR in a value": head("Content-Length: 30", "A: x\ry: z") + SETOSA,
    "a bare LF after a header": head("Content-Length: 30", "A: x\nb: y") + SETOSA,
    "bare LFs": head("Content-Length: 30").replace(b"\r\n", b"\n") + SETOSA,
    "a bare CR before the body": b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\r\n" + SETOSA,
    "HTTP/1.2": head("Content-Length: 30", version="HTTP/1.2") + SETOSA,
    "HTTP/3": head("Content-Length: 30", version="HTTP/3.0") + SETOSA,
    "no version that is one": head("Content-Length: 30", version="HTTP/one") + SETOSA,
    "another protocol": head("Content-Length: 30", version="FTP/1.1") + SETOSA,
    "http in lower case": head("Content-Length: 30", version="http/1.1") + SETOSA,
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "the hello of TLS": bytes.fromhex("160301020001000103030000000000000000000000000000000000000000000000"),
    "a method beyond ASCII": head(method="P\xd6ST"),
    "a method in lower case": head(method="post"),
    "an unknown method": head(method="PREDICT"),
    "a very long method": head(method="A" * 1000),
    "no method": b" /predict HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path beyond ASCII": head(target="/pr\xe9dict"),
    "a control character in a path": head(target="/pre\x01dict"),
    "NUL in a path": head(target="/pre\0dict"),
    "no path": head(target="?a"),
    "a host that is none": head(target="http://[x"),
    "a port that is none": head(target="http://x:port/predict"),
    "a tunnel": head(method="CONNECT", target="x:443"),
    "NULs": b"\0" * 100,
    "an answer": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "text": b"hello\r\n\r\n",
}

MISADDRESSED = {
    "no host": b"POST /predict HTTP/1.1\r\nContent-Length: 30\r\n\r\n" + SETOSA,
    "no host but in the target": b"POST http://x/predict HTTP/1.1\r\nContent-Length: 30\r\n\r\n" + SETOSA,
    "two hosts": head("Content-Length: 30", "Host: y") + SETOSA,
    "a host twice": head("Content-Length: 30", "host: x") + SETOSA,
    "two hosts of an old client": head("Content-Length: 30", "Host: y", version="HTTP/1.0") + SETOSA,
    "two hosts for another path": head("Host: y", method="GET", target="/docs"),
    "no version": b"GET /health\r\n\r\n",
    "HTTP/0.9": head(method="GET", target="/health", version="HTTP/0.9"),
    "HTTP/2 in the words of HTTP/1": head(method="GET", target="/docs", version="HTTP/2.0"),
    "a coding before chunks": head("Transfer-Encoding: gzip, chunked") + chunked(SETOSA),
    "a coding for another path": head("Transfer-Encoding: gzip, chunked", target="/docs") + chunked(SETOSA),
}

PARTS = {
    "nothing": b"",
    "an empty line": b"\r\n",
    "a part of a head": b"POST /pre",
    "a part of a body": ask(SETOSA)[:-1],
    "a part of a chunk": ask_chunked(b"1e\r\n{"),
}


class TestRefusals:
    @pytest.mark.parametrize("case", REFUSED)
    def test_it_is_refused_and_what_follows_is_no_request(self, server: Server, case: str) -> None:
        with server.wire() as wire:
            wire.send(REFUSED[case] + HIDDEN)
            reply = wire.reply()
            assert 400 <= reply.status < 600
            assert reply.status not in {404, 500}
            assert reply.closes
            assert wire.ended() == "closed"

    @pytest.mark.parametrize("case", REFUSED)
    def test_it_is_refused_byte_by_byte_and_after_an_answer(self, server: Server, case: str) -> None:
        with server.wire() as wire:
            assert told(wire.send(ask(VIRGINICA)).reply()) == "virginica"
            for byte in REFUSED[case] + HIDDEN:
                if not wire.silent():
                    break
                wire.send(bytes([byte])).taken()
            reply = wire.reply()
            assert 400 <= reply.status < 600
            assert reply.status not in {404, 500}
            assert reply.closes

    @uvicorn_fails("it answers as if nothing were wrong")
    @pytest.mark.parametrize("case", MISADDRESSED)
    def test_so_is_one_to_no_host_or_of_another_version(self, server: Server, case: str) -> None:
        with server.wire() as wire:
            reply = wire.send(MISADDRESSED[case] + HIDDEN).reply()
            assert (reply.status, reply.closes) == (400, True)
            assert wire.ended() == "closed"

    def test_http_1_0_needs_no_host(self, server: Server) -> None:
        with server.wire() as wire:
            data = b"POST /predict HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 30\r\n\r\n" + SETOSA
            assert told(wire.send(data).reply()) == "setosa"

    @uvicorn_fails("it answers, stays, and throws away what comes with it")
    def test_a_tunnel_to_a_path_is_refused_and_what_follows_is_no_request(self, server: Server) -> None:
        with server.wire() as wire:
            reply = wire.send(head(method="CONNECT", target="/predict") + HIDDEN).reply()
            assert (reply.status, reply.closes) == (501, True)
            assert wire.ended() == "closed"


class TestEnds:
    @pytest.mark.parametrize("kind", range(len(ASKED)))
    def test_a_client_that_will_send_no_more_is_answered(self, server: Server, kind: int) -> None:
        data, right = ASKED[kind]
        with server.wire() as wire:
            wire.send(data).half_close()
            assert right(final(wire))
            assert wire.ended() == "closed"

    @uvicorn_fails("it takes a client that will send no more for one that is gone")
    def test_it_is_answered_all_that_it_asked_even_if_that_takes_long(self, server: Server) -> None:
        with server.wire() as wire:
            with server.hold():
                wire.send(b"".join(data for data, _ in ASKED)).half_close()
                server.settle(wire)
            for _, right in ASKED:
                assert right(final(wire))
            assert wire.ended() == "closed"

    @uvicorn_fails("it takes a client that will send no more for one that is gone")
    @pytest.mark.parametrize("version", ["1.0", "1.1"])
    def test_so_is_one_whose_answer_is_the_last_anyway(self, server: Server, version: str) -> None:
        with server.wire() as wire:
            with server.hold():
                wire.send(ask(SETOSA, "Connection: close", version=version)).half_close()
                server.settle(wire)
            assert told(final(wire)) == "setosa"
            assert wire.ended() == "closed"

    @uvicorn_fails("it takes a client that will send no more for one that is gone")
    @pytest.mark.parametrize("part", PARTS)
    def test_a_request_that_stays_unfinished_takes_no_answer_from_those_before_it(
        self, server: Server, part: str
    ) -> None:
        for before in (ask(SETOSA), ask(SETOSA) + ask(VIRGINICA)):
            with server.wire() as wire:
                with server.hold():
                    wire.send(before + PARTS[part]).half_close()
                    server.settle(wire)
                assert told(final(wire)) == "setosa"
                assert len(before) < 150 or told(final(wire)) == "virginica"
                assert wire.ended() == "closed"

    @pytest.mark.parametrize("part", PARTS)
    def test_a_client_that_leaves_early_is_let_go(self, server: Server, part: str) -> None:
        with server.wire() as wire:
            assert told(wire.send(ask(SETOSA)).reply()) == "setosa"
            wire.send(PARTS[part]).half_close()
            assert wire.ended() == "closed"

    def test_a_reset_within_a_request_harms_no_one(self, server: Server) -> None:
        for part in (*PARTS.values(), ask(SETOSA) * 20):
            server.wire().send(part).reset()
        with server.wire() as wire:
            assert told(wire.send(ask(SETOSA)).reply()) == "setosa"


def final(wire: Wire) -> Reply:
    """The next answer but for those that only announce it: a server may ask so whether its client is still there."""
    while (reply := wire.reply()).status == 100:
        pass
    return reply


class TestLargeBodies:
    def test_one_that_nobody_asked_for_is_read_and_the_next_request_is_answered(self, server: Server) -> None:
        with server.wire() as wire:
            wire.send(request("POST", "/nothing", body=b"x" * 3_000_000) + HEALTH)
            assert wire.reply().status == 404
            assert wire.reply().json == {"status": "ok"}

    def test_a_large_answer_arrives_whole_at_a_slow_reader(self, server: Server) -> None:
        rows = b",".join([SETOSA[12:-1], VIRGINICA[12:-1]] * 2000)
        with server.wire(receive_bytes=4096) as wire:
            for _ in range(3):
                wire.send(ask(b'{"features":[' + rows + b"]}"))
                assert wire.reply().json["predictions"] == ["setosa", "virginica"] * 2000

    def test_so_do_many_answers(self, server: Server) -> None:
        rows = b",".join([SETOSA[12:-1], VIRGINICA[12:-1]] * 200)
        with server.wire(receive_bytes=4096) as wire:
            wire.send(ask(b'{"features":[' + rows + b"]}") * 15 + HEALTH)
            for _ in range(15):
                assert wire.reply().json["predictions"] == ["setosa", "virginica"] * 200
            assert wire.reply().json == {"status": "ok"}

    @pytest.mark.parametrize("last", [("Connection: close",), ()])
    def test_an_answer_that_is_the_last_arrives_whole(self, server: Server, last: tuple[str, ...]) -> None:
        rows = b",".join([SETOSA[12:-1]] * 4000)
        with server.wire(receive_bytes=4096) as wire:
            wire.send(ask(b'{"features":[' + rows + b"]}", *last, version="1.1" if last else "1.0"))
            assert wire.reply().json["predictions"] == ["setosa"] * 4000
            assert wire.ended() == "closed"
