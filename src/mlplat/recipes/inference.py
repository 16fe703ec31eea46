"""Features inferred from a data set: fills, category tables, and where a missing value is allowed."""

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlplat.bundle.features import (
    BooleanColumn,
    CategoryColumn,
    Column,
    DateColumn,
    Features,
    Inputs,
    NumericColumn,
    StringColumn,
    encode_column,
)
from mlplat.recipes.dataset import Dataset
from mlplat.recipes.kinds import RawColumn

MAX_CATEGORIES = 100
"""A category column keeps its most frequent values; all others are unknown, in training too."""


def infer_features(data: Dataset, training: NDArray[np.bool_], *, strings: bool = False) -> Features:
    """How the columns of a data set become a model's inputs.

    Fills are the median (the more frequent one for booleans) of the training rows; a missing value is allowed where
    the data has one.

    Args:
        data: the data set.
        training: bool[rows], the rows to learn from.
        strings: hand categories to the estimator as strings, one input per column, for a `Pipeline` that encodes them.
    """
    columns = [_infer(name, column, training, strings=strings) for name, column in data.columns.items()]
    return Features(columns=tuple(columns), layout="columns" if strings else "tensor")


def encode(features: Features, data: Dataset, rows: NDArray[Any]) -> Inputs:
    """Encode some rows of a data set with the code that serves.

    Raises:
        DataError: naming the file, line and column of the first value that cannot be encoded.
    """
    inputs, problems = features.encode(data.raw(rows))
    if problems:
        first = min(problems, key=lambda problem: problem.row)
        at = int(np.arange(len(data))[rows][first.row])
        raise data.table.refuse(first.column, at, data.columns[first.column].cells[at], first.expected)
    return inputs


def _infer(name: str, column: RawColumn, training: NDArray[np.bool_], *, strings: bool) -> Column:
    missing = bool(column.missing.any())
    seen = column.cells[training & ~column.missing]
    match column.kind:
        case "numeric":
            return NumericColumn(name=name, fill=_median(seen) if missing else None)
        case "boolean":
            true = 1 if seen.size and np.mean(seen.astype(bool)) > 0.5 else 0
            return BooleanColumn(name=name, fill=true if missing else None)
        case "date":
            days = encode_column(DateColumn(name=name), seen, [])
            return DateColumn(name=name, fill=_median(days) if missing else None)
        case "category":
            if strings:
                return StringColumn(name=name, missing=missing)
            frequent = Counter(sorted(seen)).most_common(MAX_CATEGORIES)
            return CategoryColumn(name=name, categories=tuple(sorted(v for v, _ in frequent)), missing=missing)


def _median(values: NDArray[Any]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.float32(np.median(finite))) if finite.size else 0.0
