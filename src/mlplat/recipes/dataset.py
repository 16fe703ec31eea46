"""A data set: raw feature columns and an encoded target, whatever they were read from."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from mlplat.bundle.features import FLOAT32_MAX
from mlplat.bundle.manifest import Label, Task
from mlplat.errors import DataError
from mlplat.recipes.kinds import RawColumn
from mlplat.recipes.table import Table

if TYPE_CHECKING:
    import pandas as pd

MIN_ROWS = 10
MIN_ROWS_PER_CLASS = 5
MAX_INTEGER_CLASSES = 20
"""An integer target with more different values than this is a regression, unless the task says otherwise."""
_ID_NAME = re.compile(r"(?i:(^|[_\W])(id|uuid|guid|index|key)$|^unnamed: 0$)|[a-z]I[dD]$")


@dataclass(frozen=True)
class Dataset:
    """What a recipe trains on.

    Attributes:
        table: where the rows come from; names them in error messages.
        columns: the raw feature columns, in the order of the model.
        target: the name of the target.
        task: what kind of target it is.
        y: int64[rows], indices into `classes`, for a classification, else float64[rows].
        classes: the labels of a classification, sorted.
        left_out: columns that are no features, each with the reason in a few words.
    """

    table: Table
    columns: dict[str, RawColumn]
    target: str
    task: Task
    y: NDArray[Any]
    classes: tuple[Label, ...] | None = None
    left_out: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_table(
        cls,
        table: Table,
        *,
        target: str,
        features: Sequence[str] | None = None,
        task: Task | None = None,
        categories: Collection[str] = (),
        drop: Collection[str] = (),
    ) -> Self:
        """A table with one column as the target.

        Args:
            table: from `read_table`.
            target: the column to predict.
            features: the columns to predict from; by default all others but id-like ones (`left_out` says which).
            task: by default a classification if the target has strings, booleans or few different integers.
            categories: columns whose values are names, though they look like numbers.
            drop: columns to leave out.

        Raises:
            DataError: naming the column, the row and what was expected.
        """
        table.require([target, *(features or ()), *categories, *drop])
        left_out = dict.fromkeys(drop, "asked for")
        columns: dict[str, RawColumn] = {}
        for name in features if features is not None else table.names:
            if name == target or name in left_out:
                continue
            if name in categories or features is not None:
                columns[name] = table.column(name, category=name in categories)
                continue
            column = table.inferred(name)
            reason = _id_like(name, column)
            if reason:
                left_out[name] = reason
            else:
                table.check(name, column)
                columns[name] = column
        if features is not None:
            left_out |= {n: "not a feature of this recipe" for n in table.names if n not in {*features, target}}
        if not columns:
            raise DataError(f"{table.uri} has no column to predict {target!r} from.")
        task, y, classes = _encode_target(table, target, task, category=target in categories)
        return cls(table, columns, target, task, y, classes, left_out)

    @classmethod
    def from_frame(cls, frame: "pd.DataFrame", *, target: str, uri: str, task: Task | None = None) -> Self:
        """A pandas DataFrame with one column as the target; `uri` names it in messages and in the manifest."""
        return cls.from_table(Table.from_frame(frame, uri), target=target, task=task, features=_others(frame, target))

    def __len__(self) -> int:
        return len(self.y)

    @property
    def labels(self) -> NDArray[Any]:
        """The target as it was: labels (objects) of a classification, else the numbers."""
        if self.classes is None:
            return self.y
        names = np.empty(len(self.classes), dtype=object)
        names[:] = self.classes
        labels: NDArray[Any] = names[self.y]
        return labels

    def raw(self, rows: NDArray[Any] | slice = slice(None)) -> dict[str, NDArray[Any]]:
        """The raw values of some rows, ready for `Features.encode`."""
        return {name: column.cells[rows] for name, column in self.columns.items()}


def _others(frame: "pd.DataFrame", target: str) -> list[str]:
    return [str(name) for name in frame.columns if name != target]


def _id_like(name: str, column: RawColumn) -> str | None:
    """Why a column only names its rows; None if it may say something about them."""
    values = column.cells[~column.missing]
    if column.kind == "category" and column.stray is None and len(values) > MIN_ROWS:
        different = len(set(values))
        if different > 0.9 * len(values):
            return f"id-like: {different} different strings in {len(values)} rows"
    if column.kind == "numeric" and len(values) == len(column.cells) > MIN_ROWS:
        if not _are_whole(values) or len(np.unique(values)) < len(values):
            return None
        if _ID_NAME.search(name):
            return "id-like: another integer in each row"
        if (np.diff(values) == 1).all():
            return "id-like: it counts the rows"
    return None


def _are_whole(numbers: NDArray[Any]) -> bool:
    return bool(np.isfinite(numbers).all() and (numbers == np.floor(numbers)).all())


def _encode_target(
    table: Table, target: str, task: Task | None, *, category: bool
) -> tuple[Task, NDArray[Any], tuple[Label, ...] | None]:
    column = table.column(target, category=category)
    missing = np.flatnonzero(column.missing)
    if missing.size:
        raise table.refuse(
            target, int(missing[0]), None, f"a target in every row ({missing.size} lack it)", hint="Remove those rows."
        )
    numbers = column.cells if column.kind == "numeric" else None
    if numbers is not None:
        _refuse_infinite(table, target, numbers)
    if task is None:
        few = numbers is None or (_are_whole(numbers) and len(np.unique(numbers)) <= MAX_INTEGER_CLASSES)
        task = "classification" if few else "regression"
    if task == "classification":
        y, classes = _encode_classes(table, target, column)
        return task, y, classes
    if numbers is None:
        raise table.refuse(target, 0, column.cells[0], f"a number, to train a {task}")
    if len(numbers) < MIN_ROWS:
        raise DataError(f"{table.uri} has {len(numbers)} rows, expected at least {MIN_ROWS}.")
    return task, numbers, None


def _refuse_infinite(table: Table, name: str, numbers: NDArray[Any]) -> None:
    wrong = np.flatnonzero(~(np.abs(numbers) <= FLOAT32_MAX))
    if wrong.size:
        row = int(wrong[0])
        raise table.refuse(name, row, float(numbers[row]), f"a finite number of at most {FLOAT32_MAX:.4g}")


def _encode_classes(table: Table, target: str, column: RawColumn) -> tuple[NDArray[Any], tuple[Label, ...]]:
    labels: list[Label] = list(map(str, column.cells)) if column.kind == "date" else column.cells.tolist()
    if column.kind == "numeric" and _are_whole(column.cells):
        labels = list(map(int, column.cells))
    counts = Counter(labels)
    if len(counts) == 1:
        raise DataError(
            f"{table.uri}: column {target!r} has the one class {labels[0]!r} in all {len(labels)} rows, "
            "expected two or more."
        )
    rarest, count = min(counts.items(), key=lambda item: item[1])
    if count < MIN_ROWS_PER_CLASS:
        raise DataError(
            f"{table.uri}: column {target!r} has {count} rows of the class {rarest!r}, expected at least "
            f"{MIN_ROWS_PER_CLASS} of each of its {len(counts)} classes.",
            hint="Add rows, remove that class, or, if the target is an amount, train a regression (task=regression).",
        )
    classes = tuple(sorted(counts))
    code = {label: index for index, label in enumerate(classes)}
    return np.array([code[label] for label in labels], dtype=np.int64), classes
