"""Connections that come faster than the loop turns."""

import asyncio
import socket
import threading
import time
from contextlib import ExitStack

import pytest

from mlplat.serve.run import DrainingServer

from .conftest import Running, poll

CROWD = 200


@pytest.fixture
def loop_of(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.AbstractEventLoop]:
    """The loop of the server that starts next."""
    found: list[asyncio.AbstractEventLoop] = []
    tick = DrainingServer.on_tick

    async def on_tick(server: DrainingServer, counter: int) -> bool:
        found[:] = [asyncio.get_running_loop()]
        return await tick(server, counter)

    monkeypatch.setattr(DrainingServer, "on_tick", on_tick)
    return found


def test_a_crowd_is_taken_in_few_turns_of_a_busy_loop(loop_of: list[asyncio.AbstractEventLoop], iris: Running) -> None:
    """libuv takes one a turn."""
    poll(lambda: loop_of, "the loop is known")
    loop, state = loop_of[0], iris.server.server_state
    turns = 0
    waiting = threading.Event()

    def turn() -> None:
        nonlocal turns
        assert waiting.wait(30)
        turns += 1
        time.sleep(0.005)
        if len(state.connections) < CROWD:
            loop.call_soon(turn)

    with ExitStack() as stack:
        loop.call_soon_threadsafe(turn)
        crowd = [stack.enter_context(socket.create_connection(("127.0.0.1", iris.port))) for _ in range(CROWD)]
        crowd[-1].sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        waiting.set()
        assert crowd[-1].recv(12) == b"HTTP/1.1 200"
        poll(lambda: len(state.connections) >= CROWD, "all are taken")
        assert all(
            each.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            for each in list(state.connections)
        )
    assert turns < CROWD / 2
    poll(lambda: len(state.connections) < CROWD, "they are gone")
