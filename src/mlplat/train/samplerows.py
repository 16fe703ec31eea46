"""Rows that a user gives beside an estimator: as the estimator takes them, and as its version does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlplat.bundle.answers import PREDICTION
from mlplat.bundle.features import BooleanColumn, Column, Features, Inputs, NumericColumn, StringColumn, listed
from mlplat.bundle.golden import Scalar
from mlplat.bundle.manifest import Label
from mlplat.errors import DataError
from mlplat.recipes import Dataset, Table
from mlplat.recipes.dataset import MIN_ROWS
from mlplat.recipes.kinds import RawColumn
from mlplat.train.estimatorfile import Fitted

TYPED = "Give the sample as Parquet, whose columns have types."


@dataclass(frozen=True, slots=True)
class SampleRows:
    """The rows of a sample that have all values.

    Attributes:
        table: where they come from.
        rows: which of its rows they are.
        columns: what the estimator takes, in its order.
        by_name: whether it takes them by name.
        truth: the target of each row; None if the sample has none.
        target: its name.
    """

    table: Table
    rows: NDArray[np.int64]
    columns: dict[str, RawColumn]
    by_name: bool
    truth: NDArray[Any] | None
    target: str | None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def has_strings(self) -> bool:
        """Whether a column holds strings."""
        return any(column.kind == "category" for column in self.columns.values())

    def features(self, layout: Literal["tensor", "columns"]) -> Features:
        """How the columns reach the export. A missing value is refused: no training here saw what becomes of it."""
        return Features(columns=tuple(_feature(n, c) for n, c in self.columns.items()), layout=layout)

    def encode(self, features: Features) -> Inputs:
        """The rows as the export takes them.

        Raises:
            DataError: naming the first value that it cannot take.
        """
        inputs, problems = features.encode({name: column.cells for name, column in self.columns.items()})
        if problems:
            first = min(problems, key=lambda problem: problem.row)
            found = self.columns[first.column].cells[first.row]
            raise self.table.refuse(first.column, int(self.rows[first.row]), found, first.expected)
        return inputs

    def frame(self) -> Any:
        """The rows as the estimator takes them: a DataFrame, or an array if it was fitted without names."""
        return self.as_table({name: column.cells for name, column in self.columns.items()})

    def as_table(self, cells: dict[str, Any]) -> Any:
        """Raw values by column, as the estimator takes them."""
        typed = {name: _typed(self.columns[name], values) for name, values in cells.items()}
        return pd.DataFrame(typed) if self.by_name else np.column_stack(list(typed.values())).astype(np.float64)

    def dataset(self, fitted: Fitted, predicted: NDArray[Any]) -> Dataset:
        """The rows as a data set; without a target, what the estimator predicts stands for it.

        Raises:
            DataError: if the target is none of the estimator's.
        """
        left_out = [name for name in self.table.names if name not in {*self.columns, self.target}]
        return Dataset(
            self.table,
            self.columns,
            self.target or PREDICTION,
            fitted.task,
            predicted if self.truth is None else self._encoded(fitted),
            fitted.classes,
            dict.fromkeys(left_out, "not a column of the estimator"),
        )

    def _encoded(self, fitted: Fitted) -> NDArray[Any]:
        truth, target = self.truth, str(self.target)
        if truth is None:
            raise ValueError("there is no target")
        if fitted.classes is None:
            if truth.dtype.kind != "f":
                raise self.table.refuse(target, int(self.rows[0]), truth[0], "a number, as this is a regression")
            return truth
        codes = [_code(label, fitted.classes) for label in truth.tolist()]
        if None in codes:
            row = codes.index(None)
            expected = f"one of the classes {listed([str(label) for label in fitted.classes])}"
            raise self.table.refuse(target, int(self.rows[row]), truth[row], expected)
        return np.array(codes, dtype=np.int64)


def sample_rows(table: Table, fitted: Fitted, target: str | None) -> SampleRows:
    """The columns that an estimator takes, and the target, of the rows that lack none of them.

    Raises:
        DataError: if a column is missing, of a type that no export takes, or too few rows are left.
    """
    if target is not None:
        table.require([target])
    names = fitted.columns or tuple(name for name in table.names if name != target)
    table.require(names)
    if fitted.width not in {None, len(names)}:
        raise DataError(
            f"{table.uri} has {len(names)} columns but for the target, {listed(names)}; the estimator takes "
            f"{fitted.width}.",
            hint="Leave out the others, and name the target with --target.",
        )
    columns = {name: _column(table, name) for name in names}
    if fitted.columns is None:
        strings = [name for name, column in columns.items() if column.kind == "category"]
        if strings:
            raise DataError(
                f"{table.uri}: {listed(strings)} holds strings, but the estimator was fitted without column names.",
                hint="Fit it on a DataFrame.",
            )
    truth = None if target is None else table.inferred(target)
    missing = np.any([c.missing for c in [*columns.values(), *([] if truth is None else [truth])]], axis=0)
    rows = np.flatnonzero(~missing)
    if len(rows) < MIN_ROWS:
        raise DataError(
            f"{table.uri} has {len(rows)} rows without a missing value, expected at least {MIN_ROWS}: on them the export "
            "is compared with the estimator."
        )
    kept = {name: RawColumn(column.kind, column.cells[rows]) for name, column in columns.items()}
    return SampleRows(
        table, rows, kept, fitted.columns is not None, None if truth is None else truth.cells[rows], target
    )


def _column(table: Table, name: str) -> RawColumn:
    """A column of numbers, booleans or strings."""
    found = table.inferred(name)
    if found.stray is not None:
        row, value, expected = found.stray
        raise table.refuse(name, row, value, expected, hint=TYPED)
    if found.kind != "date":
        return found
    if found.cells.dtype.kind == "M":
        raise DataError(f"{table.uri}: column {name!r} holds dates, expected numbers, booleans or strings.")
    return RawColumn("category", found.cells)  # as pandas reads it: text


def _feature(name: str, column: RawColumn) -> Column:
    match column.kind:
        case "boolean":
            return BooleanColumn(name=name)
        case "category":
            return StringColumn(name=name)
        case _:
            return NumericColumn(name=name)


def _typed(column: RawColumn, cells: Sequence[Any] | NDArray[Any]) -> NDArray[Any]:
    """Cells as pandas would have read them."""
    kinds: dict[str, Any] = {"boolean": np.bool_, "numeric": np.float64}
    return np.asarray(cells, dtype=kinds.get(column.kind, object))


def _code(label: Scalar, classes: Sequence[Label]) -> int | None:
    """The index of a label, which a file may hold as text; None if it is none."""
    return next((i for i, known in enumerate(classes) if known == label or _text(known) == _text(label)), None)


def _text(label: Scalar) -> str:
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label).lower() if isinstance(label, bool) else str(label)
