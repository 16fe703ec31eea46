"""CSV as training reads it: UTF-8, commas, one header line; every fault is named with its line.

Blank lines are no rows, but in a file of one column they are: of one empty cell.
"""

import codecs
import csv
import gzip
import io
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.csv as pacsv

from mlplat.bundle.features import listed
from mlplat.errors import DataError
from mlplat.objects.streams import Unsplit

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def decompress(data: bytes, uri: str) -> bytes:
    """The bytes inside a gzip or Zstandard file; other bytes as they are.

    Raises:
        DataError: if the compressed bytes are damaged.
    """
    try:
        if data.startswith(_GZIP):
            return gzip.decompress(data)
        if data.startswith(_ZSTD):
            with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
                return bytes(stream.read())
    except (OSError, EOFError, pa.ArrowException) as error:
        raise DataError(f"{uri} is a damaged compressed file: {error}.", hint="Copy it again.") from error
    return data


def parse(data: bytes, uri: str) -> pa.Table:
    """Read CSV bytes as a table of strings; an empty cell is null.

    Raises:
        DataError: naming the line and what was expected.
    """
    text = _decode(data, uri)
    names = _header(text, uri)
    try:
        table = pacsv.read_csv(
            pa.PythonFile(Unsplit(io.BytesIO(text.lstrip("\r\n").encode())), mode="r"),
            parse_options=pacsv.ParseOptions(newlines_in_values=True, ignore_empty_lines=len(names) > 1),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), null_values=[""], strings_can_be_null=True
            ),
        )
    except pa.ArrowException as error:
        _refuse_ragged(text, len(names), uri)
        if "Empty CSV file" in str(error):  # so Arrow calls a header without a line end
            raise _no_rows(uri) from error
        raise DataError(f"{uri} is not CSV: {error}.") from error
    if table.num_rows == 0:
        raise _no_rows(uri)
    return table


def line_of(data: bytes, row: int) -> int:
    """The line (from 1) where data row `row` (from 0) of parsable CSV bytes starts; a quoted cell may span lines."""
    records = _records(data.decode("utf-8-sig"))
    next(records)
    for index, (line, _) in enumerate(records):
        if index == row:
            return line
    raise IndexError(row)


def _no_rows(uri: str) -> DataError:
    return DataError(
        f"{uri} has a header line and no rows, expected data below it.",
        hint='Look for a quote (") that is never closed if there are lines.',
    )


def _decode(data: bytes, uri: str) -> str:
    if not data.removeprefix(codecs.BOM_UTF8).strip():
        raise DataError(f"{uri} is empty, expected a header line and rows.")
    if data.startswith(_UTF16):
        raise DataError(f"{uri} is UTF-16 text, expected UTF-8.", hint="Save it as UTF-8.")
    if b"\x00" in data:
        raise DataError(f"{uri} is a binary file, expected CSV or Parquet.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{uri}, line {line}: found the byte 0x{data[error.start]:02x}, expected UTF-8 text.",
            hint="Save it as UTF-8, for example with: iconv -f latin1 -t utf-8.",
        ) from error


def _header(text: str, uri: str) -> list[str]:
    _, names = next(_records(text))
    for position, name in enumerate(names, start=1):
        if not name.strip():
            raise DataError(f"{uri}, line 1: column {position} has no name, expected one.")
    check_names(names, uri, "line 1: ")
    return names


def check_names(names: list[str], uri: str, where: str = "") -> None:
    """Refuse columns that share a name.

    Raises:
        DataError: naming all that are there twice.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"{uri}, {where}the name {listed(twice)} is there more than once, expected different column names."
        )


def _refuse_ragged(text: str, width: int, uri: str) -> None:
    for line, cells in _records(text):
        if len(cells) != width:
            raise DataError(
                f"{uri}, line {line}: found {len(cells)} cells, expected {width} as in the header.",
                hint="Quote cells that hold commas.",
            )


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """The header and the rows, each with the line it starts on."""
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(io.StringIO(text, newline=""))
    line, width = 1, 0
    for cells in reader:
        width = width or len(cells)
        if cells or width == 1:
            yield line, cells or [""]
        line = reader.line_num + 1
