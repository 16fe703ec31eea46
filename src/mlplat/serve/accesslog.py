"""A line for each prediction, if someone wants it: many are written at once, as far as there is room for them."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from select import PIPE_BUF

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlplat import logs
from mlplat.bundle.manifest import utc
from mlplat.serve.exchange import Exchange
from mlplat.serve.traces import trace_fields

MOST_BLOCKS = 4096
"""So many blocks of lines wait at most to be written, 16 MB; more are dropped, and counted in a line of their own."""


class AccessLog:
    """Collects the lines of one server. Belongs to one event loop.

    Args:
        offer: writes a block of whole lines and says True, or does nothing and says False where there is no room for it
            now.
    """

    def __init__(self, offer: Callable[[bytes], bool]) -> None:
        self._offer = offer
        self._lines = b""  # less than a block of them
        self._blocks: deque[bytes] = deque()
        self._dropped = 0

    def note(self, exchange: Exchange, status: int, seconds: float) -> None:
        """Note that a request was answered."""
        head = exchange.head
        if head.target is None or head.target.protocol is None:
            return
        served = getattr(exchange, "served", None)  # not set where it was refused before
        version = None if served is None else served.manifest.version
        before, middle, after = _form(head.target.protocol.name, version, status, trace_fields(head.headers))
        self._add(b"%b%d%b%b%b" % (before, exchange.rows, middle, msgspec.json.encode(round(seconds, 6)), after))

    def extend(self, protocol: str, version: str, seconds: NDArray[np.float64], rows: Sequence[int]) -> None:
        """Note predictions, none of them part of a trace: the seconds [n] and the rows of each.

        They are made into lines together, which takes a third of what it takes one by one.
        """
        before, middle, after = _form(protocol, version, 200, {})
        parts = [before, b"", middle, b"", after] * len(rows)
        parts[1::5] = _items(list(rows))
        parts[3::5] = _items(seconds.round(6).tolist())
        self._add(b"".join(parts))

    def flush(self) -> None:
        """Write what was collected, as far as there is room for it; called several times a second."""
        if self._lines:
            self._put(self._lines)
            self._lines = b""
        self._write()
        if self._dropped and not self._blocks:
            logs.get().warning("access_log_dropped", lines=self._dropped)
            self._dropped = 0

    def _add(self, lines: bytes) -> None:
        """Collect whole lines, and write the blocks that they fill."""
        lines = self._lines + lines
        start = 0
        while len(lines) - start > PIPE_BUF:
            end = lines.rindex(b"\n", start, start + PIPE_BUF) + 1
            self._put(lines[start:end])
            start = end
        self._lines = lines[start:]
        self._write()

    def _put(self, block: bytes) -> None:
        if len(self._blocks) < MOST_BLOCKS:
            self._blocks.append(block)
        else:
            self._dropped += block.count(b"\n")

    def _write(self) -> None:
        while self._blocks and self._offer(self._blocks[0]):
            self._blocks.popleft()


def _form(protocol: str, version: str | None, status: int, trace: Mapping[str, str]) -> tuple[bytes, bytes, bytes]:
    """What stands in a line before its rows, between them and its seconds, and after those."""
    before = msgspec.json.encode({"protocol": protocol, "version": version, "status": status})
    after = msgspec.json.encode({**trace, "event": "request", "level": "info", "time": utc(datetime.now(UTC))})
    return before[:-1] + b',"rows":', b',"seconds":', b"," + after[1:] + b"\n"


def _items(values: Sequence[float]) -> list[bytes]:
    """Each as JSON has it."""
    return msgspec.json.encode(values)[1:-1].split(b",")
