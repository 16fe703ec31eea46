"""A version as the store holds it, read by hand: its columns, its classes, and scikit-learn's own estimator."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray

FLOAT32_MAX = float(np.finfo(np.float32).max)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPSILON = float(np.finfo(np.float32).eps)


class InvalidError(Exception):
    """A request that must be refused, and why."""


@dataclass(frozen=True, slots=True)
class Column:
    """How one value becomes a number."""

    name: str
    kind: str
    fill: float | None
    categories: tuple[str, ...]
    missing: bool

    def encode(self, value: Any) -> float:
        """The number for a raw value.

        Raises:
            InvalidError: if it is none of this column.
        """
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return self._missing()
        if self.kind == "category":
            if not isinstance(value, str):
                raise InvalidError(f"{self.name} is no string")
            return float(self.categories.index(value)) if value in self.categories else -1.0
        if self.kind == "date":
            return self._days(value)
        if self.kind == "boolean":
            if not isinstance(value, int | float) or value not in {0, 1}:
                raise InvalidError(f"{self.name} is no boolean")
            return float(value)
        if isinstance(value, bool | str) or not isinstance(value, int | float):
            raise InvalidError(f"{self.name} is no number")
        if abs(value) > (2**53 if isinstance(value, int) else FLOAT32_MAX):
            raise InvalidError(f"{self.name} is too large")
        return float(value)

    def _missing(self) -> float:
        if self.kind == "category" and self.missing:
            return float(len(self.categories))
        if self.kind == "category" or self.fill is None:
            raise InvalidError(f"{self.name} is missing")
        return self.fill

    def _days(self, value: Any) -> float:
        if not isinstance(value, str):
            raise InvalidError(f"{self.name} is no date")
        try:
            moment = datetime.fromisoformat(value)
        except ValueError as error:
            raise InvalidError(f"{self.name} is no date") from error
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - EPOCH).total_seconds() / 86_400


@dataclass(frozen=True)
class Model:
    """One version."""

    name: str
    version: str
    task: str
    columns: tuple[Column, ...]
    classes: tuple[Any, ...] | None
    samples: tuple[tuple[Any, ...], ...]
    """Rows that training saw."""
    estimator: Any

    @classmethod
    def read(cls, store: Path, name: str, version: str) -> "Model":
        """From the folder of a store."""
        manifest = json.loads((store / name / "versions" / f"{version}.json").read_bytes())
        pickled = store / name / "files" / manifest["files"]["model.joblib"]["sha256"]
        columns = [
            Column(
                column["name"],
                column["kind"],
                column.get("fill"),
                tuple(column.get("categories", ())),
                column.get("missing", False),
            )
            for column in manifest["features"]["columns"]
        ]
        classes = manifest["classes"]
        return cls(
            name,
            version,
            manifest["task"],
            tuple(columns),
            None if classes is None else tuple(classes),
            tuple(map(tuple, manifest["golden"]["rows"])),
            joblib.load(pickled),
        )

    @property
    def names(self) -> list[str]:
        """Of the columns."""
        return [column.name for column in self.columns]

    def encode(self, row: Sequence[Any]) -> list[float]:
        """The numbers for the raw values of a row.

        Raises:
            InvalidError: if one is none of its column, or there are more or fewer.
        """
        if len(row) != len(self.columns):
            raise InvalidError(f"{len(row)} values")
        return [column.encode(value) for column, value in zip(self.columns, row, strict=True)]

    def predict(self, rows: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Class indices and probabilities, or numbers and None, by scikit-learn."""
        wide = rows.astype(np.float64)  # the same numbers; a linear model then computes in double
        if self.classes is None:
            return self.estimator.predict(wide), None
        return self.estimator.predict(wide), self.estimator.predict_proba(wide)

    def slack(self, rows: NDArray[np.float32]) -> NDArray[Any]:
        """How far probabilities may be off for each row because a linear model computes in float32.

        A tree does not compute; nothing is allowed to it. The bound is on the sum of the terms of each class, whose error is
        that of float32 in relation to the largest terms; a probability moves by no more than its logit.
        """
        steps = getattr(self.estimator, "named_steps", None)
        if steps is None:
            return np.zeros(len(rows))
        scaler = steps["scale"].named_transformers_["numbers"]
        terms = (np.abs(rows.astype(np.float64)) + np.abs(scaler.mean_)) / scaler.scale_
        sums = terms @ np.abs(steps["model"].coef_).T + np.abs(steps["model"].intercept_)
        return np.asarray(8 * EPSILON * sums.max(axis=1))
