"""What one connection may take: each limit is a setting, and whoever reaches it harms nobody else."""

import asyncio
import gzip
import re
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest
from tests.unit.serve.conftest import Running, Start, await_ready, held, poll, running_servers, serving
from tests.wire import PATIENCE_SECONDS, Reply, Wire, chunked, request, wires

from mlplat.runtime.batcher import INLINE_SECONDS
from mlplat.runtime.predictor import Predictor
from mlplat.serve.coding import inflate

FLOWER = b'{"features":[5.1,3.5,1.4,0.2]}'
JSON = "Content-Type: application/json"
HEALTH = request("GET", "/health")

HEAD_BYTES = 4096
BODY_BYTES = 1_500_000


def ask(body: bytes, *headers: str) -> bytes:
    return request("POST", "/predict", JSON, *headers, body=body)


def ask_chunked(body: bytes) -> bytes:
    return request("POST", "/predict", JSON, "Transfer-Encoding: chunked") + body


@pytest.fixture(scope="module")
def begin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    with running_servers(tmp_path_factory.mktemp("limits")) as start:
        yield start


@pytest.fixture(scope="module")
def patient(trained: Path, begin: Start) -> Running:
    """A server with limits of bytes that are easily reached, and much time."""
    return begin(str(trained), model="iris", version="v1", max_head_bytes=HEAD_BYTES, max_body_bytes=BODY_BYTES).ready()


@pytest.fixture(scope="module")
def hasty(trained: Path, begin: Start) -> Running:
    """A server with little time."""
    return begin(str(trained), model="iris", version="v1", receive_seconds=1, keep_alive_seconds=5).ready()


@pytest.fixture(scope="module")
def small(trained: Path, begin: Start) -> Running:
    """A server where two may wait."""
    return begin(str(trained), model="iris", version="v1", max_waiting=2).ready()


@pytest.fixture(scope="module")
def punctual(trained: Path, begin: Start) -> Running:
    """A server that answers soon or never."""
    return begin(str(trained), model="iris", version="v1", deadline_seconds=0.2).ready()


def wire(running: Running, **options: Any) -> Wire:
    return Wire(running.port, running.server, **options)


def connections(running: Running) -> int:
    return len(running.server.server_state.connections)


class Neighbour:
    """A client that does nothing wrong, and must notice nothing."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.answered = 0
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self.goes_on()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave.set()
        self._thread.join(PATIENCE_SECONDS)
        assert self.error is None, repr(self.error)

    def goes_on(self) -> None:
        """Wait until it got a few more answers; it has patience for each of them."""
        before, patience = self.answered, 10 * PATIENCE_SECONDS
        poll(lambda: self.error is not None or self.answered >= before + 5, "a neighbour is answered", patience)
        assert self.error is None, repr(self.error)

    def _run(self) -> None:
        try:
            with Wire(self._port) as one:
                _predict(one)
                with Wire(self._port) as other:  # which may have little time until it asks
                    while not self._leave.is_set():
                        assert other.send(HEALTH).reply().status == 200
                        _predict(one)
                        self.answered += 1
        except BaseException as error:  # noqa: BLE001 - it is raised by the test's own thread
            self.error = error


def _predict(client: Wire) -> None:
    reply = client.send(ask(FLOWER)).reply()
    assert (reply.status, reply.json["prediction"]) == (200, "setosa")


def error(reply: Reply) -> tuple[int, str, bool]:
    assert reply.json["error"]
    return reply.status, reply.json["code"], reply.closes


LONG_HEADS = {
    "a long value": [f"A: {'b' * 1_000_000}"],
    "a long name": [f"{'a' * 1_000_000}: b"],
    "many headers": [f"A{i}: b" for i in range(10_000)],
    "many headers of one name": ["A: b"] * 10_000,
    "many empty headers": ["A:"] * 10_000,
    "a long wish to upgrade": ["Connection: upgrade", f"Upgrade: {'b' * 1_000_000}"],
}

TOO_LARGE = (431, "headers_too_large", True)


class TestHeads:
    @pytest.mark.parametrize("path", ["/predict", "/nothing"])
    @pytest.mark.parametrize("case", LONG_HEADS)
    def test_a_large_head_is_refused(self, patient: Running, case: str, path: str) -> None:
        with Neighbour(patient.port) as neighbour, wire(patient) as attacker:
            attacker.send(request("GET", path, *LONG_HEADS[case]))
            assert error(attacker.reply()) == TOO_LARGE
            assert attacker.ended() == "closed"
            neighbour.goes_on()

    @pytest.mark.parametrize("path", ["/predict", "/nothing"])
    def test_a_long_url_is_refused(self, patient: Running, path: str) -> None:
        with Neighbour(patient.port) as neighbour, wire(patient) as attacker:
            attacker.send(request("GET", path + "?" + "a" * 1_000_000))
            assert error(attacker.reply()) == TOO_LARGE
            assert attacker.ended() == "closed"
            neighbour.goes_on()

    @pytest.mark.parametrize("pieces", [1, 2, 7])
    @pytest.mark.parametrize("before", [b"", HEALTH, ask(FLOWER), ask(b" " * 10_000)])
    def test_the_limit_is_the_same_in_any_pieces_and_after_other_requests(
        self, patient: Running, before: bytes, pieces: int
    ) -> None:
        for value, status in ((HEAD_BYTES - 200, 200), (HEAD_BYTES + 200, 431), (60_000, 431)):
            head = request("GET", "/health", f"A: {'b' * value}")
            size = -(-len(head) // pieces)
            with wire(patient) as client:
                client.send(before + head[:size], *(head[i : i + size] for i in range(size, len(head), size)))
                if before:
                    assert client.reply().status in {200, 400}
                assert client.reply().status == status

    def test_a_refusal_waits_for_the_answers_before_it(self, patient: Running) -> None:
        with wire(patient) as client:
            client.send(ask(FLOWER) * 3 + request("GET", "/health", f"A: {'b' * 5000}") + HEALTH)
            for _ in range(3):
                assert client.reply().json["prediction"] == "setosa"
            assert error(client.reply()) == TOO_LARGE
            assert client.ended() == "closed"


class TestBodies:
    @pytest.mark.parametrize(
        "headers",
        [
            (),
            ("Expect: 100-continue",),
            ("Connection: close",),
            ("Connection: upgrade", "Upgrade: h2c"),
        ],
    )
    def test_a_large_one_is_refused_before_it_is_sent(self, patient: Running, headers: tuple[str, ...]) -> None:
        with wire(patient) as client:
            client.send(request("POST", "/predict", JSON, *headers, f"Content-Length: {BODY_BYTES + 1}"))
            assert error(client.reply()) == (413, "body_too_large", True)
            assert client.ended() == "closed"

    @pytest.mark.parametrize("size", [2**31, 2**32 + 1, 2**63, 2**64 - 1])
    def test_so_is_one_of_any_size(self, patient: Running, size: int) -> None:
        with wire(patient) as client:
            client.send(request("POST", "/predict", JSON, f"Content-Length: {size}") + FLOWER)
            assert error(client.reply()) == (413, "body_too_large", True)
            assert client.ended() == "closed"

    def test_a_client_that_sends_it_all_the_same_sees_the_answer_and_no_reset(self, patient: Running) -> None:
        with Neighbour(patient.port) as neighbour, wire(patient) as client:
            client.send(ask(b" " * 10_000_000))
            assert error(client.reply()) == (413, "body_too_large", True)
            assert client.ended() == "closed"
            neighbour.goes_on()

    def test_so_does_one_that_does_not_say_how_much_it_sends(self, patient: Running) -> None:
        with wire(patient) as client:
            client.send(ask_chunked(chunked(*[b" " * 100_000] * 100)))
            assert error(client.reply()) == (413, "body_too_large", True)
            assert client.ended() == "closed"

    def test_one_of_just_the_limit_is_read(self, patient: Running) -> None:
        with wire(patient) as client:
            for data in (
                ask(FLOWER.ljust(BODY_BYTES)),
                ask_chunked(chunked(*(FLOWER.ljust(BODY_BYTES)[i : i + 10_000] for i in range(0, BODY_BYTES, 10_000)))),
            ):
                assert client.send(data).reply().json["prediction"] == "setosa"

    def test_one_that_is_refused_for_its_type_is_read_away(self, patient: Running) -> None:
        with wire(patient) as client:
            client.send(request("POST", "/predict", "Content-Type: text/html", body=b"x" * 10_000_000) + HEALTH)
            assert client.reply().status == 415
            assert client.reply().json == {"status": "ok"}

    def test_so_is_one_without_a_key(self, trained: Path, begin: Start) -> None:
        guarded = begin(str(trained), model="iris", version="v1", api_keys="right").ready()
        with wire(guarded) as client:
            client.send(ask(b"x" * 10_000_000) + ask(FLOWER, "X-API-Key: right"))
            assert client.reply().status == 401
            assert client.reply().json["prediction"] == "setosa"
            client.send(
                request("POST", "/predict", JSON, "Expect: 100-continue", "X-API-Key: wrong", "Content-Length: 30")
            )
            reply = client.reply()  # and no 100 before it
            assert (reply.status, reply.closes) == (401, True)
            assert client.ended() == "closed"

    @pytest.mark.parametrize("coding", ["gzip", "x-gzip"])
    def test_one_that_is_large_once_it_is_inflated_is_refused(self, patient: Running, coding: str) -> None:
        bomb = gzip.compress(bytes(100_000_000), 1)
        with Neighbour(patient.port) as neighbour, wire(patient) as client:
            for _ in range(5):
                reply = client.send(ask(bomb, f"Content-Encoding: {coding}")).reply()
                assert (reply.status, reply.json["code"]) == (413, "body_too_large")
            neighbour.goes_on()

    @pytest.mark.parametrize(
        "body",
        [
            b'{"' + b"a" * 1_000_000 + b'":1}',
            b'{"features":{"' + b"a" * 1_000_000 + b'":1}}',
            b'{"features":["' + b"a" * 1_000_000 + b'",1,1,1]}',
            b'{"features":[' + b"1" * 1_000_000 + b",1,1,1]}",
            b'{"features":[1e' + b"9" * 1_000_000 + b",1,1,1]}",
            b"{" + b",".join(b'"%d":1' % i for i in range(100_000)) + b"}",
            b'{"features":{' + b",".join(b'"%d":1' % i for i in range(100_000)) + b"}}",
            b"[" * 100_000,
            b"[" * 100_000 + b"]" * 100_000,
            b'{"a":' * 100_000,
            b'{"features":' * 100_000 + b"1" + b"}" * 100_000,
            b'{"features":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            b'{"features":[' + b",".join([b"[]"] * 300_000) + b"]}",
            b'{"features":[' + b",".join([b"[5.1,3.5,1.4,0.2]"] * 80_000) + b"]}",
            b'{"features":"\\ud800"}',
            b'{"\\ud800":1}',
            b'{"\xed\xa0\x80":1}',
            b"\0" * 1_000_000,
        ],
        ids=lambda body: f"{body[:24]!r} of {len(body)}",
    )
    @pytest.mark.parametrize("path", ["/predict", "/v2/models/iris/infer", "/v1/models/iris:predict", "/invocations"])
    def test_one_that_is_made_to_be_slow_is_refused(self, patient: Running, path: str, body: bytes) -> None:
        with wire(patient) as client:
            reply = client.send(request("POST", path, JSON, body=body)).reply()
            assert reply.status in {400, 413, 422}, reply
            assert len(reply.body) < 10_000
            assert client.send(HEALTH).reply().status == 200

    @pytest.mark.parametrize("path", ["/predict", "/nothing"])
    @pytest.mark.parametrize(
        "flood",
        [
            b"1;" + b"a" * 1_000_000,
            b"1;a\r\n1\r\n" + b"1;" + b"a" * 1_000_000,
            (b"1;" + b"a" * 200 + b"\r\n1\r\n") * 10_000,
            b"1\r\n1\r\n" * 20_000 + b"0\r\n" + b"A: " + b"b" * 1_000_000,
            b"0\r\nA: " + b"b" * 1_000_000,
            b"0\r\n" + b"A: b\r\n" * 200_000,
            b"0" * 1_000_000,
        ],
        ids=lambda flood: f"{flood[:10]!r}..{flood[-4:]!r}",
    )
    def test_floods_between_chunks_are_refused(self, patient: Running, path: str, flood: bytes) -> None:
        data = request("POST", path, JSON, "Transfer-Encoding: chunked") + flood
        with Neighbour(patient.port) as neighbour, wire(patient) as attacker:
            attacker.send(data)
            reply = attacker.reply()
            if reply.status == 404:  # ASGI was quicker
                assert path == "/nothing"
            else:
                assert reply.status in {400, 431}
                assert reply.closes
            assert attacker.ended() == "closed"
            neighbour.goes_on()


def drip(attacker: Wire, byte: bytes = b"a") -> None:
    """Send a byte now and then, until the server says something."""
    end = time.monotonic() + PATIENCE_SECONDS
    while attacker.silent():
        assert time.monotonic() < end, "the server waits for ever"
        try:
            attacker.send(byte)
        except OSError:
            return
        time.sleep(0.005)


class TestTime:
    @pytest.mark.parametrize(
        "start",
        [
            b"GET /",
            b"GET /health HTTP/1.1\r\nA: ",
            b"GET /nothing?",
            request("POST", "/predict", JSON, "Content-Length: 1000000"),
            request("POST", "/predict", JSON, "Transfer-Encoding: chunked") + b"fffff\r\n",
            request("POST", "/predict", JSON, "Transfer-Encoding: chunked") + b"1;",
            request("POST", "/predict", JSON, "Transfer-Encoding: chunked") + b"0\r\n",
            request("POST", "/v2/repository/index", "Content-Length: 4000"),
        ],
    )
    def test_a_request_that_drips_is_a_408(self, hasty: Running, start: bytes) -> None:
        with Neighbour(hasty.port) as neighbour, wire(hasty) as attacker:
            drip(attacker.send(start))
            assert error(attacker.reply()) == (408, "request_timeout", True)
            assert attacker.ended() in {"closed", "reset"}  # it may drip on after that
            neighbour.goes_on()

    @pytest.mark.parametrize("drops", [b"", b"\r\n"])
    def test_a_connection_on_which_nothing_comes_is_closed(self, hasty: Running, drops: bytes) -> None:
        with wire(hasty) as attacker:
            if drops:
                drip(attacker, drops)
            assert attacker.ended() in {"closed", "reset"}

    @pytest.mark.parametrize(("path", "drops"), [("/health", b""), ("/docs", b"\r\n")])
    def test_an_idle_one_is_kept_longer_but_not_for_ever(self, hasty: Running, path: str, drops: bytes) -> None:
        with wire(hasty) as idle, wire(hasty) as silent:
            assert idle.send(request("GET", path)).reply().status == 200
            assert silent.ended() == "closed"
            assert idle.silent()
            if drops:
                drip(idle, drops)
            assert idle.ended() in {"closed", "reset"}

    def test_a_busy_one_is_kept(self, hasty: Running) -> None:
        end = time.monotonic() + 5.5  # longer than each limit
        with wire(hasty) as client:
            while time.monotonic() < end:
                for data in (ask(FLOWER), HEALTH, request("GET", "/docs")):
                    assert client.send(data).reply().status == 200

    def test_time_while_the_server_does_not_read_is_not_the_clients(self, hasty: Running) -> None:
        """The next request waits unread while a prediction takes longer than a request may take to arrive."""
        data = ask(FLOWER)
        with wire(hasty) as client:
            with held(hasty), wire(hasty) as silent:
                client.send(data + data[:-3])
                assert silent.ended() == "closed"
                assert client.silent()
            assert client.reply().status == 200
            assert client.send(data[-3:]).reply().status == 200

    @pytest.mark.parametrize("last", ["Connection: close", "Connection: keep-alive"])
    def test_one_that_does_not_take_its_answers_is_cut(self, hasty: Running, last: str) -> None:
        rows = b'{"features":[' + b",".join([FLOWER[12:-1]] * 10_000) + b'],"return_probabilities":true}'
        for path, body in (("/predict", rows), ("/docs/swagger-ui-bundle.js", None)):
            with Neighbour(hasty.port) as neighbour, wire(hasty, receive_bytes=4096) as attacker:
                attacker.send(request("POST" if body else "GET", path, JSON, last, body=body))
                poll(partial(is_closed, hasty, attacker.socket.getsockname()), "the server gives up")
                neighbour.goes_on()

    def test_so_is_one_that_asks_for_more_and_more_of_them(self, hasty: Running) -> None:
        with Neighbour(hasty.port) as neighbour, wire(hasty, receive_bytes=4096) as attacker:
            flood(attacker, HEALTH * 1000, partial(is_closed, hasty, attacker.socket.getsockname()))
            neighbour.goes_on()


def is_closed(running: Running, client: Any) -> bool:
    every: set[Any] = {*running.server.server_state.connections}
    return all(connection.client != client for connection in every)


def flood(attacker: Wire, data: bytes, enough: Callable[[], bool]) -> None:
    """Send as much as goes, and read nothing, until it is enough."""
    attacker.socket.setblocking(False)
    end = time.monotonic() + PATIENCE_SECONDS
    sent = 0
    while not enough():
        assert time.monotonic() < end, "the server takes it for ever"
        try:
            sent += attacker.socket.send(memoryview(data)[sent % len(data) :])
        except BlockingIOError:
            time.sleep(0.005)
        except OSError:
            return


class TestMemory:
    def test_a_client_that_reads_nothing_does_not_make_the_server_hold_answers(self, patient: Running) -> None:
        rows = b'{"features":[' + b",".join([FLOWER[12:-1]] * 500) + b'],"return_probabilities":true}'
        kinds = (HEALTH, ask(b"{"), ask(rows), request("GET", "/openapi.json"), request("GET", "/docs/swagger-ui.css"))
        for data in (*kinds, b"".join(kinds)):
            with wire(patient, receive_bytes=4096) as attacker, Neighbour(patient.port) as neighbour:
                mine = attacker.socket.getsockname()
                found: list[int] = []

                def stuck(mine: Any = mine, found: list[int] = found) -> bool:
                    found.append(unsent(patient, mine))
                    return len(found) > 100 and found[-1] > 0 and found[-1] == found[-50]

                flood(attacker, data * 20, stuck)
                assert 0 < max(found) < 3_000_000
                neighbour.goes_on()

    @pytest.mark.timeout(600)
    def test_floods_leave_the_process_as_small_as_it_was(self, trained: Path, tmp_path: Path) -> None:
        options = ("--version", "v1", "--receive-seconds", "1", "--max-body-bytes", "1000000")
        with serving(trained, tmp_path, *options) as (process, url, _):
            await_ready(url)
            port = int(url.rpartition(":")[2])
            with Neighbour(port) as neighbour:
                neighbour.goes_on()
                before = resident(process.pid)
                for data in FLOODS:
                    with wires(port, 10) as attackers:
                        for attacker in attackers:
                            attacker.socket.setblocking(False)
                        end = time.monotonic() + PATIENCE_SECONDS
                        left = {attacker: memoryview(data) for attacker in attackers}
                        while left and time.monotonic() < end:
                            for attacker, rest in list(left.items()):
                                try:
                                    left[attacker] = rest[attacker.socket.send(rest[:200_000]) :]
                                except BlockingIOError:
                                    pass
                                except OSError:
                                    del left[attacker]
                                    continue
                                if not left[attacker] or not attacker.silent():
                                    del left[attacker]
                        neighbour.goes_on()
                        poll(
                            lambda: resident(process.pid) - before < 30_000_000,
                            f"what {data[:100]!r} took is given back",
                        )
                neighbour.goes_on()


FLOODS = [
    request("GET", "/health", f"A: {'b' * 15_000}")[:-2],
    request("GET", "/nothing", *["A: b"] * 2000)[:-2],
    request("GET", "/health", f"A: {'b' * 5_000_000}"),
    request("POST", "/predict", JSON, "Content-Length: 1000000") + b" " * 900_000,
    request("POST", "/nothing", JSON, "Content-Length: 10000000") + b" " * 9_000_000,
    ask_chunked(b"1\r\n1\r\n" * 100_000 + b"0\r\nA: " + b"b" * 5_000_000),
    ask_chunked(b"1;" + b"a" * 5_000_000),
    HEALTH * 50_000,
    ask(b"{") * 20_000,
    request("GET", "/nothing") * 5_000,
    request("GET", "/health", "Connection: upgrade", "Upgrade: x") * 30_000,
    request("GET", "/" + "a" * 5_000_000),
    *(request("POST", f"/v2/models/{i}{'m' * 10_000}/infer", JSON, body=b"{}") * 3 for i in range(3)),
]


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return 1024 * int(found.group(1))


def unsent(running: Running, client: Any) -> int:
    """Bytes of answers that the server holds for a client."""
    every: set[Any] = {*running.server.server_state.connections}
    return sum(c.transport.get_write_buffer_size() for c in every if c.client == client)


class TestConnections:
    def test_beyond_the_most_probes_are_answered_and_all_else_is_told_to_come_back(
        self, trained: Path, begin: Start
    ) -> None:
        running = begin(str(trained), model="iris", version="v1", max_connections=6).ready()
        running.client.close()
        poll(lambda: connections(running) == 0, "nobody is connected")
        with Neighbour(running.port) as neighbour, wires(running.port, 4) as idle:
            poll(lambda: connections(running) == 6, "all are accepted")
            for path in ("/health", "/ready", "/metrics"):
                with wire(running) as probe:
                    reply = probe.send(request("GET", path)).reply()
                    assert (reply.status, reply.closes) == (200, True)
                    assert probe.ended() == "closed"
            for data in (ask(FLOWER), ask(FLOWER, "Expect: 100-continue"), ask(b" " * 1_000_000), ask_chunked(b"")):
                with wire(running) as client:
                    reply = client.send(data).reply()
                    assert error(reply) == (503, "unavailable", True)
                    assert int(reply.headers["retry-after"]) >= 1
                    assert client.ended() == "closed"
            neighbour.goes_on()
            idle[0].socket.close()
            poll(lambda: connections(running) < 6, "there is room again")
            with wire(running) as client:
                assert client.send(ask(FLOWER)).reply().status == 200
                assert client.send(ask(FLOWER)).reply().status == 200

    def test_well_beyond_the_most_they_are_closed_at_once(self, trained: Path, begin: Start) -> None:
        running = begin(str(trained), model="iris", version="v1", max_connections=2).ready()
        running.client.close()
        poll(lambda: connections(running) == 0, "nobody is connected")
        with Neighbour(running.port) as neighbour, wires(running.port, 100):
            poll(lambda: connections(running) == 102, "all are accepted")
            for _ in range(5):
                with wire(running) as one_more:
                    assert one_more.ended() in {"closed", "reset"}
            neighbour.goes_on()

    def test_more_than_the_process_can_open_harm_no_one(self, trained: Path, tmp_path: Path) -> None:
        with serving(trained, tmp_path, "--version", "v1") as (process, url, _):
            await_ready(url)
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (64, 64))
            port = int(url.rpartition(":")[2])
            with Neighbour(port) as neighbour:
                made = []
                try:
                    for _ in range(150):
                        made.append(Wire(port))  # noqa: PERF401 - those that were made are closed if one fails
                    neighbour.goes_on()
                finally:
                    for attacker in made:
                        attacker.socket.close()
                poll(lambda: answers(port), "others are let in again")


def answers(port: int) -> bool:
    try:
        with Wire(port) as client:
            return client.send(HEALTH).reply().status == 200
    except (AssertionError, OSError):
        return False


class TestPlaces:
    """Of requests that wait while a prediction takes long."""

    def test_probes_are_answered_while_a_prediction_takes_long(
        self, trained: Path, begin: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The model was measured to be slow when it was loaded; now a prediction ends only when the test lets it.

        So it may take as long as it likes, and a server that predicted in the loop would answer none of these. How soon
        they are answered, bench/overload.py says.
        """
        predict, entered, gate = Predictor.predict, threading.Event(), threading.Event()
        gate.set()

        def slowly(predictor: Predictor, inputs: Any) -> Any:
            time.sleep(2 * INLINE_SECONDS)
            entered.set()
            assert gate.wait(10 * PATIENCE_SECONDS)
            return predict(predictor, inputs)

        monkeypatch.setattr(Predictor, "predict", slowly)
        running = begin(str(trained), model="iris", version="v1").ready()
        with wire(running) as slow, wire(running) as probe:
            entered.clear()
            gate.clear()
            try:
                slow.send(ask(FLOWER))
                assert entered.wait(PATIENCE_SECONDS)
                for path in ["/health", "/ready"] * 50:
                    assert probe.send(request("GET", path)).reply().status == 200
                assert slow.silent()  # it still takes long
            finally:
                gate.set()
            assert slow.reply().status == 200

    def test_more_than_may_wait_are_told_to_come_back(self, small: Running) -> None:
        with crowd(small) as (waiting, refused), wire(small) as probe:
            assert error(refused.reply()) == (503, "unavailable", False)
            assert probe.send(HEALTH).reply().status == 200
        for client in (*waiting, refused):
            client.socket.close()

    def test_more_in_one_turn_than_may_wait_are_all_answered_by_a_fast_model(self, small: Running) -> None:
        """The loop reads all that has come before anything runs."""
        with wires(small.port, 50, small.server) as clients:
            clients[0].send(HEALTH).reply()
            with standing(clients[0].other_end().loop):
                for client in clients:
                    client.send(ask(FLOWER))
            assert {client.reply().status for client in clients} == {200}

    def test_those_that_wait_are_answered_and_the_other_when_it_comes_back(self, small: Running) -> None:
        with crowd(small) as (waiting, refused):
            assert int(refused.reply().headers["retry-after"]) >= 1
        for client in waiting:
            with client:
                assert client.reply().status == 200
        with refused:
            assert refused.send(ask(FLOWER)).reply().status == 200

    @pytest.mark.parametrize("how", ["close", "reset", "close after more"])
    def test_a_client_that_leaves_frees_its_place(self, small: Running, how: str) -> None:
        with crowd(small) as (waiting, refused):
            *staying, leaving = waiting
            if how == "reset":
                leaving.reset()
            elif how == "close":
                leaving.socket.close()
            else:
                leaving.send(ask(FLOWER)).half_close()
                leaving.socket.close()
            refused.socket.close()
            new = first_that_waits(small)
        for client in (*staying, new):
            with client:
                assert client.reply().status == 200

    def test_a_client_that_leaves_while_its_prediction_runs_harms_no_one(self, small: Running) -> None:
        with wire(small) as running, wire(small) as staying:
            with held(small) as entered:
                running.send(ask(FLOWER))
                assert entered.wait(PATIENCE_SECONDS)
                assert waits(small, staying.send(ask(FLOWER)))
                before = connections(small)
                running.reset()
                poll(lambda: connections(small) < before, "it is gone")
            assert staying.reply().status == 200

    def test_a_client_that_leaves_while_its_body_is_read_in_a_thread_harms_no_one(
        self, small: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        entered, gate = threading.Event(), threading.Event()

        def slowly(*arguments: Any) -> bytes:
            entered.set()
            assert gate.wait(PATIENCE_SECONDS)
            return inflate(*arguments)

        monkeypatch.setattr("mlplat.serve.service.inflate", slowly)
        with wires(small.port, 2) as (leaving, staying):
            data = ask(gzip.compress(FLOWER), "Content-Encoding: gzip")
            leaving.send(data)
            assert entered.wait(PATIENCE_SECONDS)
            staying.send(data)
            before = connections(small)
            leaving.reset()
            poll(lambda: connections(small) < before, "it is gone")
            gate.set()
            assert staying.reply().status == 200


@contextmanager
def standing(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """The loop of a server stands still."""
    entered, gate = threading.Event(), threading.Event()

    def stand() -> None:
        entered.set()
        assert gate.wait(PATIENCE_SECONDS)

    loop.call_soon_threadsafe(stand)
    assert entered.wait(PATIENCE_SECONDS)
    try:
        yield
    finally:
        gate.set()


@contextmanager
def crowd(running: Running) -> Iterator[tuple[list[Wire], Wire]]:
    """A prediction takes long, and so many clients wait behind it that the next one is refused: those, and that."""
    with held(running) as entered:
        waiting = [wire(running).send(ask(FLOWER))]
        assert entered.wait(PATIENCE_SECONDS)
        while waits(running, client := wire(running).send(ask(FLOWER))):
            waiting.append(client)
            assert len(waiting) < 10
        yield waiting, client


def first_that_waits(running: Running) -> Wire:
    """Ask, each time on a new connection, until it is not refused."""
    made: list[Wire] = []

    def taken() -> bool:
        client = wire(running).send(ask(FLOWER))
        if waits(running, client):
            made.append(client)
        else:
            assert client.reply().status == 503
            client.socket.close()
        return bool(made)

    poll(taken, "a place is free")
    return made[0]


def waits(running: Running, client: Wire) -> bool:
    """Whether a client waits that has asked, and is not answered at once."""
    client.taken()
    with Wire(running.port) as probe:
        probe.send(HEALTH).reply()
    return client.silent()


class TestDeadlines:
    @pytest.mark.parametrize("value", ["0.05", "1e-9", "100", "1e300", "0.05000000000000000000000000000000000000001"])
    def test_no_answer_is_waited_for_longer_than_either_side_wants(self, punctual: Running, value: str) -> None:
        with held(punctual), wire(punctual) as client:
            reply = client.send(ask(FLOWER, f"X-Request-Timeout: {value}")).reply()
            assert error(reply) == (503, "unavailable", False)
            assert int(reply.headers["retry-after"]) >= 1

    def test_a_client_may_want_less_than_the_server(self, patient: Running) -> None:
        with held(patient), wires(patient.port, 2) as (hurried, calm):
            calm.send(ask(FLOWER))
            assert hurried.send(ask(FLOWER, "X-Request-Timeout: 0.05")).reply().status == 503
            assert calm.silent()

    @pytest.mark.parametrize("value", ["", "0", "-1", "nan", "inf", "-inf", "1e999", "soon", "1 s", "0x1", "9" * 400])
    def test_what_is_no_time_is_a_400(self, punctual: Running, value: str) -> None:
        with wire(punctual) as client:
            reply = client.send(ask(FLOWER, f"X-Request-Timeout: {value}")).reply()
            assert error(reply) == (400, "invalid_timeout", False)
            assert client.send(ask(FLOWER, "X-Request-Timeout: 10")).reply().status == 200
