"""Drift: how far the latest requests are from the training data, by feature and in what is predicted."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlplat.bundle.baseline import Histogram
from mlplat.bundle.features import TENSOR, Inputs
from mlplat.bundle.manifest import Manifest
from mlplat.bundle.prediction import Prediction
from mlplat.serve.recent import Recent

WINDOW_ROWS = 5000
"""So many of the latest rows are compared; older ones are forgotten."""

LEAST_ROWS = 500
"""With fewer rows, chance alone would look like drift."""

MEASURE_SECONDS = 10.0
"""A measurement is good for so long, however many ask."""

WARNING, DRIFTED = 0.1, 0.25
"""Below the first index little has changed, from the second on much has (Siddiqi, Credit Risk Scorecards, 2006)."""

Status = Literal["ok", "warning", "drifted"]


@dataclass(frozen=True, slots=True)
class Shift:
    """What was seen of one feature, or of the predictions, beside what training saw.

    Attributes:
        index: the population stability index.
        baseline: training's histogram.
        live: the counts of the latest rows, in the baseline's bins.
    """

    index: float
    baseline: Histogram
    live: tuple[int, ...]

    @classmethod
    def of(cls, baseline: Histogram, values: NDArray[np.generic]) -> "Shift":
        """Compare `values` [rows] with a baseline."""
        live = baseline.count(values)
        return cls(baseline.stability_index(live), baseline, live)

    @property
    def status(self) -> Status:
        """The index in a word."""
        return "ok" if self.index < WARNING else "warning" if self.index < DRIFTED else "drifted"


@dataclass(frozen=True, slots=True)
class Drift:
    """One measurement.

    Attributes:
        manifest: of the version whose rows were compared.
        rows: how many; with fewer than `LEAST_ROWS` nothing is measured.
        features: of each feature that the baseline has.
        predictions: of the predictions; None if there are too few rows.
        at: when it was measured.
    """

    manifest: Manifest
    rows: int
    features: dict[str, Shift]
    predictions: Shift | None
    at: datetime

    @property
    def indices(self) -> dict[str, float]:
        """The population stability index of each feature."""
        return {name: shift.index for name, shift in self.features.items()}

    @property
    def prediction_index(self) -> float | None:
        """The population stability index of the predictions; None if there are too few rows."""
        return None if self.predictions is None else self.predictions.index


class DriftWindow:
    """The latest rows that one version was asked, and what it answered: a ring that is written over and over.

    Rows are copied into the ring, so that adding costs under a microsecond and remembers no request. A thread may
    measure meanwhile: it then sees some rows replaced by newer ones, which is as good, since features are counted one by
    one.
    """

    def __init__(self, manifest: Manifest) -> None:
        features = manifest.features
        self._manifest = manifest
        self._measured = [name for name in features.names if name in manifest.baseline.features]  # strings have none
        self._named = features.layout == "columns"
        names = self._measured if self._named else list(features.names)
        self._column = {name: index for index, name in enumerate(names)}
        self._inputs = np.zeros((WINDOW_ROWS, len(names)), dtype=np.float32)
        self._values = np.zeros(WINDOW_ROWS, dtype=np.float32 if manifest.classes is None else np.int64)
        self._next = 0
        self._full = False

    @property
    def rows(self) -> int:
        """How many rows are remembered, `WINDOW_ROWS` at most."""
        return WINDOW_ROWS if self._full else self._next

    def add(self, inputs: Inputs, prediction: Prediction) -> None:
        """Remember encoded rows, [rows, ...] each, and their predictions. Not for two threads at once."""
        values = prediction.values
        start = self._next
        end = start + len(values)
        if end > WINDOW_ROWS:
            self._wrap(inputs, values)
            return
        if self._named:
            for name, index in self._column.items():
                self._inputs[start:end, index] = inputs[name][:, 0]
        else:
            self._inputs[start:end] = inputs[TENSOR]
        self._values[start:end] = values
        self._next = end

    def measure(self) -> Drift:
        """Compare the rows with the version's baseline; takes milliseconds."""
        rows, at = self.rows, datetime.now(UTC)
        if rows < LEAST_ROWS:
            return Drift(self._manifest, rows, {}, None, at)
        baseline = self._manifest.baseline
        features = {
            name: Shift.of(baseline.features[name], self._inputs[:rows, self._column[name]]) for name in self._measured
        }
        return Drift(self._manifest, rows, features, Shift.of(baseline.predictions, self._values[:rows]), at)

    def recent(self) -> Recent:
        """What the rows were answered with; takes less than a millisecond."""
        return Recent.of(self._manifest.classes, self._values[: self.rows])

    def _wrap(self, inputs: Inputs, values: NDArray[np.generic]) -> None:
        """Add rows up to the end of the ring, and the rest from its beginning; of more than it holds, the last."""
        fit = WINDOW_ROWS - self._next
        first = {name: rows[:fit] for name, rows in inputs.items()}
        self.add(first, Prediction(values[:fit]))
        self._next, self._full = 0, True
        rest = max(fit, len(values) - WINDOW_ROWS)
        self.add({name: rows[rest:] for name, rows in inputs.items()}, Prediction(values[rest:]))


class DriftMonitor:
    """Measures in a thread, one measurement at a time, and gives everyone who asks within a while the same.

    Args:
        seconds: how long a measurement is good for.
        clock: seconds that never go back.
    """

    def __init__(self, *, seconds: float = MEASURE_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._lock = asyncio.Lock()
        self._last: tuple[DriftWindow, Drift, float] | None = None

    async def measure(self, window: DriftWindow) -> Drift:
        """The drift of a window now, or a little while ago."""
        if window.rows < LEAST_ROWS:
            return window.measure()  # which is nothing yet
        async with self._lock:
            if self._last is not None:
                measured, drift, at = self._last
                if measured is window and self._clock() - at < self._seconds:
                    return drift
            at = self._clock()
            drift = await asyncio.to_thread(window.measure)
            self._last = (window, drift, at)
            return drift
