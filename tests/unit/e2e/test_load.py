"""The load generator of the cluster's tests, against a real server that misbehaves on purpose."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.e2e import load
from tests.e2e.load import Load, Result, Shape, Target

Answerer = Callable[[int, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool]]
"""Answers request number N; false closes the connection."""


def answer(version: str = "v1", *, status: str = "200 OK", closing: bool = False) -> bytes:
    body = json.dumps({"prediction": "setosa", "model_version": version}).encode()
    close = "Connection: close\r\n" if closing else ""
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{close}\r\n".encode() + body


def always(data: bytes, *, keep: bool = True) -> Answerer:
    async def reply(_: int, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(data)
        return keep

    return reply


class Server:
    """Reads whole requests and lets an Answerer answer each."""

    def __init__(self, reply: Answerer) -> None:
        self.requests: list[bytes] = []
        self._reply = reply

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(line for line in head.decode().split("\r\n") if line.startswith("Content-Length"))
                self.requests.append(head + await reader.readexactly(int(length.split(":")[1])))
                if not await self._reply(len(self.requests), reader, writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def measure(reply: Answerer, shape: Shape, **fields: str) -> tuple[Result, Server]:
    """What a load sees of a server, and the server."""

    async def both() -> tuple[Result, Server]:
        served = Server(reply)
        server = await asyncio.start_server(served, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            result = await Load(Target(f"http://127.0.0.1:{port}/predict", **fields), shape).run()
        return result, served

    return asyncio.run(both())


def few(requests: int, *, keep_alive: int = 1, fresh: int = 0, timeout: float = 10.0) -> Shape:
    return Shape(keep_alive=keep_alive, fresh=fresh, rate=0, seconds=30, requests=requests, timeout=timeout)


def test_every_answer_is_counted_by_its_version_and_time() -> None:
    async def reply(number: int, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(answer("v1" if number <= 30 else "v2"))
        return True

    result, server = measure(reply, few(50))

    assert (result.answered, result.failed) == (50, 0) == (len(server.requests), 0)
    assert {name: seen.count for name, seen in result.versions.items()} == {"v1": 30, "v2": 20}
    assert result.versions["v1"].last <= result.versions["v2"].first
    assert sum(count for versions in result.timeline.values() for count in versions.values()) == 50
    end = result.started + result.seconds + load.TENTH
    assert result.versions_between(result.started, end) == {"v1", "v2"}
    assert result.versions_between(end, end + 10) == set()
    assert result.versions["v2"].first <= (result.first_after(result.started, "v2") or 0) <= end
    assert result.first_after(end, "v2") is None


def test_kept_connections_are_used_again_and_fresh_ones_never() -> None:
    kept, _ = measure(always(answer()), few(40, keep_alive=2))
    fresh, _ = measure(always(answer()), few(40, keep_alive=0, fresh=2))

    assert kept.connections == 2
    assert fresh.connections == fresh.total >= 40
    assert kept.failed == fresh.failed == 0


def test_an_announced_close_is_no_failure() -> None:
    result, _ = measure(always(answer(closing=True), keep=False), few(20))

    assert (result.answered, result.failed, result.connections) == (20, 0, 20)


def test_a_close_before_the_answer_is_a_failure_and_nothing_is_sent_twice() -> None:
    async def reply(number: int, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if number % 5 == 0:
            return False
        writer.write(answer())
        return True

    result, server = measure(reply, few(50))

    assert (result.answered, result.failed, result.kinds) == (40, 10, {"cut": 10})
    assert len(server.requests) == 50
    assert {failure.detail for failure in result.failures} == {"before the answer"}
    assert all(result.started <= failure.begun <= failure.at for failure in result.failures)
    assert 0 < result.outage_seconds <= result.seconds


def test_a_close_within_the_answer_is_a_failure() -> None:
    result, _ = measure(always(answer()[:-5], keep=False), few(3))

    assert (result.answered, result.kinds) == (0, {"cut": 3})
    assert {failure.detail for failure in result.failures} == {"within the answer"}


def test_a_reset_is_a_failure() -> None:
    async def reply(_: int, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.transport.abort()
        return False

    result, _ = measure(reply, few(3))

    assert result.failed == 3
    assert set(result.kinds) <= {"reset", "cut"}


def test_statuses_strange_answers_and_silence_are_failures_of_their_own_kind() -> None:
    unready, _ = measure(always(answer(status="503 Service Unavailable")), few(2))
    strange, _ = measure(always(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"), few(2))
    foreign, _ = measure(always(b"SSH-2.0-OpenSSH\r\n\r\n"), few(2))

    async def wait(_: int, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> bool:
        await reader.read(1)
        return False

    silent, _ = measure(wait, few(2, timeout=0.1))

    assert unready.kinds == {"status 503": 2}
    assert strange.kinds == {"no prediction": 2}
    assert foreign.kinds == {"not understood": 2}
    assert silent.kinds == {"timeout": 2}


def test_no_server_is_counted_as_refused() -> None:
    async def nobody() -> Result:
        server = await asyncio.start_server(Server(always(answer())), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        return await Load(Target(f"http://127.0.0.1:{port}/predict"), few(3)).run()

    assert asyncio.run(nobody()).kinds == {"refused": 3}


def test_host_key_path_and_body_are_sent() -> None:
    _, server = measure(always(answer()), few(1), host="models.test", key="sesame", body='{"x": 1}')

    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /predict HTTP/1.1\r\nHost: models.test\r\n")
    assert b"X-API-Key: sesame" in head
    assert body == b'{"x": 1}'


def test_the_rate_is_a_bound() -> None:
    result, _ = measure(always(answer()), Shape(keep_alive=3, fresh=1, rate=100, seconds=1.0))

    assert 4 <= result.total <= 104


def test_a_result_survives_its_line_and_says_what_matters() -> None:
    result, _ = measure(always(answer(status="503 Service Unavailable")), few(2))

    read = Result.from_json(result.to_json())

    assert read == result
    assert "2 failed of 2" in read.summary()
    assert "status 503 2" in read.summary()


@contextmanager
def served(reply: Answerer) -> Iterator[str]:
    """A server in a thread; its URL."""
    started = threading.Event()
    urls: list[str] = []

    async def serve() -> None:
        server = await asyncio.start_server(Server(reply), "127.0.0.1", 0)
        urls.append(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/predict")
        stop = asyncio.Event()
        stops.append(lambda: loop.call_soon_threadsafe(stop.set))
        loop = asyncio.get_running_loop()
        started.set()
        async with server:
            await stop.wait()

    stops: list[Callable[[], object]] = []
    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(10)
    try:
        yield urls[0]
    finally:
        stops[0]()
        thread.join()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_as_a_program_it_runs_until_a_signal_and_writes_the_result(number: signal.Signals) -> None:
    with served(always(answer())) as url:
        command = [sys.executable, load.__file__, url, "--seconds", "30", "--rate", "200", "--keep-alive", "2"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["answered"] > 0
            process.send_signal(number)
            result = Result.from_json(process.stdout.read().splitlines()[-1])

    assert process.returncode == 0
    assert result.failed == 0
    assert result.seconds < 20
