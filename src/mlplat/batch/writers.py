"""Scored rows into a file: the workers encode, one thread writes, in order."""

from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self

import pyarrow as pa
import pyarrow.parquet as pq

from mlplat.batch import csvtext
from mlplat.batch.formats import Format

ROW_GROUP_ROWS = 1 << 18
ROW_GROUP_BYTES = 64 << 20
"""A row group of an output ends at this many rows or bytes; so much is held in memory."""


class Writer(Protocol):
    """Writes batches of one schema to a stream; as a context it finishes the file when its block ends well."""

    def encode(self, rows: pa.RecordBatch) -> Any:
        """What `write` takes. Safe to call from several threads."""
        ...

    def write(self, encoded: Any) -> None:
        """Append what `encode` gave."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_rows(stream: BinaryIO, format: Format, schema: pa.Schema) -> Writer:  # noqa: A002
    """A writer of a format."""
    return CsvWriter(stream, schema, format.codec) if format.is_text else ParquetRows(stream, schema)


class CsvWriter:
    """CSV with a header; compressed, each batch is a member of its own, which every reader takes as one file."""

    def __init__(self, stream: BinaryIO, schema: pa.Schema, codec: str | None) -> None:
        self._stream = stream
        self._codec = codec
        self.write(self._packed(csvtext.header(schema.names)))

    def encode(self, rows: pa.RecordBatch) -> Any:
        """The lines, compressed."""
        return self._packed(csvtext.render(rows))

    def write(self, encoded: Any) -> None:
        """Append lines."""
        self._stream.write(encoded)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to finish."""

    def _packed(self, lines: bytes | memoryview) -> Any:
        if self._codec is None or len(lines) == 0:
            return lines
        return pa.Codec(self._codec).compress(pa.py_buffer(lines), asbytes=True)


class ParquetRows:
    """Parquet with row groups of bounded size."""

    def __init__(self, stream: BinaryIO, schema: pa.Schema) -> None:
        self._schema = schema
        self._pending: list[pa.RecordBatch] = []
        self._writer = pq.ParquetWriter(stream, schema, compression="snappy")

    def encode(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows themselves: only whole row groups can be encoded."""
        return rows

    def write(self, encoded: pa.RecordBatch) -> None:
        """Append rows; a full row group goes to the stream."""
        if encoded.num_rows:
            self._pending.append(encoded)
        rows = sum(batch.num_rows for batch in self._pending)
        if rows >= ROW_GROUP_ROWS or sum(batch.nbytes for batch in self._pending) >= ROW_GROUP_BYTES:
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write the last row group and the footer, if all went well."""
        if kind is None:
            self._flush()
            self._writer.close()
        self._writer.is_open = False  # else it would write a footer when it is collected

    def _flush(self) -> None:
        if self._pending:
            self._writer.write_table(pa.Table.from_batches(self._pending, self._schema))
            self._pending.clear()
