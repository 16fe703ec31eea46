"""Progress of a training: a line per step on a terminal, else one structured log line per step."""

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TextIO

from mlplat import logs

STEPS = ("load", "split", "fit", "export", "check", "publish", "promote")


class Facts(dict[str, Any]):
    """What a step has to say when it is done: `facts["rows"] = 150`."""


class Reporter(Protocol):
    """Hears of each step."""

    def step(self, name: str) -> AbstractContextManager[Facts]:
        """Enclose the step `name`, one of `STEPS`; what is put into the facts is shown when it ends well."""
        ...


def reporter(stream: TextIO | None = None) -> Reporter:
    """The reporter for a stream (stderr by default): with colours on a terminal, else the log."""
    out = stream if stream is not None else sys.stderr
    return TerminalReporter(out) if out.isatty() else LogReporter()


class LogReporter:
    """One log line per step."""

    @contextmanager
    def step(self, name: str) -> Iterator[Facts]:
        """Log `train_step` when the step ends well."""
        facts = Facts()
        start = time.monotonic()
        yield facts
        logs.get().info("train_step", step=name, seconds=round(time.monotonic() - start, 3), **facts)


class TerminalReporter:
    """A spinner while a step runs, and a line when it is done."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        self.console = Console(file=stream, highlight=False)

    @contextmanager
    def step(self, name: str) -> Iterator[Facts]:
        """Show the step."""
        facts = Facts()
        start = time.monotonic()
        with self.console.status(f"{name} ..."):
            yield facts
        words = "  ".join(f"{key} [bold]{_short(value)}[/bold]" for key, value in facts.items())
        self.console.print(f"[green]done[/green] {name:8} {time.monotonic() - start:6.2f} s  {words}")


def _short(value: Any) -> str:
    from rich.markup import escape

    return f"{value:.4g}" if isinstance(value, float) else escape(str(value))
