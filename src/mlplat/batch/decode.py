"""Arrow columns into the model's inputs: `bundle.features` on whole columns where it can, else on each different value.

Cells of CSV are text, read by `bundle.cells`; an empty one is a missing value. Parquet is typed: a string is not a
number there, as in a request.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlplat.batch import arrays
from mlplat.bundle.cells import parse_cell
from mlplat.bundle.features import EXACT_INTEGER, TENSOR, Column, Features, Inputs, Problem, encode_column

_TYPES = {"numeric": (float, pa.float64()), "boolean": (bool, pa.bool_())}


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a model is run on.

    Attributes:
        inputs: as of `Features.encode`.
        problems: the cells that cannot be encoded, by row, and by column within a row.
        typed: the numeric and boolean columns of text as numbers and booleans; null where there is none.
    """

    inputs: Inputs
    problems: list[Problem]
    typed: dict[str, pa.Array]


def decode(features: Features, rows: pa.RecordBatch, *, text: bool) -> Decoded:
    """Turn a batch with all columns of `features` (and others) into the model's inputs.

    Args:
        features: of the version.
        rows: the cells.
        text: whether they are cells of CSV.
    """
    problems: list[Problem] = []
    typed: dict[str, pa.Array] = {}
    encoded = []
    for column in features.columns:
        cells = rows.column(column.name)
        values, known = (
            _encode_text(column, cells, problems) if text else (_encode_typed(column, cells, problems), None)
        )
        encoded.append(values)
        if known is not None:
            typed[column.name] = known
    problems.sort(key=lambda problem: problem.row)
    if features.layout == "columns":
        inputs = {name: values.reshape(-1, 1) for name, values in zip(features.names, encoded, strict=True)}
    else:
        inputs = {TENSOR: np.stack(encoded, axis=1)}
    return Decoded(inputs, problems, typed)


def _encode_text(column: Column, cells: pa.Array, problems: list[Problem]) -> tuple[NDArray[Any], pa.Array | None]:
    if column.kind == "numeric":
        numbers = _floats(cells)
        if numbers is not None and not _too_exact(numbers):
            values = arrays.floats(numbers)
            return encode_column(column, values, problems), numbers
    coded = cells.dictionary_encode(null_encoding="encode")
    raw = [parse_cell(column, text) for text in coded.dictionary.to_pylist()]
    encoded = _encode_coded(column, raw, arrays.integers(coded.indices), problems)
    if column.kind not in _TYPES:
        return encoded, None
    to, wanted = _TYPES[column.kind]
    known = [None if value is None or isinstance(value, str) else to(value) for value in raw]
    return encoded, pa.array(known, wanted).take(coded.indices)


def _encode_typed(column: Column, cells: pa.Array, problems: list[Problem]) -> NDArray[Any]:
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    kind = cells.type
    if column.kind == "numeric" and (pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind)):
        return encode_column(column, arrays.floats(cells.cast(pa.float64(), safe=False)), problems)
    if column.kind == "numeric" and pa.types.is_integer(kind):
        numbers = cells.cast(pa.float64(), safe=False)
        if not _too_exact(numbers):
            return encode_column(column, arrays.floats(numbers), problems)
    if column.kind == "date" and (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        moments = cells.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False)
        return encode_column(column, arrays.moments(moments), problems)
    try:
        coded = cells.dictionary_encode(null_encoding="encode")
    except pa.ArrowNotImplementedError:  # lists, structs and the like: each cell is a problem
        return encode_column(column, cells.to_pylist(), problems)
    return _encode_coded(column, coded.dictionary.to_pylist(), arrays.integers(coded.indices), problems)


def _encode_coded(column: Column, different: list[Any], indices: NDArray[Any], problems: list[Problem]) -> NDArray[Any]:
    """Encode each different value once; a problem with it is one of each row that holds it."""
    found: list[Problem] = []
    encoded = encode_column(column, different, found)
    if found:
        bad = {problem.row: problem for problem in found}
        rows = np.flatnonzero(np.isin(indices, list(bad)))
        problems += [replace(bad[int(indices[row])], row=int(row)) for row in rows]
    taken: NDArray[Any] = encoded[indices]
    return taken


def _floats(cells: pa.Array) -> pa.Array | None:
    for trim in (False, True):
        try:
            return pc.cast(pc.utf8_trim_whitespace(cells) if trim else cells, pa.float64())
        except pa.ArrowInvalid:
            continue
    return None


def _too_exact(numbers: pa.Array) -> bool:
    """Whether some number may be an integer that a double cannot tell from the next."""
    return bool((np.abs(arrays.floats(numbers)) >= EXACT_INTEGER).any())
