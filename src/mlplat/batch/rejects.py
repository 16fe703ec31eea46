"""The rejects file: CSV, for people, with file, row, reason and the row's original cells."""

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

from mlplat.objects import Objects

HEADER = ("file", "row", "reason")


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that could not be scored, and all that is wrong with it."""

    file: str
    row: int
    reason: str
    cells: tuple[Any, ...]


class Rejects:
    """Counts rejects, and writes them to a file that is made with the first."""

    def __init__(self, objects: Objects, key: str, columns: Sequence[str], stack: ExitStack) -> None:
        self._objects = objects
        self._key = key
        self._columns = columns
        self._stack = stack
        self._writer: Any = None
        self.count = 0

    def write(self, rejects: Sequence[Reject]) -> None:
        """Append some."""
        if rejects and self._writer is None:
            stream = self._stack.enter_context(self._objects.open_writer(self._key))
            text = self._stack.enter_context(_text(stream))
            self._writer = csv.writer(text, lineterminator="\n")
            self._writer.writerow([*HEADER, *self._columns])
        for each in rejects:
            self._writer.writerow([each.file, each.row, each.reason, *map(_cell, each.cells)])
        self.count += len(rejects)


@contextmanager
def open_rejects(objects: Objects, key: str, columns: Sequence[str], *, replace: bool) -> Iterator[Rejects]:
    """A rejects file that appears when the block ends well, if there was a reject; else `replace` removes an older one."""
    with ExitStack() as stack:
        rejects = Rejects(objects, key, columns, stack)
        yield rejects
    if replace and rejects.count == 0 and objects.size(key) is not None:
        objects.delete(key)


@contextmanager
def _text(stream: Any) -> Iterator[io.TextIOWrapper]:
    text = io.TextIOWrapper(stream, "utf-8", newline="", write_through=False)
    try:
        yield text
        text.flush()
    finally:
        text.detach()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date) else str(value)
