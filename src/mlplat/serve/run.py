"""The serving process: a socket, a server that drains, and everything it needs, put together."""

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import cast

import uvicorn

from mlplat import logs
from mlplat.bundle import names
from mlplat.metrics import ServeMetrics
from mlplat.serve.accesslog import AccessLog
from mlplat.serve.agreement import Comparison
from mlplat.serve.app import create_app
from mlplat.serve.connection import Connection
from mlplat.serve.descriptors import connections_for
from mlplat.serve.keys import KeyRing
from mlplat.serve.lifecycle import Lifecycle, Source
from mlplat.serve.limits import ConnectionLimits
from mlplat.serve.protocols import Limits
from mlplat.serve.service import Service
from mlplat.serve.spans import Spans
from mlplat.settings import ServeSettings
from mlplat.store import Cache
from mlplat.web.listening import listen, shown

FINISH_SECONDS = 5
"""Beyond the deadline of a request, how long the end may take before connections are cut."""


SWEEP_TICKS = 3
"""Tenths of a second between looks at which connections have been idle, slow or stalled for too long."""

LOOK_TICKS = 10
"""Tenths of a second between looks at the API keys; a new one works within this time."""

TICK_SECONDS = 0.1

ACCEPTED_A_TICK = 500
"""So many connections that wait to be taken are taken at once."""


class Threads(ThreadPoolExecutor):
    """Threads whose work, such as a store that does not answer, nobody waits for once the loop ends."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = True) -> None:  # noqa: ARG002 - its signature
        """Take no more work."""
        super().shutdown(wait=False, cancel_futures=cancel_futures)


class DrainingServer(uvicorn.Server):
    """A uvicorn server that serves on for a while after SIGTERM, so that no routed request is lost.

    SIGTERM drains; a second one, or SIGINT, stops listening at once and finishes what is in flight; a third gives up.
    A server that was never ready does not wait: no request was routed to it. The exit code is 0: being asked to end is
    no failure.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        lifecycle: Lifecycle,
        drain_seconds: float,
        metrics: ServeMetrics,
        keys: KeyRing,
        *,
        access_log: AccessLog | None = None,
        spans: Spans | None = None,
    ) -> None:
        super().__init__(config)
        self._metrics = metrics
        self._keys = keys
        self._access_log = access_log
        self._spans = spans
        self.lifecycle = lifecycle
        self._drain_seconds = drain_seconds
        self._close_at: float | None = None
        self._unsaid: float | None = None
        self._hurried = False
        self._listeners: list[socket.socket] = []

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Uvicorn's hook for SIGTERM and SIGINT; says nothing, as it may interrupt whoever holds the log's lock."""
        if self._hurried:
            self.force_exit = True
        elif sig == signal.SIGTERM and self._close_at is None:
            self._unsaid = self._drain_seconds if self.lifecycle.ready else 0.0
            self._close_at = time.monotonic() + self._unsaid
            self.lifecycle.drain()
        else:
            self._hurried = self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Uvicorn's hook for the start."""
        asyncio.get_running_loop().set_default_executor(Threads())
        await super().startup(sockets)
        self._listeners = sockets or []

    async def on_tick(self, counter: int) -> bool:
        """Uvicorn's hook, called ten times a second."""
        if self._unsaid is not None:
            lifecycle, seconds, self._unsaid = self.lifecycle, self._unsaid, None
            logs.get().info("draining", model=lifecycle.source.model, version=lifecycle.version, seconds=seconds)
        if self._close_at is not None and time.monotonic() >= self._close_at:
            self.should_exit = True
        self._metrics.settle()
        if self._access_log is not None:
            self._access_log.flush()
        if counter % SWEEP_TICKS == 0:
            await self._sweep()
        if counter % LOOK_TICKS == 0:
            self._keys.look()
        await self._accept_waiting()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Uvicorn's hook for the end: of connections and lifespan, then of what is noted about requests."""
        self.lifecycle.drain()
        late = self._accepted(None)  # a listener that is closed resets those that nobody has taken yet
        for server in self.servers:
            server.close()
        await self._connect(late)
        sweeping = asyncio.create_task(self._sweep_on())
        await super().shutdown(sockets)
        sweeping.cancel()
        for connection in list(self.server_state.connections):  # they had their time
            connection.transport.abort()
        if self.force_exit:  # uvicorn then leaves it out
            await self.lifespan.shutdown()
        self._metrics.settle()
        if self._access_log is not None:
            self._access_log.flush()
        if self._spans is not None:
            await asyncio.to_thread(self._spans.close)

    async def _accept_waiting(self) -> None:
        """Take the connections that wait to be taken.

        libuv takes one a turn of the loop. Of a busy loop, which turns slowly, a probe on a new connection would have to
        wait for seconds behind all others that connect.
        """
        await self._connect(self._accepted(ACCEPTED_A_TICK))

    def _accepted(self, most: int | None) -> list[socket.socket]:
        """The connections that wait to be taken, up to `most` if that is given."""
        taken: list[socket.socket] = []
        for listener in self._listeners:
            with suppress(OSError):  # there are no more, or no more can be open
                while most is None or len(taken) < most:
                    taken.append(listener.accept()[0])
        return taken

    async def _connect(self, taken: list[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        made = [loop.connect_accepted_socket(self._new_connection, one) for one in taken]
        await asyncio.gather(*made, return_exceptions=True)

    def _new_connection(self) -> asyncio.Protocol:
        """As uvicorn makes them."""
        make = cast("Callable[..., asyncio.Protocol]", self.config.http_protocol_class)
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    async def _sweep(self) -> None:
        """End what has been idle, slow or stalled for too long; but read what came meanwhile before.

        A loop that stood still calls its timers first.
        """
        await asyncio.sleep(0)
        now = asyncio.get_running_loop().time()
        for connection in list(self.server_state.connections):
            if isinstance(connection, Connection):
                try:
                    connection.sweep(now)
                except Exception as error:  # noqa: BLE001 - a bug, which must not end the whole server
                    logs.get().error("connection_failed", exc_info=error)
                    connection.transport.abort()

    async def _sweep_on(self) -> None:
        """Go on with what `on_tick` does, which uvicorn does not call while it ends."""
        while True:
            await self._sweep()
            await asyncio.sleep(TICK_SECONDS)


def run(settings: ServeSettings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        MlplatError: if the address cannot be listened on.
        UsageError: if there are no API keys where they should be.
    """
    server = make_server(settings)
    listener = listen(settings.host, settings.port)
    logs.drop_if_blocked()
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn takes them only while its loop runs
        signal.signal(number, server.handle_exit)
    host, port = listener.getsockname()[:2]
    logs.get().info(
        "listening",
        url=f"http://{shown(host)}:{port}",
        model=settings.model,
        version=settings.version,
        alias=settings.alias,
    )
    server.run(sockets=[listener])
    logs.get().info("stopped", model=settings.model, version=server.lifecycle.version)


def make_server(settings: ServeSettings) -> DrainingServer:
    """A server with all that it needs; it neither listens nor loads yet.

    Raises:
        UsageError: if a name can be none, or there are no API keys where they should be.
    """
    for name, what in (
        (settings.model, "model"),
        (settings.version, "version"),
        (settings.alias, "alias"),
        (settings.compare_with, "version"),
    ):
        if name is not None:
            names.check(name, what)
    access_log = AccessLog(logs.Dropping(sys.stderr.fileno()).offer) if settings.access_log else None
    metrics = ServeMetrics(None if access_log is None else access_log.extend)
    cache = Cache(settings.cache, max_bytes=settings.cache_bytes)
    lifecycle = Lifecycle(
        Source(settings.store, settings.model, settings.version, settings.alias),
        cache,
        metrics,
        threads=settings.threads,
        poll_seconds=settings.poll_seconds,
        max_waiting=settings.max_waiting,
        limits=Limits(settings.max_rows, settings.max_horizon),
        allow_pickle=settings.allow_pickle,
    )
    keys = KeyRing(() if settings.api_keys is None else settings.api_keys.split(","), settings.api_keys_path)
    comparison = Comparison(lifecycle, cache, metrics, settings.compare_with) if settings.compare_with else None
    spans = Spans.exporting(f"mlplat-{settings.model}") if settings.tracing else None
    service = Service(
        lifecycle,
        keys,
        metrics,
        deadline=settings.deadline_seconds,
        body_bytes=settings.max_body_bytes,
        drain_unready=settings.drain_unready,
        access_log=access_log,
        spans=spans,
    )
    limits = ConnectionLimits(
        head_bytes=settings.max_head_bytes,
        body_bytes=settings.max_body_bytes,
        receive_seconds=settings.receive_seconds,
        keep_alive_seconds=settings.keep_alive_seconds,
        connections=connections_for(settings.max_connections),
    )
    config = uvicorn.Config(
        create_app(lifecycle, metrics, keys, comparison=comparison, drain_unready=settings.drain_unready),
        http=cast("type[Connection]", partial(Connection, service, limits)),
        loop="uvloop",
        lifespan="on",
        access_log=False,
        log_config=None,
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=int(settings.deadline_seconds) + FINISH_SECONDS,
    )
    return DrainingServer(config, lifecycle, settings.drain_seconds, metrics, keys, access_log=access_log, spans=spans)
