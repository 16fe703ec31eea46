"""Progress: a bar on a terminal, else a log line every few seconds."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TextIO

from mlplat import logs

Advance = Callable[[int, int], None]
"""Called with the rows that were scored since the last call, and the bytes of input that they came from."""

Progress = Callable[[int], AbstractContextManager[Advance]]
"""Called with the bytes of all inputs."""

EVERY_SECONDS = 5.0


def choose(stream: TextIO | None = None) -> Progress:
    """The bar if `stream` (stderr by default) is a terminal, else log lines."""
    return bar if (stream or sys.stderr).isatty() else lines


@contextmanager
def silent(total: int) -> Iterator[Advance]:  # noqa: ARG001
    """Nothing."""
    yield lambda _rows, _size: None


@contextmanager
def lines(total: int, *, every: float = EVERY_SECONDS) -> Iterator[Advance]:
    """A structured log line every `every` seconds."""
    began = told = time.monotonic()
    rows = done = 0

    def advance(more: int, size: int) -> None:
        nonlocal rows, done, told
        rows, done, now = rows + more, done + size, time.monotonic()
        if now - told >= every:
            told, spent = now, now - began
            left = None if done == 0 else round(spent * max(0, total - done) / done)
            share = round(100 * done / max(1, total))
            rate = round(rows / max(spent, 1e-9))
            logs.get().info("batch_progress", rows=rows, rows_per_second=rate, percent=share, seconds_left=left)

    yield advance


@contextmanager
def bar(total: int, *, stream: TextIO | None = None) -> Iterator[Advance]:
    """A bar with rows a second and the time left."""
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    words = TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,} rows/s")
    began = time.monotonic()
    rows = 0
    shown = Bar(
        TextColumn("Scoring"),
        BarColumn(),
        TaskProgressColumn(),
        words,
        TimeRemainingColumn(),
        console=Console(file=stream, stderr=stream is None),
    )
    with shown:
        task = shown.add_task("", total=max(1, total), rows=0, rate=0)

        def advance(more: int, size: int) -> None:
            nonlocal rows
            rows += more
            rate = round(rows / max(time.monotonic() - began, 1e-9))
            shown.update(task, advance=size, rows=rows, rate=rate)

        yield advance
