"""The serving process as Kubernetes and a person see it: signals, exit codes, and what it loads."""

import json
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from tests.wire import Reply, Wire, request, wires

from mlplat.errors import MlplatError
from mlplat.serve.exchange import Exchange
from mlplat.serve.run import TICK_SECONDS
from mlplat.serve.service import Service
from mlplat.web.listening import listen

from .conftest import FLOWER, Running, Start, await_ready, held, poll, serving

INTERRUPTED = """
import signal, sys
from mlplat import logs
from mlplat.serve.run import run
from mlplat.settings import ServeSettings
write = logs.Dropping.write
def interrupted(stream, text):
    if "listening" in text:
        signal.raise_signal(signal.SIGTERM)
    return write(stream, text)
logs.Dropping.write = interrupted
logs.configure()
run(ServeSettings(store=sys.argv[1] + "/none", model="iris", version="v1", cache=sys.argv[1], host="127.0.0.1", port=0))
"""

ASKED = request("POST", "/predict", "Content-Type: application/json", body=json.dumps(FLOWER).encode())
HEALTH = request("GET", "/health")

LOADED = """
import sys, threading, urllib.request
import mlplat.cli.main
from mlplat.serve.run import make_server
from mlplat.web.listening import listen
from mlplat.settings import ServeSettings
server = make_server(ServeSettings(store=sys.argv[1], model="iris", version="v1", cache=sys.argv[2]))
listener = listen("127.0.0.1", 0)
thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
thread.start()
while not server.lifecycle.ready:
    assert thread.is_alive()
url = f"http://127.0.0.1:{listener.getsockname()[1]}/predict"
request = urllib.request.Request(url, b'{"features": [1, 2, 3, 4]}', {"Content-Type": "application/json"})
assert urllib.request.urlopen(request).status == 200
server.should_exit = True
thread.join()
print("loaded:", *sorted({name.partition(".")[0] for name in sys.modules} & {"sklearn", "scipy", "pandas", "pyarrow", "joblib"}))
"""


class Load:
    """Clients that each ask again as soon as they are answered, and leave when they are told to.

    Attributes:
        answered: answers so far.
        told: how many were told to leave.
        returns: how often each of them comes back.
    """

    def __init__(self, port: int, clients: int, returns: int) -> None:
        self._port = port
        self._selector = selectors.DefaultSelector()
        self.answered = 0
        self.told = 0
        self.returns = returns
        for _ in range(clients):
            self._connect(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for key in list(self._selector.get_map().values()):
            key.data[0].socket.close()
        self._selector.close()

    def run(self, until: Callable[[], bool]) -> None:
        """Ask until it is enough or nobody is left; whoever is not answered, or is reset, fails the test."""
        while not until() and self._selector.get_map():
            ready = self._selector.select(30)
            assert ready, "the server answers no more"
            for key, _ in ready:
                self._answer(*key.data)

    def _answer(self, wire: Wire, returned: int) -> None:
        reply = wire.reply()
        assert reply.status == 200
        self.answered += 1
        if not reply.closes:
            wire.send(ASKED)
            return
        self.told += 1
        self._selector.unregister(wire.socket)
        assert wire.ended() == "closed"
        wire.socket.close()
        if returned < self.returns:
            self._connect(returned + 1)

    def _connect(self, returned: int) -> None:
        wire = Wire(self._port).send(ASKED)
        self._selector.register(wire.socket, selectors.EVENT_READ, (wire, returned))


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def events(log: Path) -> list[str]:
    return [json.loads(line)["event"] for line in log.read_text().splitlines()]


class TestSigterm:
    def test_under_load_fails_no_request_and_tells_every_client_to_leave(self, trained: Path, tmp_path: Path) -> None:
        options = ("--version", "v1", "--drain-seconds", "10", "--deadline-seconds", "5")
        with serving(trained, tmp_path, *options) as (process, url, log):
            await_ready(url)
            with Load(port_of(url), clients=32, returns=2) as load:
                load.run(lambda: load.answered >= 1000)
                assert load.told == 0
                process.send_signal(signal.SIGTERM)
                load.run(lambda: False)
                assert load.told == 3 * 32
            assert process.wait(60) == 0
            assert events(log) == ["listening", "ready", "draining", "stopped"]

    def test_a_second_one_ends_the_drain(self, trained: Path, tmp_path: Path) -> None:
        with serving(trained, tmp_path, "--version", "v1", "--drain-seconds", "3600") as (process, url, log):
            await_ready(url)
            with Load(port_of(url), clients=16, returns=0) as load:
                load.run(lambda: load.answered >= 100)
                process.send_signal(signal.SIGTERM)
                load.run(lambda: False)
                assert load.told == 16
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
            assert events(log) == ["listening", "ready", "draining", "stopped"]

    def test_at_the_first_moment_exits_with_0(self, trained: Path, tmp_path: Path) -> None:
        with serving(trained, tmp_path, "--version", "v1", "--drain-seconds", "0") as (process, _url, _log):
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0

    def test_within_a_line_of_the_log_exits_with_0(self, tmp_path: Path) -> None:
        """The line holds a lock while it is written, and the handler of a signal interrupts it."""
        command = [sys.executable, "-c", INTERRUPTED, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        said = [json.loads(line)["event"] for line in done.stderr.splitlines()]
        assert [event for event in said if event != "not_ready"] == ["listening", "draining", "stopped"]

    def test_while_there_is_no_version_yet_exits_with_0_without_a_drain(self, tmp_path: Path) -> None:
        with serving(tmp_path / "none", tmp_path, "--version", "v1", "--drain-seconds", "3600") as (process, url, _):
            assert httpx.get(f"{url}/ready").status_code == 503
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0

    def test_while_the_store_does_not_answer_waits_for_no_thread(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with silent_store(monkeypatch) as (store, asked), serving(store, tmp_path, "--version", "v1") as served:
            process, url, log = served
            assert httpx.get(f"{url}/ready").status_code == 503
            poll(asked, "the store is asked")
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            assert events(log) == ["listening", "draining", "stopped"]

    def test_a_prediction_that_takes_for_ever_is_given_up(self, trained: Path, tmp_path: Path) -> None:
        options = ("--version", "v1", "--drain-seconds", "0", "--deadline-seconds", "1", "--max-horizon", "100000000")
        body = json.dumps({"values": [50.0, 51.0, 52.0, 53.0, 54.0], "horizon": 100_000_000}).encode()
        with serving(trained, tmp_path, "--model", "forecast", *options) as (process, url, log):
            await_ready(url)
            with Wire(port_of(url)) as wire:
                wire.send(request("POST", "/predict", body=body))
                process.send_signal(signal.SIGTERM)
                reply = wire.reply()
                assert (reply.status, reply.closes) == (503, True)
            assert process.wait(60) == 0
            assert events(log) == ["listening", "ready", "draining", "stopped"]


@contextmanager
def silent_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Callable[[], bool]]]:
    """The URL of an S3 that takes connections and says nothing, and whether one has come."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{listener.getsockname()[1]}",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }.items():
            monkeypatch.setenv(name, value)
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            yield "s3://bucket/models", lambda: bool(selector.select(0))


def sigterm(running: Running) -> None:
    """What a signal does; it cannot be sent to a thread."""
    running.server.handle_exit(signal.SIGTERM, None)


def ended(running: Running) -> bool:
    return bool(running.server.lifespan.shutdown_event.is_set())


class TestTheEnd:
    """Of connections in every state, when the drain is over."""

    @pytest.fixture
    def leaving(self, trained: Path, start: Start, monkeypatch: pytest.MonkeyPatch) -> Running:
        monkeypatch.setattr("mlplat.serve.connection.LINGER_SECONDS", 30.0)
        running = start(str(trained), model="iris", version="v1", drain_seconds=0, receive_seconds=30).ready()
        running.client.close()
        return running

    def test_idle_connections_are_closed_without_a_reset(self, leaving: Running) -> None:
        with wires(leaving.port, 4) as (used, by_asgi, new, empty_line):
            used.send(ASKED).reply()
            by_asgi.send(request("GET", "/docs")).reply()
            empty_line.send(b"\r\n")
            sigterm(leaving)
            for wire in (used, by_asgi, new, empty_line):
                assert wire.ended() == "closed"
        poll(lambda: ended(leaving), "the server ends")

    def test_predictions_under_way_are_finished(self, leaving: Running) -> None:
        with wires(leaving.port, 3, leaving.server) as (running, waiting, pipelined):
            with held(leaving) as entered:
                running.send(ASKED)
                assert entered.wait(30)
                waiting.send(ASKED).taken()
                pipelined.send(ASKED * 3 + HEALTH).taken()
                sigterm(leaving)
                poll(lambda: _refused(leaving.port), "the server stopped listening")
                assert not ended(leaving)
            for wire in (running, waiting):
                assert last(wire.reply())
                assert wire.ended() == "closed"
            assert [pipelined.reply().closes for _ in range(4)] == [False, False, False, True]
            assert pipelined.ended() == "closed"
        poll(lambda: ended(leaving), "the server ends")

    def test_so_are_requests_that_arrive_slowly(self, leaving: Running) -> None:
        cuts = (1, 30, len(ASKED) - 20, len(ASKED) - 1)
        with wires(leaving.port, len(cuts), leaving.server) as clients:
            for wire, cut in zip(clients, cuts, strict=True):
                wire.send(ASKED[:cut]).taken()
            sigterm(leaving)
            poll(lambda: _refused(leaving.port), "the server stopped listening")
            for wire, cut in zip(clients, cuts, strict=True):
                wire.send(ASKED[cut:])
                assert last(wire.reply())
                assert wire.ended() == "closed"
        poll(lambda: ended(leaving), "the server ends")

    def test_a_head_that_never_arrives_is_not_waited_for_long(
        self, leaving: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("mlplat.serve.connection.LINGER_SECONDS", 1.0)
        with Wire(leaving.port) as wire:
            wire.send(HEALTH)
            assert wire.reply().status == 200
            wire.send(ASKED[:20])
            poll(lambda: receiving(leaving) == 1, "it is read")
            sigterm(leaving)
            reply = wire.reply()
            assert (reply.status, reply.closes) == (408, True)
            assert wire.ended() == "closed"
        poll(lambda: ended(leaving), "the server ends")

    def test_a_client_that_will_send_no_more_is_answered(self, leaving: Running) -> None:
        with Wire(leaving.port) as wire:
            with held(leaving) as entered:
                wire.send(ASKED)
                assert entered.wait(30)
                wire.half_close()
                assert wire.reply().status == 100  # asks whether it is there still
                sigterm(leaving)
                poll(lambda: _refused(leaving.port), "the server stopped listening")
            assert last(wire.reply())
            assert wire.ended() == "closed"
        poll(lambda: ended(leaving), "the server ends")

    def test_a_body_that_is_refused_is_read_to_its_end(self, leaving: Running) -> None:
        half = 500_000
        with Wire(leaving.port) as wire:
            wire.send(
                request("POST", "/predict", "Content-Type: text/html", f"Content-Length: {2 * half}") + b"x" * half
            )
            assert wire.reply().status == 415
            sigterm(leaving)
            poll(lambda: _refused(leaving.port), "the server stopped listening")
            wire.send(b"x" * half)
            assert wire.ended() == "closed"
        poll(lambda: ended(leaving), "the server ends")

    def test_a_large_answer_is_taken_to_its_end(self, leaving: Running) -> None:
        body = json.dumps({"features": [FLOWER["features"]] * 10_000, "return_probabilities": True}).encode()
        with Wire(leaving.port, receive_bytes=4096) as wire:
            wire.send(request("POST", "/predict", body=body))
            poll(lambda: not wire.silent(), "the answer begins")
            sigterm(leaving)
            poll(lambda: _refused(leaving.port), "the server stopped listening")
            assert len(wire.reply().json["predictions"]) == 10_000
            assert wire.ended() == "closed"
        poll(lambda: ended(leaving), "the server ends")

    def test_clients_that_take_nothing_hold_up_nothing(self, trained: Path, start: Start) -> None:
        leaving = start(str(trained), model="iris", version="v1", drain_seconds=0, receive_seconds=0.5).ready()
        body = json.dumps({"features": [FLOWER["features"]] * 10_000, "return_probabilities": True}).encode()
        with wires(leaving.port, 2) as (slow, silent), Wire(leaving.port, receive_bytes=4096) as stalled:
            slow.send(ASKED[:-1])
            stalled.send(request("POST", "/predict", body=body))
            poll(lambda: not stalled.silent(), "the answer begins")
            sigterm(leaving)
            poll(lambda: ended(leaving), "the server ends")
            assert slow.reply().status == 408
            assert silent.ended() == "closed"

    def test_what_came_while_the_loop_stood_still_is_answered(
        self, leaving: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A loop that stood still calls its timers, and with them what closes idle connections, before it reads."""
        monkeypatch.setattr("mlplat.serve.connection.MOMENT_SECONDS", 60.0)
        entered, asked = threading.Event(), threading.Event()
        with wires(leaving.port, 2, leaving.server) as (idle, other):
            idle.send(ASKED).reply()
            other.send(HEALTH[:-1]).taken()
            connection = idle.other_end()

            def stand(service: Service, exchange: Exchange) -> None:
                entered.set()
                assert asked.wait(30)
                connection._due = time.monotonic()
                while time.monotonic() < connection._due + 2 * TICK_SECONDS:
                    time.sleep(0.01)
                answer(service, exchange)

            answer = Service.answer
            sigterm(leaving)
            poll(lambda: connection._ending, "connections end")
            with monkeypatch.context() as patched:
                patched.setattr(Service, "answer", stand)
                other.send(HEALTH[-1:])
                assert entered.wait(30)
            idle.send(ASKED)
            asked.set()
            assert last(idle.reply())
            assert idle.ended() == "closed"
        poll(lambda: ended(leaving), "the server ends")

    def test_a_third_signal_ends_all_at_once(self, leaving: Running) -> None:
        with Wire(leaving.port) as wire, held(leaving) as entered:
            wire.send(ASKED)
            assert entered.wait(30)
            for _ in range(2):
                sigterm(leaving)
                poll(lambda: _refused(leaving.port), "the server stopped listening")
                assert wire.silent()
            sigterm(leaving)
            poll(lambda: ended(leaving), "the server ends")
            assert wire.ended() in {"closed", "reset"}


def last(reply: Reply) -> bool:
    assert reply.json["prediction"] == "setosa"
    return reply.closes


def receiving(running: Running) -> int:
    """Connections on which a part of a request has come."""
    every: set[Any] = {*running.server.server_state.connections}
    return sum(connection._receiving for connection in every)


def _refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def test_control_c_ends_it_with_0_and_no_traceback(trained: Path, tmp_path: Path) -> None:
    with serving(trained, tmp_path, "--version", "v1", "--drain-seconds", "3600") as (process, url, log):
        await_ready(url)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert "Traceback" not in log.read_text()


def test_kill_9_leaves_a_cache_that_the_next_process_serves_from(trained: Path, tmp_path: Path) -> None:
    for _ in range(2):
        with serving(trained, tmp_path, "--version", "v1") as (process, url, _log):
            await_ready(url)
            assert httpx.post(f"{url}/predict", json=FLOWER).status_code == 200
            process.kill()


def test_serving_loads_no_scikit_learn_pandas_or_pyarrow(trained: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", LOADED, str(trained), str(tmp_path / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "loaded:"), done.stderr


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MlplatError, match=f"Cannot listen on 127.0.0.1:{port}: Address already in use"):
            listen("127.0.0.1", port)


def test_ipv6_is_listened_on_where_the_machine_has_it() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listen("::1", 0) as listener:
        assert listener.family == socket.AF_INET6


def test_a_rotated_key_works_without_a_restart(trained: Path, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("old\n")

    def status(url: str, key: str) -> Any:
        return httpx.get(f"{url}/version", headers={"X-API-Key": key}).status_code

    with serving(trained, tmp_path, "--version", "v1", "--api-keys-path", str(file)) as (_, url, _log):
        assert status(url, "old") == 200
        file.write_text("old\nnew\n")
        poll(lambda: status(url, "new") == 200, "the new key is taken")
        assert status(url, "old") == 200
        file.write_text("new\n")
        poll(lambda: status(url, "old") == 401, "the old key is refused")
        assert status(url, "new") == 200
