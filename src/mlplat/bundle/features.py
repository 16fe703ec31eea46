"""Features: how named columns of raw values become the model's inputs, the same in training, serving and batch.

A raw value is what JSON or a file cell holds: a number, a boolean, a string, or a missing one (None, NaN, NaT).
Each column kind turns raw values into float32:

========  =======================================================================================
numeric   the number; `fill` where it is missing
boolean   1 for true, 0 for false; `fill` where it is missing
date      days since 1970-01-01 UTC, from an ISO 8601 string; `fill` where it is missing
category  the index in `categories`; -1 where it is unknown; `len(categories)` where it is missing
string    no number: the string itself, for an estimator that brings its own encoder
========  =======================================================================================

A missing value is refused where `fill` is None (for category and string: where `missing` is false), which is where
training saw none.
"""

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

FLOAT32_MAX = float(np.finfo(np.float32).max)
EXACT_INTEGER = 2**53
"""Beyond this a JSON integer and the double that stands for it may differ (RFC 8259, section 6)."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REAL = int | float | np.integer | np.floating

UNKNOWN = -1.0
TENSOR = "input"
"""The name of the one input tensor of a model in the layout "tensor"."""

Inputs = dict[str, NDArray[Any]]
"""What the model is run on: {"input": float32[rows, columns]}, or one [rows, 1] array per column name."""


Rows = list[list[float]]
"""Rows of the one tensor before they are made into it: numbers that fit into float32."""


def as_inputs(given: Inputs | Rows) -> Inputs:
    """Rows as the one tensor; inputs as they are."""
    return {TENSOR: np.array(given, dtype=np.float32)} if isinstance(given, list) else given


class _Column(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    name: str = Field(min_length=1)


class NumericColumn(_Column):
    """A column of numbers."""

    kind: Literal["numeric"] = "numeric"
    fill: float | None = None


class BooleanColumn(_Column):
    """A column of true and false (also written 0 and 1)."""

    kind: Literal["boolean"] = "boolean"
    fill: Literal[0, 1] | None = None


class DateColumn(_Column):
    """A column of dates or times, ISO 8601; without a zone they are UTC."""

    kind: Literal["date"] = "date"
    fill: float | None = None


class CategoryColumn(_Column):
    """A column of strings out of a table; a string that training did not see is unknown, not refused."""

    kind: Literal["category"] = "category"
    categories: tuple[str, ...]
    missing: bool = False


class StringColumn(_Column):
    """A column of strings that the estimator encodes itself; a missing one is the empty string."""

    kind: Literal["string"] = "string"
    missing: bool = False


Column = Annotated[
    NumericColumn | BooleanColumn | DateColumn | CategoryColumn | StringColumn, Field(discriminator="kind")
]


def takes_missing(column: Column) -> bool:
    """Whether a missing value is filled or coded rather than refused: where training saw missing values."""
    return column.missing if isinstance(column, CategoryColumn | StringColumn) else column.fill is not None


@dataclass(frozen=True, slots=True)
class Problem:
    """A raw value that cannot be encoded."""

    row: int
    column: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"row {self.row}, column {self.column!r}: found {self.found}, expected {self.expected}"


class Features(BaseModel):
    """The columns of a model, in order, and how they reach it.

    `layout` is "tensor" (one float32 tensor, all kinds but string) or "columns" (one input per column: float32, or
    strings for the kind string).
    """

    model_config = ConfigDict(frozen=True)

    columns: tuple[Column, ...] = Field(min_length=1)
    layout: Literal["tensor", "columns"] = "tensor"

    @model_validator(mode="after")
    def _check(self) -> "Features":
        names = self.names
        if len(set(names)) != len(names):
            raise ValueError(f"column names must differ: {', '.join(names)}")
        if self.layout == "tensor" and any(c.kind == "string" for c in self.columns):
            raise ValueError("a string column needs the layout 'columns'")
        return self

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The column names, in the order of the model."""
        return tuple(c.name for c in self.columns)

    def encode(self, raw: Mapping[str, Sequence[Any] | NDArray[Any]]) -> tuple[Inputs, list[Problem]]:
        """Turn raw columns into the model's inputs.

        Args:
            raw: for each column name its values, all of one length: a sequence of Python values, or an array
                (float64 with NaN, bool, datetime64, or object). Further names are ignored.

        Returns:
            The inputs, and a problem for each value that cannot be encoded (the inputs hold 0 or "" there).

        Raises:
            KeyError: if a column is absent; callers check names first, in their own words.
        """
        problems: list[Problem] = []
        encoded = [encode_column(column, raw[column.name], problems) for column in self.columns]
        if self.layout == "columns":
            return {name: values.reshape(-1, 1) for name, values in zip(self.names, encoded, strict=True)}, problems
        return {TENSOR: np.stack(encoded, axis=1)}, problems


def encode_column(column: Column, values: Sequence[Any] | NDArray[Any], problems: list[Problem]) -> NDArray[Any]:
    """Encode the raw values of one column.

    Returns:
        float32[rows], or object[rows] of str for a string column. Values that cannot be encoded are appended to
        `problems`, in row order.
    """
    match column:
        case NumericColumn():
            return _narrow(column, _numbers(column, values, problems), problems)
        case BooleanColumn():
            return _narrow(column, _booleans(column, values, problems), problems)
        case DateColumn():
            return _narrow(column, _days(column, values, problems), problems)
        case CategoryColumn():
            return _codes(column, values, problems)
        case StringColumn():
            return _strings(column, values, problems)


def is_missing(value: Any) -> bool:
    """Whether a raw value stands for none: None, NaN or NaT."""
    moment = isinstance(value, float | np.floating | np.datetime64 | datetime)  # pandas' NaT is a datetime
    return value is None or (moment and bool(value != value))  # noqa: PLR0124


def describe(value: Any) -> str:
    """A raw value as an error message shows it, cut to a readable length."""
    if is_missing(value):
        return "a missing value"
    if isinstance(value, np.generic):  # as Python writes it: 5.0, not np.float64(5.0)
        value = str(value) if isinstance(value, np.datetime64) else value.item()
    try:
        text = (
            f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else _brief(value)
        )
    except ValueError:  # Python writes no integer of more than 4300 digits
        text = "a huge integer"
    return text if len(text) <= 40 else text[:37] + "..."


def listed(names: Sequence[str]) -> str:
    """Names of columns in a message: the first 20 of them, each cut at 60 characters."""
    shown = ", ".join(repr(name if len(name) <= 60 else name[:57] + "...") for name in names[:20])
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown


def _brief(value: Any) -> str:
    """As `repr`, but of a list or an object, as large and as deep as its sender liked, only the beginning."""
    return reprlib.Repr().repr(value) if isinstance(value, list | dict) else repr(value)


EXPECTED = {
    "numeric": "a number",
    "boolean": "true or false",
    "date": "a date as 2026-01-31 or 2026-01-31T08:00:00Z",
    "category": "a string",
    "string": "a string",
}
"""What a column kind takes, in the words of an error message."""


def _narrow(
    column: NumericColumn | BooleanColumn | DateColumn, x: NDArray[np.float64], problems: list[Problem]
) -> NDArray[np.float32]:
    """Fill missing values and go to float32; what is infinite, or is so in float32, is a problem."""
    missing = np.isnan(x)
    if missing.any():
        if column.fill is None:
            at = np.flatnonzero(missing)
            seen = {p.row for p in problems if p.column == column.name}
            expected = f"{EXPECTED[column.kind]} (training saw no missing values here)"
            problems += [Problem(int(i), column.name, "a missing value", expected) for i in at if int(i) not in seen]
        x = np.where(missing, 0.0 if column.fill is None else column.fill, x)
    large = np.abs(x) > FLOAT32_MAX
    if large.any():
        expected = f"a finite number of at most {FLOAT32_MAX:.4g}"
        problems += [Problem(int(i), column.name, repr(float(x[i])), expected) for i in np.flatnonzero(large)]
        x = np.where(large, 0.0, x)
    return x.astype(np.float32)


def _each(
    column: Column, values: Sequence[Any] | NDArray[Any], problems: list[Problem], convert: Any
) -> NDArray[np.float64]:
    """The slow way, value by value: NaN where it is missing or a problem."""
    out = np.full(len(values), np.nan)
    for row, value in enumerate(values):
        if is_missing(value):
            continue
        number = convert(value)
        if number is None:
            problems.append(Problem(row, column.name, describe(value), EXPECTED[column.kind]))
        else:
            out[row] = number
    return out


def _numbers(
    column: NumericColumn, values: Sequence[Any] | NDArray[Any], problems: list[Problem]
) -> NDArray[np.float64]:
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        return values.astype(np.float64)
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu" and not _beyond_exact(values):
        return values.astype(np.float64)
    if not isinstance(values, np.ndarray) and set(map(type, values)) <= {float}:
        return np.asarray(values, dtype=np.float64)
    out = np.full(len(values), np.nan)
    for row, value in enumerate(values):
        if is_missing(value):
            continue
        if isinstance(value, bool | np.bool_ | np.timedelta64) or not isinstance(value, _REAL):
            problems.append(Problem(row, column.name, describe(value), EXPECTED["numeric"]))
        elif isinstance(value, int | np.integer) and abs(int(value)) > EXACT_INTEGER:
            problems.append(Problem(row, column.name, describe(value), "an integer of at most 2^53, or a float"))
        else:
            out[row] = value
    return out


def _beyond_exact(values: NDArray[Any]) -> bool:
    return len(values) > 0 and (int(values.max()) > EXACT_INTEGER or int(values.min()) < -EXACT_INTEGER)


def _booleans(
    column: BooleanColumn, values: Sequence[Any] | NDArray[Any], problems: list[Problem]
) -> NDArray[np.float64]:
    if isinstance(values, np.ndarray) and values.dtype.kind == "b":
        return values.astype(np.float64)

    def convert(value: Any) -> float | None:
        return float(value) if isinstance(value, _REAL | np.bool_) and value in {0, 1} else None

    return _each(column, values, problems, convert)


def _days(column: DateColumn, values: Sequence[Any] | NDArray[Any], problems: list[Problem]) -> NDArray[np.float64]:
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        days = values.astype("datetime64[us]").astype(np.int64) / 86_400e6
        return np.where(np.isnat(values), np.nan, days)
    return _each(column, values, problems, days_of)


def days_of(value: Any) -> float | None:
    """Days since 1970-01-01 UTC of an ISO 8601 string, a date or a datetime; None if it is none of these."""
    if isinstance(value, np.datetime64):
        return float(value.astype("datetime64[us]").astype(np.int64)) / 86_400e6
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        return None
    moment = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return ((moment - EPOCH) // timedelta(microseconds=1)) / 86_400e6  # as the array path divides


def _codes(
    column: CategoryColumn, values: Sequence[Any] | NDArray[Any], problems: list[Problem]
) -> NDArray[np.float32]:
    table = {category: float(index) for index, category in enumerate(column.categories)}
    out = np.zeros(len(values), dtype=np.float32)
    for row, value in enumerate(values):
        if isinstance(value, str):
            out[row] = table.get(value, UNKNOWN)
        elif is_missing(value) and column.missing:
            out[row] = len(table)
        else:
            problems.append(Problem(row, column.name, describe(value), _expected_string(value)))
    return out


def _strings(column: StringColumn, values: Sequence[Any] | NDArray[Any], problems: list[Problem]) -> NDArray[Any]:
    out = np.full(len(values), "", dtype=object)
    for row, value in enumerate(values):
        if isinstance(value, str):
            out[row] = value
        elif not (is_missing(value) and column.missing):
            problems.append(Problem(row, column.name, describe(value), _expected_string(value)))
    return out


def _expected_string(value: Any) -> str:
    return "a string (training saw no missing values here)" if is_missing(value) else "a string"
