"""Drift: how far the latest requests are from the training data, by feature and in what is predicted."""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlplat.bundle.features import TENSOR, Inputs
from mlplat.bundle.manifest import Manifest
from mlplat.bundle.prediction import Prediction

WINDOW_ROWS = 5000
"""So many of the latest rows are compared; older ones are forgotten."""

LEAST_ROWS = 500
"""With fewer rows, chance alone would look like drift."""


@dataclass(frozen=True, slots=True)
class Drift:
    """Population stability indices; below 0.1 little has changed, above 0.25 much has.

    Attributes:
        rows: how many rows were compared; with fewer than `LEAST_ROWS`, no index is given.
        features: of each feature that the baseline has.
        predictions: of the predictions; None if there are too few rows.
    """

    rows: int
    features: dict[str, float]
    predictions: float | None


Chunk = tuple[Inputs, NDArray[np.generic]]
"""Encoded rows of one request, [rows, ...] each, and their predictions."""


class DriftWindow:
    """The latest rows that one version was asked, and what it answered. Adding costs next to nothing."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._chunks: deque[Chunk] = deque()
        self._rows = 0

    def add(self, inputs: Inputs, prediction: Prediction) -> None:
        """Remember encoded rows, [rows, ...] each, and their predictions."""
        values = prediction.values[-WINDOW_ROWS:]
        self._chunks.append(({name: rows[-WINDOW_ROWS:] for name, rows in inputs.items()}, values))
        self._rows += len(values)
        while self._rows - len(self._chunks[0][1]) >= WINDOW_ROWS:
            self._rows -= len(self._chunks.popleft()[1])

    def sample(self) -> "DriftSample":
        """What is remembered now; a thread may measure it while more is added."""
        return DriftSample(self._manifest, tuple(self._chunks))


@dataclass(frozen=True, slots=True)
class DriftSample:
    """Rows of one version."""

    manifest: Manifest
    chunks: tuple[Chunk, ...]

    def measure(self) -> Drift:
        """Compare the rows with the version's baseline; takes milliseconds."""
        rows = sum(len(values) for _, values in self.chunks)
        if rows < LEAST_ROWS:
            return Drift(rows, {}, None)
        baseline, features = self.manifest.baseline, self.manifest.features
        joined = {name: np.concatenate([inputs[name] for inputs, _ in self.chunks]) for name in self.chunks[0][0]}
        shifts = {}
        for index, name in enumerate(features.names):
            if name in baseline.features:  # strings have none
                column = joined[TENSOR][:, index] if features.layout == "tensor" else joined[name][:, 0]
                shifts[name] = baseline.features[name].stability_index(column)
        predicted = np.concatenate([values for _, values in self.chunks])
        return Drift(rows, shifts, baseline.predictions.stability_index(predicted))
