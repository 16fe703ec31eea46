"""Rows as CSV text, column by column: several times faster than a writer that goes row by row.

A cell is quoted where it must be (RFC 4180), lines end with a line feed, a missing value is an empty cell.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlplat.batch import arrays

_SPECIAL = '[",\r\n]'
_EMPTY, _LINE_FEED, _COMMA, _QUOTE = arrays.texts(["", "\n", ",", '"'])


def header(names: list[str]) -> bytes:
    """The header line."""
    return bytes(render(pa.record_batch([arrays.texts([name]) for name in names], names=names)))


def render(rows: pa.RecordBatch) -> bytes | memoryview:
    """The lines of some rows."""
    if rows.num_rows == 0:
        return b""
    *columns, last = [cells_of(column) for column in rows.columns]
    ended = pc.binary_join_element_wise(last, _LINE_FEED, _EMPTY, null_handling="replace", null_replacement="")
    lines = pc.binary_join_element_wise(*columns, ended, _COMMA, null_handling="replace", null_replacement="")
    return _bytes_of(lines)


def cells_of(column: pa.Array) -> pa.Array:
    """The cells of a column as they stand in a file."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_floating(column.type):
        return _numbers(column)
    if not _is_text(column.type):
        return column.cast(pa.string())
    column = column.cast(pa.string())
    data = bytes(_bytes_of(column))
    if not any(mark in data for mark in (b",", b'"', b"\n", b"\r")):
        return column
    quoted = pc.binary_join_element_wise(_QUOTE, pc.replace_substring(column, '"', '""'), _QUOTE, _EMPTY)
    return pc.if_else(pc.match_substring_regex(column, _SPECIAL), quoted, column)


def _numbers(column: pa.Array) -> pa.Array:
    """Floats as the shortest text that gives them back; each different one is written once where many are alike."""
    sample = column.slice(0, 2048)
    if len(sample.unique()) > len(sample) // 2:
        return column.cast(pa.string())
    coded = column.dictionary_encode()
    return coded.dictionary.cast(pa.string()).take(coded.indices)


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def _bytes_of(texts: pa.Array) -> memoryview:
    """The texts of a column one after the other, without a copy."""
    _, offsets, data = texts.buffers()
    if data is None or len(texts) == 0:
        return memoryview(b"")
    ends = np.frombuffer(offsets, dtype=np.int32)
    return memoryview(data)[int(ends[texts.offset]) : int(ends[texts.offset + len(texts)])]
