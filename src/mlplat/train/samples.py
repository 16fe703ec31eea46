"""Raw rows that go into a version: its golden samples, and the held-out rows that a first batch scores."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mlplat.bundle.answers import answer_columns
from mlplat.bundle.features import CategoryColumn, Features, StringColumn, is_missing, listed
from mlplat.bundle.golden import Golden, Scalar
from mlplat.errors import DataError, ExportError
from mlplat.recipes import Dataset
from mlplat.runtime import Run

GOLDEN_ROWS = 14
MAX_HELD_OUT = 10_000
UNKNOWN = "mlplat: unknown"
"""A string that no training data is likely to hold."""

_ARROW = {"numeric": pa.float64(), "boolean": pa.bool_(), "category": pa.string()}


def refuse_answers(data: Dataset) -> None:
    """Refuse a feature with the name of a column that batch scoring adds, so that every version can score files.

    Raises:
        DataError: naming the column.
    """
    taken = [name for name in data.columns if name in answer_columns(data.classes)]
    if taken:
        raise DataError(
            f"{data.table.uri}: a feature cannot be called {listed(taken)}, as a column that batch scoring adds is.",
            hint="Rename it, or leave it out.",
        )


def raw_row(data: Dataset, row: int) -> dict[str, Scalar]:
    """One row as JSON values."""
    return {name: json_value(column.cells[row]) for name, column in data.columns.items()}


def json_value(cell: Any) -> Scalar:
    """A raw value as JSON holds it; a moment becomes an ISO string."""
    if is_missing(cell):
        return None
    if isinstance(cell, np.datetime64):
        return str(cell)
    value: Scalar = cell.item() if isinstance(cell, np.generic) else cell
    return value


def without_value(features: Features, row: dict[str, Scalar]) -> list[dict[str, Scalar]]:
    """For each column that allows it, the row with a missing value there."""
    return [{**row, column.name: None} for column in features.columns if _allows_missing(column)]


def with_unknown(features: Features, row: dict[str, Scalar]) -> list[dict[str, Scalar]]:
    """For each column of strings, the row with a string there that training did not see."""
    strings = [c.name for c in features.columns if isinstance(c, CategoryColumn | StringColumn)]
    return [{**row, name: UNKNOWN} for name in strings]


def _allows_missing(column: Any) -> bool:
    return bool(column.missing) if isinstance(column, CategoryColumn | StringColumn) else column.fill is not None


def by_column(features: Features, rows: list[dict[str, Scalar]]) -> dict[str, list[Scalar]]:
    """Rows as raw columns, ready for `Features.encode`."""
    return {name: [row[name] for row in rows] for name in features.names}


def golden_of(run: Run, features: Features, data: Dataset, held_out: NDArray[Any], tolerance: float) -> Golden:
    """Golden samples: held-out rows over the whole file, one with all missing values, one with all unknown ones.

    Args:
        run: the exported model.
        features: of the model.
        data: the data set.
        held_out: indices of the held-out rows.
        tolerance: how far a replay may be off.
    """
    chosen = np.unique(np.linspace(0, len(held_out) - 1, GOLDEN_ROWS).astype(int))
    rows = [raw_row(data, int(held_out[index])) for index in chosen]
    for change in (without_value, with_unknown):
        extreme = {
            name: value for row in change(features, rows[0]) for name, value in row.items() if value != rows[0][name]
        }
        if extreme:
            rows.append({**rows[0], **extreme})
    inputs, problems = features.encode(by_column(features, rows))
    if problems:
        raise ExportError(f"The golden samples do not fit the features: {problems[0]}.")
    predicted = run(inputs)
    probabilities = predicted.probabilities
    return Golden(
        rows=tuple(tuple(row[name] for name in features.names) for row in rows),
        values=tuple(map(float, predicted.values)),
        probabilities=None if probabilities is None else tuple(tuple(map(float, p)) for p in probabilities),
        tolerance=tolerance,
    )


def write_held_out(path: Path, data: Dataset, held_out: NDArray[Any]) -> None:
    """Write raw held-out rows and their target as Parquet, the first 10,000 of them.

    A target with the name of a column that batch scoring adds is left out: the file is there to be scored.

    Args:
        path: the file to make.
        data: the data set.
        held_out: indices of the held-out rows.
    """
    rows = held_out[:MAX_HELD_OUT]
    columns = {}
    for name, column in data.columns.items():
        moment = pa.timestamp("us") if column.cells.dtype.kind == "M" else pa.string()
        columns[name] = pa.array(column.cells[rows], type=_ARROW.get(column.kind, moment), from_pandas=True)
    if data.target not in answer_columns(data.classes):
        columns[data.target] = pa.array(data.labels[rows])
    pq.write_table(pa.table(columns), path)
