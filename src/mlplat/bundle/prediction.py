"""What a model answers for a batch of rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answers for n rows.

    Attributes:
        values: float32[n] for regression and forecast; int64[n], indices into the manifest's `classes`, for
            classification.
        probabilities: float32[n, classes] for classification, else None.
    """

    values: NDArray[Any]
    probabilities: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, start: int, stop: int) -> "Prediction":
        """The answers for rows `start` to `stop`, as views."""
        probabilities = None if self.probabilities is None else self.probabilities[start:stop]
        return Prediction(self.values[start:stop], probabilities)
