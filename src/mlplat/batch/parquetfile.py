"""Reading Parquet in constant memory, one row group after the other."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from mlplat.batch.chunks import Chunk
from mlplat.batch.inputs import Source
from mlplat.bundle.features import listed
from mlplat.errors import DataError

BUFFER = 1 << 20
"""Bytes that are read at once of each column."""

CHUNK_BYTES = 32 << 20
"""Where rows are long, a chunk has fewer of them: about so many bytes."""


def read_schema(source: Source) -> pa.Schema:
    """The columns of a Parquet file, without what pandas says of them.

    Raises:
        DataError: if it is no Parquet file, or two columns share a name.
    """
    with open_parquet(source) as file:
        schema = file.schema_arrow.remove_metadata()
    names = schema.names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{source.name}: the column {listed(twice)} is there more than once, expected different names.")
    return schema


def count_row_groups(source: Source) -> int:
    """How many row groups a Parquet file has."""
    with open_parquet(source) as file:
        return int(file.num_row_groups)


def read_chunks(source: Source, row_groups: Sequence[int] | None, rows: int) -> Iterator[Chunk]:
    """The rows of some row groups (None: all), in chunks of at most `rows` rows."""
    with open_parquet(source) as file:
        parts = [file.metadata.row_group(group) for group in range(file.num_row_groups)]
        sizes = [part.num_rows for part in parts]
        groups = list(range(len(sizes))) if row_groups is None else list(row_groups)
        total = max(1, sum(sizes[group] for group in groups))
        done = 0
        for group in groups:
            first = sum(sizes[:group]) + 1
            fitting = max(1, sizes[group] * CHUNK_BYTES // max(1, parts[group].total_byte_size))
            for batch in file.iter_batches(min(rows, fitting), row_groups=[group], use_threads=False):
                share = (done + batch.num_rows) * source.size // total - done * source.size // total
                yield Chunk(source, first, batch.replace_schema_metadata(None), progress=share)
                first, done = first + batch.num_rows, done + batch.num_rows


@contextmanager
def open_parquet(source: Source) -> Iterator[pq.ParquetFile]:
    """The file, with Arrow's errors as sentences."""
    with source.open() as raw:
        try:
            with pq.ParquetFile(raw, buffer_size=BUFFER, pre_buffer=False) as file:
                yield file
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{source.name} is damaged or no Parquet file: {error}.") from error
