"""A line for each prediction, if someone wants it: many are written at once, as far as there is room for them."""

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from select import PIPE_BUF

import msgspec

from mlplat import logs
from mlplat.bundle.manifest import utc
from mlplat.serve.exchange import Exchange
from mlplat.serve.protocols import Protocol
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
        self._lines: list[bytes] = []
        self._bytes = 0
        self._blocks: deque[bytes] = deque()
        self._dropped = 0
        self._forms: dict[tuple[type[Protocol], str | None, int], bytes] = {}  # lines of now, without what varies

    def __call__(self, exchange: Exchange, status: int, seconds: float) -> None:
        """Note that a request was answered."""
        head = exchange.head
        if head.target is None or head.target.protocol is None:
            return
        served = getattr(exchange, "served", None)  # not set where it was refused before
        key = head.target.protocol, None if served is None else served.manifest.version, status
        form = self._forms.get(key) or self._form(*key)
        line = form % (exchange.rows, seconds, _trace(exchange) if b"traceparent" in head.headers else b"")
        if self._bytes + len(line) > PIPE_BUF:
            self._write()
        self._lines.append(line)
        self._bytes += len(line)

    def flush(self) -> None:
        """Write what was collected, as far as there is room for it; called several times a second."""
        self._forms.clear()
        self._write()
        if self._dropped and not self._blocks:
            logs.get().warning("access_log_dropped", lines=self._dropped)
            self._dropped = 0

    def _form(self, protocol: type[Protocol], version: str | None, status: int) -> bytes:
        before = msgspec.json.encode({"protocol": protocol.name, "version": version, "status": status})
        after = msgspec.json.encode({"event": "request", "level": "info", "time": utc(datetime.now(UTC))})
        form = before[:-1].replace(b"%", b"%%") + b',"rows":%d,"seconds":%.6f%b,' + after[1:] + b"\n"
        self._forms[protocol, version, status] = form
        return form

    def _write(self) -> None:
        if self._lines and len(self._blocks) < MOST_BLOCKS:
            self._blocks.append(b"".join(self._lines))
        else:
            self._dropped += len(self._lines)
        self._lines.clear()
        self._bytes = 0
        while self._blocks and self._offer(self._blocks[0]):
            self._blocks.popleft()


def _trace(exchange: Exchange) -> bytes:
    """The fields of the request's trace, each after a comma."""
    return b"".join(
        [b',"%b":"%b"' % (name.encode(), value.encode()) for name, value in trace_fields(exchange.head.headers).items()]
    )
