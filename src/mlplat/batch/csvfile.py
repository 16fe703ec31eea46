"""Reading CSV in constant memory: every cell as a string, an empty one as null, in rows of any width.

Blank lines are no rows, but in a file of one column they are: of one empty cell.
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from mlplat.batch.chunks import Chunk, Misfit
from mlplat.batch.inputs import Source
from mlplat.bundle.features import listed
from mlplat.errors import DataError
from mlplat.objects.streams import Counted, Unsplit

BLOCK = 1 << 20
"""Bytes that are parsed at once; no row can be longer."""

MOST_MISFITS = 100_000
"""So many rows of the wrong width at a stretch are no accident, and would fill the memory."""

_NOT_CSV = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"PAR1": "Parquet",
    b"PK\x03\x04": "a zip or an Excel file",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}

csv.field_size_limit(BLOCK)


def read_header(source: Source) -> list[str]:
    """The column names of a CSV file.

    Raises:
        DataError: if it is empty, no UTF-8 text, or two columns share a name.
    """
    with open_text(source) as stream:
        head = stream.read(BLOCK)
    found = next((kind for magic, kind in _NOT_CSV.items() if head.startswith(magic)), None)
    if found is not None or b"\0" in head:
        raise DataError(f"{source.name} is {found or 'a binary file'}, expected CSV as its name says.")
    text = head.decode("utf-8-sig", errors="replace")
    names = next((cells for cells in csv.reader(io.StringIO(text, newline="")) if cells), None)
    if names is None:
        raise DataError(f"{source.name} is empty, expected a header line and rows.")
    if any("\N{REPLACEMENT CHARACTER}" in name for name in names):
        raise wrong_encoding(source)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{source.name}: the column {listed(twice)} is there more than once, expected different names.")
    return names


def read_chunks(source: Source, names: Sequence[str]) -> Iterator[Chunk]:
    """The rows of a CSV file, about `BLOCK` bytes at a time.

    Raises:
        DataError: if the bytes are no UTF-8, damaged compressed data, or a row is longer than a block.
    """
    pending: dict[int, Misfit] = {}
    blank = _blank_lines(source) if len(names) == 1 else 0

    def keep(row: Any) -> str:
        cells = next(csv.reader(io.StringIO(row.text, newline="")), [])
        pending[row.number - blank - 2] = Misfit(tuple(cells), row.expected_columns)  # Arrow counts the header, too
        return "error" if len(pending) > MOST_MISFITS else "skip"

    with source.open() as raw, _explained(source):
        counted = Counted(raw)
        index, told = 0, 0
        for batch in _batches(source, counted, names, blank, keep):
            rows, misfits = _with_misfits(batch, index, pending)
            yield Chunk(source, index + 1, rows, misfits, counted.position - told)
            index, told = index + rows.num_rows, counted.position
        none = pa.record_batch([pa.nulls(0, pa.string())] * len(names), names=list(names))
        rows, misfits = _with_misfits(none, index, pending)
        yield Chunk(source, index + 1, rows, misfits, source.size - told)


def _batches(
    source: Source, stream: Counted, names: Sequence[str], blank: int, keep: Callable[[Any], str]
) -> Iterator[pa.RecordBatch]:
    try:
        yield from pacsv.open_csv(
            pa.PythonFile(Unsplit(_unpacked(source, stream)), mode="r"),
            read_options=pacsv.ReadOptions(block_size=BLOCK, use_threads=False, skip_rows=blank),
            parse_options=pacsv.ParseOptions(
                newlines_in_values=True, ignore_empty_lines=len(names) > 1, invalid_row_handler=keep
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), null_values=[""], strings_can_be_null=True
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV file" not in str(error):  # so Arrow calls a header without a line end
            raise


def _blank_lines(source: Source) -> int:
    """How many blank lines are above the header."""
    with open_text(source) as stream:
        head = stream.read(BLOCK).decode("utf-8-sig", errors="replace")
    return len(head[: len(head) - len(head.lstrip("\r\n"))].splitlines())


def line_of(source: Source, row: int) -> int | None:
    """The line on which row `row` of a CSV file starts, both from 1; None if Python's reader gets lost."""
    with open_text(source) as stream, io.TextIOWrapper(stream, "utf-8-sig", errors="replace", newline="") as text:
        reader = csv.reader(text)
        index, line, width = -1, 1, 0
        try:
            for cells in reader:
                width = width or len(cells)
                if cells or width == 1:
                    index += 1
                    if index == row:
                        return line
                line = reader.line_num + 1
        except csv.Error:
            pass
    return None


def wrong_encoding(source: Source) -> DataError:
    """The error for a file that is no UTF-8, naming the first line that is not."""
    with open_text(source) as stream:
        for line, data in enumerate(stream, start=1):
            try:
                data.decode()
            except UnicodeDecodeError as error:
                return DataError(
                    f"{source.name}, line {line}: found the byte 0x{data[error.start]:02x}, expected UTF-8 text.",
                    hint="Save it as UTF-8, for example with: iconv -f latin1 -t utf-8.",
                )
    return DataError(f"{source.name} is not UTF-8 text.")


@contextmanager
def open_text(source: Source) -> Iterator[io.BufferedReader]:
    """The unpacked bytes of a CSV file."""
    with source.open() as raw, _explained(source):
        yield io.BufferedReader(_unpacked(source, Counted(raw)), 1 << 16)


def _unpacked(source: Source, stream: Counted) -> Any:
    file = pa.PythonFile(stream, mode="r")
    return file if source.format.codec is None else pa.CompressedInputStream(file, source.format.codec)


@contextmanager
def _explained(source: Source) -> Iterator[None]:
    """Arrow's errors as sentences."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        text = str(error)
        if "UTF8" in text:
            raise wrong_encoding(source) from error
        if "straddling" in text:
            limit = f"{BLOCK >> 20} MiB"
            raise DataError(
                f"{source.name} has a row longer than {limit}, expected shorter ones.",
                hint='Look for a quote (") that is never closed.',
            ) from error
        if source.format.codec is not None and isinstance(error, OSError):
            raise DataError(f"{source.name} is damaged or no {source.format.codec} file: {text}.") from error
        raise DataError(f"{source.name} is not CSV: {text}.") from error


def _with_misfits(batch: pa.RecordBatch, index: int, pending: dict[int, Misfit]) -> tuple[Any, dict[int, Misfit]]:
    """A batch whose first row is row `index` of the file, with the pending misfits that belong in it put in place."""
    found = {}
    end = index + batch.num_rows
    for row in sorted(pending):
        if row > end:
            break
        found[row - index] = pending.pop(row)
        end += 1
    if not found:
        return batch, found
    width = batch.num_columns
    padded = [(*misfit.cells, *[""] * width)[:width] for misfit in found.values()]
    columns = [pa.array([cells[i] or None for cells in padded], pa.string()) for i in range(width)]
    both = pa.concat_batches([batch, pa.record_batch(columns, schema=batch.schema)])
    order = np.full(both.num_rows, -1, dtype=np.int64)
    order[list(found)] = np.arange(batch.num_rows, both.num_rows)
    order[order < 0] = np.arange(batch.num_rows)
    return both.take(pa.array(order)), found
