"""One row of raw values into one row of numbers: `Features.encode` for the hot path of serving, value by value.

For a few rows numpy's calls cost more than the work; this takes a tenth of the time. What it does not take at once (a
value that is refused, an odd type) is left to `Features.encode`, which says what is wrong. A test holds both to the
same numbers.
"""

from collections.abc import Callable, Sequence
from typing import Any

from mlplat.bundle.features import (
    EXACT_INTEGER,
    FLOAT32_MAX,
    UNKNOWN,
    BooleanColumn,
    CategoryColumn,
    Column,
    DateColumn,
    Features,
    NumericColumn,
    days_of,
)

Convert = Callable[[Any], float | None]
RowEncoder = Callable[[Sequence[Any]], list[float] | None]


def row_encoder(features: Features) -> RowEncoder | None:
    """What encodes a row, given in the order of the columns: numbers to put into float32, or None where it cannot tell.

    None if the model takes one input per column.
    """
    if features.layout != "tensor":
        return None
    converts = [_convert(column) for column in features.columns]

    def encode(row: Sequence[Any]) -> list[float] | None:
        out = []
        for convert, value in zip(converts, row, strict=True):
            number = convert(value)
            if number is None:
                return None
            out.append(number)
        return out

    return encode


def _convert(column: Column) -> Convert:
    match column:
        case NumericColumn():
            return _number(column.fill)
        case BooleanColumn():
            return _boolean(column.fill)
        case DateColumn():
            return _date(column.fill)
        case CategoryColumn():
            return _code(column)
    raise TypeError(f"a {column.kind} column is no number")  # pragma: no cover - the layout "tensor" has none


def _number(fill: float | None) -> Convert:
    def convert(value: Any) -> float | None:
        kind = type(value)
        if kind is float:
            return value if -FLOAT32_MAX <= value <= FLOAT32_MAX else None
        if kind is int:
            return value if -EXACT_INTEGER <= value <= EXACT_INTEGER else None
        return fill if value is None else None

    return convert


def _boolean(fill: float | None) -> Convert:
    def convert(value: Any) -> float | None:
        if value is True:
            return 1.0
        if value is False:
            return 0.0
        return fill if value is None else None

    return convert


def _date(fill: float | None) -> Convert:
    def convert(value: Any) -> float | None:
        if type(value) is str:
            return days_of(value)
        return fill if value is None else None

    return convert


def _code(column: CategoryColumn) -> Convert:
    table = {category: float(index) for index, category in enumerate(column.categories)}
    missing = float(len(table)) if column.missing else None

    def convert(value: Any) -> float | None:
        if type(value) is str:
            return table.get(value, UNKNOWN)
        return missing if value is None else None

    return convert
