"""A chunk: some consecutive rows of one input, as they travel from the reader to the writer."""

from dataclasses import dataclass, field

import pyarrow as pa

from mlplat.batch.deal import Share
from mlplat.batch.inputs import Source


@dataclass(frozen=True, slots=True)
class Misfit:
    """A CSV row with too many or too few cells: all of its cells, and what was expected."""

    cells: tuple[str, ...]
    expected: int

    def __str__(self) -> str:
        return f"found {len(self.cells)} cells, expected {self.expected}"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some consecutive rows.

    Attributes:
        source: the file.
        first: the number of its first row, counted from 1 (a header is no row).
        rows: the cells: strings or nulls from CSV, typed from Parquet.
        misfits: by index in `rows`; there the missing cells are null, and the surplus ones left out.
        progress: how many bytes of the file came with it.
    """

    source: Source
    first: int
    rows: pa.RecordBatch
    misfits: dict[int, Misfit] = field(default_factory=dict)
    progress: int = 0

    def part(self, start: int, stop: int, progress: int = 0) -> "Chunk":
        """Rows `start` to `stop` (indices), as views."""
        misfits = {index - start: misfit for index, misfit in self.misfits.items() if start <= index < stop}
        return Chunk(self.source, self.first + start, self.rows.slice(start, stop - start), misfits, progress)


def split(chunk: Chunk, rows: int) -> list[Chunk]:
    """A chunk as chunks of at most `rows` rows; the progress is with the first."""
    if chunk.rows.num_rows <= rows:
        return [chunk]
    starts = range(0, chunk.rows.num_rows, rows)
    parts = [chunk.part(start, min(start + rows, chunk.rows.num_rows)) for start in starts]
    return [chunk.part(0, rows, chunk.progress), *parts[1:]]


def blocks(chunk: Chunk, rows: int, share: Share) -> list[Chunk]:
    """What a shard scores of a chunk, when a file is dealt out in blocks of `rows` rows in turn.

    Where the file is cut into chunks makes no difference. The last part carries the progress.
    """
    begin, end = chunk.first - 1, chunk.first - 1 + chunk.rows.num_rows
    parts = []
    for block in range(begin // rows, -(-end // rows)):
        if share.owns(block):
            start, stop = max(block * rows, begin), min((block + 1) * rows, end)
            parts.append(chunk.part(start - begin, stop - begin))
    last = parts.pop() if parts else chunk.part(0, 0)
    return [*parts, Chunk(last.source, last.first, last.rows, last.misfits, chunk.progress)]
