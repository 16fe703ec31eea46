"""A line for each prediction, if someone wants it: collected in memory, and written by a thread."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from mlplat import logs
from mlplat.bundle.manifest import utc
from mlplat.serve.exchange import Exchange
from mlplat.serve.traces import trace_fields

MOST_LINES = 100_000
"""So many lines wait at most to be written; more are dropped, and counted in a line of their own."""


class AccessLog:
    """Collects the lines of one server. Belongs to one event loop.

    Args:
        stream: where they go; its `write` must not block for long.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: list[bytes] = []
        self._dropped = 0
        self._writing: asyncio.Future[None] | None = None
        self._second, self._time = 0, ""

    def __call__(self, exchange: Exchange, status: int, seconds: float) -> None:
        """Note that a request was answered."""
        target = exchange.head.target
        if target is None or target.protocol is None:
            return
        if len(self._lines) >= MOST_LINES:
            self._dropped += 1
            return
        second = int(time.time())
        if second != self._second:
            self._second, self._time = second, utc(datetime.fromtimestamp(second, UTC))
        served = getattr(exchange, "served", None)  # not set where it was refused before
        line: dict[str, Any] = {
            "protocol": target.protocol.name,
            "version": None if served is None else served.manifest.version,
            "status": status,
            "rows": exchange.rows,
            "seconds": round(seconds, 6),
        }
        if b"traceparent" in exchange.head.headers:
            line |= trace_fields(exchange.head.headers)
        line |= {"event": "request", "level": "info", "time": self._time}
        self._lines.append(msgspec.json.encode(line))

    def flush(self) -> None:
        """Let a thread write what was collected, unless it writes still; called several times a second."""
        if not self._lines or (self._writing is not None and not self._writing.done()):
            return
        lines, self._lines = self._lines, []
        if self._dropped:
            logs.get().warning("access_log_dropped", lines=self._dropped)
            self._dropped = 0
        self._writing = asyncio.get_running_loop().run_in_executor(None, self._write, lines)

    def close(self) -> None:
        """Write what is left."""
        self._write(self._lines)
        self._lines = []

    def _write(self, lines: list[bytes]) -> None:
        for line in lines:
            self._stream.write(line.decode() + "\n")
        self._stream.flush()
