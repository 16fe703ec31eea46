"""A line for each prediction, if someone wants it: many are written at once, as far as there is room for them."""

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from select import PIPE_BUF

import msgspec

from mlplat import logs
from mlplat.bundle.manifest import utc
from mlplat.serve.exchange import Exchange
from mlplat.serve.lifecycle import Served
from mlplat.serve.protocols import Protocol
from mlplat.serve.traces import trace_fields

MOST_BLOCKS = 4096
"""So many blocks of lines wait at most to be written, 16 MB; more are dropped, and counted in a line of their own."""

MOST_DIGITS = 24
"""By so many characters at most the rows and seconds of a line are longer than what stands for them in its form."""

NOTHING = None, None, 0
"""What lines are of before the first."""


class AccessLog:
    """Collects the lines of one server. Belongs to one event loop.

    Args:
        offer: writes a block of whole lines and says True, or does nothing and says False where there is no room for it
            now.
    """

    def __init__(self, offer: Callable[[bytes], bool]) -> None:
        self._offer = offer
        self._of: tuple[type[Protocol] | None, Served | None, int] = NOTHING
        self._form = b""  # of their lines, without what varies
        self._forms: dict[tuple[type[Protocol], str | None, int], bytes] = {}  # of now
        self._values: list[int | float | bytes] = []  # that go into the form: three of each line
        self._most = 0  # values that fill a block
        self._lines: list[bytes] = []
        self._bytes = 0
        self._blocks: deque[bytes] = deque()
        self._dropped = 0

    def note(self, exchange: Exchange, status: int, seconds: float) -> None:
        """Note that a request was answered."""
        head = exchange.head
        if head.target is None or head.target.protocol is None:
            return
        protocol, served = (
            head.target.protocol,
            getattr(exchange, "served", None),
        )  # not set where it was refused before
        before = self._of
        if before[0] is not protocol or before[1] is not served or before[2] != status:
            self._begin(protocol, served, status)
        if b"traceparent" in head.headers:
            self._format()
            self._values += (exchange.rows, seconds, _trace(exchange))
            self._format()
            return
        self._values += (exchange.rows, seconds, b"")
        if len(self._values) >= self._most:
            self._format()

    def flush(self) -> None:
        """Write what was collected, as far as there is room for it; called several times a second."""
        self._format()
        self._of = NOTHING
        self._forms.clear()
        self._write()
        if self._dropped and not self._blocks:
            logs.get().warning("access_log_dropped", lines=self._dropped)
            self._dropped = 0

    def _begin(self, protocol: type[Protocol], served: Served | None, status: int) -> None:
        """Go on with lines of another form."""
        self._format()
        self._of = protocol, served, status
        key = protocol, None if served is None else served.manifest.version, status
        form = self._forms.get(key)
        if form is None:
            before = msgspec.json.encode({"protocol": protocol.name, "version": key[1], "status": status})
            after = msgspec.json.encode({"event": "request", "level": "info", "time": utc(datetime.now(UTC))})
            form = before[:-1].replace(b"%", b"%%") + b',"rows":%d,"seconds":%.6f%b,' + after[1:] + b"\n"
            self._forms[key] = form
        self._form = form
        self._most = 3 * (PIPE_BUF // (len(form) + MOST_DIGITS))

    def _format(self) -> None:
        """Make lines of the values, all in one go, which takes less than one after the other."""
        if self._values:
            lines = self._form * (len(self._values) // 3) % tuple(self._values)
            self._values.clear()
            if self._bytes + len(lines) > PIPE_BUF:
                self._write()
            self._lines.append(lines)
            self._bytes += len(lines)

    def _write(self) -> None:
        if self._lines and len(self._blocks) < MOST_BLOCKS:
            self._blocks.append(b"".join(self._lines))
        else:
            self._dropped += sum(lines.count(b"\n") for lines in self._lines)
        self._lines.clear()
        self._bytes = 0
        while self._blocks and self._offer(self._blocks[0]):
            self._blocks.popleft()


def _trace(exchange: Exchange) -> bytes:
    """The fields of the request's trace, each after a comma."""
    return b"".join(
        [b',"%b":"%b"' % (name.encode(), value.encode()) for name, value in trace_fields(exchange.head.headers).items()]
    )
