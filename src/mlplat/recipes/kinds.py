"""What a column of a file holds: numbers, booleans, dates or categories, as the raw values that `Features` takes."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlplat.bundle.features import EXACT_INTEGER, EXPECTED, days_of

Kind = Literal["numeric", "boolean", "date", "category"]

_DATE = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:?\d{2})?)?$"
_MOSTLY = 0.9
"""A text column with at least this share of numbers, or of dates, was meant to hold only them."""
_AS_OTHERS = "as in nearly all other rows"
_MANY = 20
"""Fewer different numbers than this among text are taken as categories ("0", "1", "2", "3+")."""


@dataclass(frozen=True, slots=True)
class RawColumn:
    """Raw values, as serving and batch give them to `Features.encode`.

    `cells` [rows] are float64 with NaN (numeric), objects of bool or None (boolean), objects of str or None, or
    datetime64[us] (date), objects of str or None (category). `stray` is the first cell that cannot be meant as it is:
    its row, what it is and what was expected.
    """

    kind: Kind
    cells: NDArray[Any]
    stray: tuple[int, Any, str] | None = None

    @property
    def missing(self) -> NDArray[np.bool_]:
        """bool[rows]: where there is no value."""
        if self.cells.dtype.kind in "fM":
            return np.asarray(np.isnan(self.cells), dtype=bool)
        return np.array([cell is None for cell in self.cells], dtype=bool)


def from_text(cells: pa.ChunkedArray, *, kind: Kind | None = None) -> RawColumn:
    """Infer the kind of CSV cells (strings and nulls): numbers, true and false, ISO dates, else categories.

    Args:
        cells: the column.
        kind: take it as this kind (only "category" is ever possible for all cells).
    """
    if kind == "category" or cells.null_count == len(cells):
        return RawColumn("category", _objects(cells))
    trimmed = pc.utf8_trim_whitespace(cells)  # as batch scoring reads a cell, where one of space only is missing, too
    trimmed = pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)
    try:
        numbers = pc.cast(trimmed, pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        pass
    else:
        whole = pc.fill_null(pc.match_substring_regex(trimmed, r"^[+-]?\d+$"), False).to_numpy()
        return RawColumn("numeric", np.array(numbers), _stray_integer(trimmed, numbers, whole))
    lower = pc.utf8_lower(trimmed)
    if set(pc.unique(lower).to_pylist()) <= {"true", "false", None}:
        return RawColumn("boolean", _objects(pc.equal(lower, "true")))
    return _dates_or_categories(cells, trimmed, stray=_stray_number(trimmed))


def from_arrow(column: pa.ChunkedArray) -> RawColumn | None:
    """The raw values of a typed column (Parquet); None where the type is none that a model can take."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_boolean(kind):
        return RawColumn("boolean", _objects(column))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = np.array(column.cast(pa.float64(), safe=False).to_numpy())
        whole = np.full(len(numbers), fill_value=pa.types.is_integer(kind))
        return RawColumn("numeric", numbers, _stray_integer(column, numbers, whole))
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        moments = column.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False)
        return RawColumn("date", moments.to_numpy().astype("datetime64[us]"))
    if pa.types.is_null(kind):
        return RawColumn("category", np.full(len(column), None, dtype=object))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        cells = column.cast(pa.string())
        return _dates_or_categories(cells, cells, stray=None)
    return None


def _dates_or_categories(
    cells: pa.ChunkedArray, trimmed: pa.ChunkedArray, *, stray: tuple[int, Any, str] | None
) -> RawColumn:
    alike = pc.match_substring_regex(trimmed, _DATE)
    if (pc.mean(alike).as_py() or 0.0) >= _MOSTLY:
        values = _objects(trimmed)
        wrong = [row for row, value in enumerate(values) if value is not None and not _is_date(value, alike[row])]
        if not wrong:
            return RawColumn("date", values)
        stray = wrong[0], values[wrong[0]], f"{EXPECTED['date']} {_AS_OTHERS}"
    return RawColumn("category", _objects(cells), stray)


def _is_date(value: str, alike: pa.BooleanScalar) -> bool:
    return bool(alike.as_py()) and days_of(value) is not None


def _stray_integer(
    cells: pa.ChunkedArray, numbers: NDArray[Any], whole: NDArray[np.bool_]
) -> tuple[int, Any, str] | None:
    """The first integer that a double cannot tell from the next one, which serving and batch refuse."""
    for row in np.flatnonzero(whole & (np.abs(numbers) >= EXACT_INTEGER)):
        exact = _integer(cells[row].as_py())
        if abs(exact) > EXACT_INTEGER:
            return int(row), exact, "an integer of at most 2^53, or a float"
    return None


def _integer(cell: str | int) -> int:
    """All digits of an integer; where Python writes no more than 4300, the first ones are enough."""
    return int(cell[:4300]) if isinstance(cell, str) else cell


def _stray_number(cells: pa.ChunkedArray) -> tuple[int, Any, str] | None:
    import pandas as pd

    texts = _objects(cells)
    numbers = pd.to_numeric(pd.Series(texts), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    present = np.array([text is not None for text in texts])
    parsed = ~np.isnan(numbers)
    if parsed.sum() < _MOSTLY * present.sum() or len(np.unique(numbers[parsed])) <= _MANY:
        return None
    wrong = np.flatnonzero(present & ~parsed)
    return (int(wrong[0]), texts[wrong[0]], f"a number {_AS_OTHERS}") if wrong.size else None


def _objects(column: pa.ChunkedArray) -> NDArray[Any]:
    out = np.empty(len(column), dtype=object)
    out[:] = column.to_pylist()
    return out
