"""Which shard scores what.

Row groups of Parquet are dealt out in turn, over all files. So are CSV files if there are at least N of them; else
blocks of their rows: every shard reads all CSV then, and decodes and scores only its own blocks, since no process can
tell where a row starts in the middle of a file (a quoted cell may hold line ends).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mlplat.batch.inputs import Source
from mlplat.errors import UsageError

BLOCK_ROWS = 8192
"""Rows in a block of CSV: enough to predict at full speed, few enough to be dealt out evenly."""


@dataclass(frozen=True, slots=True)
class Share:
    """Part `index` (from 0) of `of`."""

    index: int
    of: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.of:
            raise UsageError(f"There is no shard {self.index} of {self.of}.", hint=f"Use 0 to {self.of - 1}.")

    @classmethod
    def parse(cls, text: str) -> "Share":
        """From `I/N`, with I from 0."""
        index, _, of = text.partition("/")
        if not (index.isascii() and index.isdigit() and of.isascii() and of.isdigit() and int(of)):
            raise UsageError(f"{text!r} is no shard.", hint="Use I/N with I from 0, for example 0/8 to 7/8.")
        return cls(int(index), int(of))

    @property
    def label(self) -> str:
        """As in names of files."""
        return f"{self.index:05}-of-{self.of:05}"

    def owns(self, number: int) -> bool:
        """Whether unit `number` is in this part."""
        return number % self.of == self.index


@dataclass(frozen=True, slots=True)
class Task:
    """What to read of a file: some row groups (None: all), or of each `block_rows` rows those that `share` owns."""

    source: Source
    row_groups: tuple[int, ...] | None = None
    share: Share | None = None
    block_rows: int = BLOCK_ROWS


def deal(sources: Sequence[Source], row_groups: Sequence[int], share: Share, block_rows: int | None) -> list[Task]:
    """What one shard reads.

    Args:
        sources: all inputs.
        row_groups: how many each has; not looked at for CSV.
        share: of the shard.
        block_rows: deal out CSV in blocks of so many rows; by file if None.
    """
    tasks = []
    number = 0
    for source, groups in zip(sources, row_groups, strict=True):
        if not source.format.is_text:
            mine = tuple(group for group in range(groups) if share.owns(number + group))
            if mine:
                tasks.append(Task(source, row_groups=mine))
            number += groups
        elif block_rows is not None:
            tasks.append(Task(source, share=share, block_rows=block_rows))
        else:
            if share.owns(number):
                tasks.append(Task(source))
            number += 1
    return tasks


def block_rows_for(sources: Sequence[Source], shards: int) -> int | None:
    """Whether CSV is dealt out in blocks (of how many rows) or by file (None)."""
    return BLOCK_ROWS if sum(source.format.is_text for source in sources) < shards else None
