"""What a model answers for a batch of rows."""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

UNDEFINED = "the model has no number for these values, which are too large for its 32-bit arithmetic"
"""What is wrong with a row whose prediction is undefined, in the words of an error message."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answers for n rows.

    Attributes:
        values: float32[n] for regression and forecast; int64[n], indices into the manifest's `classes`, for
            classification.
        probabilities: float32[n, classes] for classification, else None.
        undefined: bool[n], true where the model has no number for a row, as numbers of its float32 overflowed; None if
            there is no such row.
    """

    values: NDArray[Any]
    probabilities: NDArray[np.float32] | None = None
    undefined: NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, values: NDArray[Any], probabilities: NDArray[np.float32] | None = None) -> Self:
        """What a model answered, which may be NaN or infinite."""
        if probabilities is None:
            odd = ~np.isfinite(values)
        else:
            flat = probabilities.reshape(-1)
            if math.isfinite(flat.dot(flat)):  # takes a third of what `isfinite` of each does for a few rows
                return cls(values, probabilities)
            odd = ~np.isfinite(probabilities).all(axis=1)
        return cls(values, probabilities, odd if odd.any() else None)

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, start: int, stop: int) -> "Prediction":
        """The answers for rows `start` to `stop`, as views."""
        probabilities = None if self.probabilities is None else self.probabilities[start:stop]
        undefined = None if self.undefined is None else self.undefined[start:stop]
        return Prediction(self.values[start:stop], probabilities, undefined)
