"""Golden samples: raw inputs with the predictions that training saw, replayed before a version may serve."""

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mlplat.bundle.features import Features
from mlplat.bundle.prediction import Prediction
from mlplat.errors import GoldenError

Scalar = bool | int | float | str | None
"""A raw value as JSON holds it."""


class Golden(BaseModel):
    """Some rows, what the model answered for them, and how far a replay may be off.

    `rows` are by position, in the order of the features. `values` and `probabilities` are as in `Prediction`.
    `tolerance` is as in `differences`: absolute for probabilities, relative for regression values; labels may differ
    only where the two best probabilities are within it.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    rows: tuple[tuple[Scalar, ...], ...] = Field(min_length=1)
    values: tuple[float, ...]
    probabilities: tuple[tuple[float, ...], ...] | None = None
    tolerance: float = Field(gt=0)

    def columns(self, features: Features) -> dict[str, list[Any]]:
        """The rows as raw columns, ready for `Features.encode`."""
        return {name: [row[i] for row in self.rows] for i, name in enumerate(features.names)}

    def check(self, replayed: Prediction) -> None:
        """Compare a replay with what training saw.

        Raises:
            GoldenError: naming the first sample that differs by more than the tolerance.
        """
        if len(replayed) != len(self.values):
            raise GoldenError(f"{len(self.values)} golden samples gave {len(replayed)} answers.")
        off = differences(self._recorded(), replayed, self.tolerance)
        if off.any():
            row = int(np.flatnonzero(off)[0])
            raise GoldenError(
                f"Golden sample {row} was {self.values[row]:g} when it was trained and is "
                f"{float(replayed.values[row]):g} now (tolerance {self.tolerance:g}); {int(off.sum())} of {len(off)} "
                "samples differ.",
                hint="The model or the runtime is not the one that was published; publish a new version.",
            )

    def _recorded(self) -> Prediction:
        if self.probabilities is None:
            return Prediction(np.asarray(self.values, dtype=np.float32))
        return Prediction(np.asarray(self.values, dtype=np.int64), np.asarray(self.probabilities, dtype=np.float32))


def differences(expected: Prediction, found: Prediction, tolerance: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which rows of two predictions differ by more than `tolerance`.

    Args:
        expected: what is right.
        found: as many rows; with probabilities if `expected` has them.
        tolerance: absolute on probabilities; on regression values relative to |expected|, or to the mean |expected|
            of all rows where that is larger (a value near 0 is a sum of large terms, exact only to their size). Labels
            may differ where the two best expected probabilities are within it.

    Returns:
        bool[rows].
    """
    if expected.probabilities is None:
        right, seen = expected.values.astype(np.float64), found.values.astype(np.float64)
        size = np.maximum(np.abs(right), max(float(np.abs(right).mean()), 1e-6)) if len(right) else right
        return ~(np.abs(seen - right) <= tolerance * size)
    if found.probabilities is None or found.probabilities.shape != expected.probabilities.shape:
        return np.ones(len(expected), dtype=bool)
    off = ~(np.abs(found.probabilities - expected.probabilities) <= tolerance).all(axis=1)
    best = np.sort(expected.probabilities, axis=1)
    tied = best[:, -1] - best[:, -2] <= tolerance
    result: np.ndarray[Any, np.dtype[np.bool_]] = off | ((found.values != expected.values) & ~tied)
    return result
