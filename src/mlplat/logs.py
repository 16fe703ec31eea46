"""Structured logs: coloured lines on a terminal, one JSON object per line otherwise."""

import contextlib
import io
import logging
import os
import select
import sys
import threading
from typing import ClassVar, TextIO, cast

from mlplat.without import without

with without("rich", "greenlet"):  # structlog looks for them, and no log of ours needs them: 7 MB and 60 ms of a start
    import structlog

LEVELS = ("debug", "info", "warning", "error", "critical")


def configure(level: str | None = None, *, stream: TextIO | None = None) -> None:
    """Send all logs to `stream` (stderr by default), at `level` or `LOG_LEVEL` (info by default).

    Raises:
        ValueError: if the level is none of `LEVELS`.
    """
    out = stream if stream is not None else sys.stderr
    name = (level or os.environ.get("LOG_LEVEL") or "info").lower()
    if name not in LEVELS:
        raise ValueError(f"log level {name!r} is none of {', '.join(LEVELS)}")
    number = logging.getLevelNamesMapping()[name.upper()]
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.StackInfoRenderer(),
    ]
    if out.isatty():
        processors.append(structlog.dev.ConsoleRenderer(timestamp_key="time"))
    else:
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    logging.root.handlers = [_Bridge(max(number, logging.WARNING))]


def get() -> structlog.typing.FilteringBoundLogger:
    """A logger; call it as `log.info("event_name", key=value)`."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger


def told(error: BaseException, most: int = 300) -> str:
    """What an error says, so many characters of it at most; what it is if it says nothing, as a TimeoutError does."""
    return (str(error) or repr(error))[:most]


class Dropping(io.TextIOBase):
    """Writes whole lines to a file descriptor, and drops those that whoever reads it has no room for.

    Else a pipe that nobody empties would stop whoever logs, and with it the event loop.
    """

    _cut: ClassVar[set[int]] = set()
    """The descriptors whose last line has no end, for others may write to the same one."""

    _lock: ClassVar[threading.Lock] = threading.Lock()
    """Held from the look for room to the write, for another thread would take the room."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def write(self, text: str) -> int:
        """Write a text that ends with a line, if there is room; a long one may be cut."""
        data = text.encode(errors="backslashreplace")
        for start in range(0, len(data), select.PIPE_BUF):
            if not self.offer(data[start : start + select.PIPE_BUF]):
                if start:
                    self._cut.add(self._descriptor)
                break
        return len(text)

    def offer(self, data: bytes) -> bool:
        """Write at most PIPE_BUF bytes, which a pipe that has room at all has room for; False if there is none now."""
        with self._lock, contextlib.suppress(OSError):  # the reader is gone
            if not self._poll.poll(0):
                return False
            if self._descriptor in self._cut:
                os.write(self._descriptor, b"\n")
                self._cut.discard(self._descriptor)
                if not self._poll.poll(0):
                    return False
            os.write(self._descriptor, data)
        return True


def dropping_stderr() -> TextIO:
    """A stream to stderr that drops what there is no room for; stderr itself where a person reads."""
    return sys.stderr if sys.stderr.isatty() else cast("TextIO", Dropping(sys.stderr.fileno()))


def drop_if_blocked() -> None:
    """From now on drop logs that stderr has no room for."""
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(dropping_stderr()))


class _Bridge(logging.Handler):
    """Passes what libraries log, warnings and worse, on to our logs."""

    def emit(self, record: logging.LogRecord) -> None:
        exc_info = record.exc_info if record.exc_info and record.exc_info[0] else None
        get().log(record.levelno, "library_log", logger=record.name, message=record.getMessage(), exc_info=exc_info)
