"""How far the version that serves answers the golden samples of another version as that one did."""

import asyncio
import random
from collections.abc import Sequence

import msgspec
import numpy as np

from mlplat import logs
from mlplat.bundle.golden import Golden, Scalar
from mlplat.bundle.manifest import Manifest
from mlplat.bundle.prediction import UNDEFINED
from mlplat.errors import DataError, MlplatError
from mlplat.metrics import ServeMetrics
from mlplat.runtime.predictor import Predictor
from mlplat.serve.lifecycle import Lifecycle
from mlplat.store import Cache, Store, open_store

FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0

ALIKE_SHARE = 0.1
"""Numbers are alike within this share of the interquartile range of the other version's golden answers."""


class Comparison:
    """Compares whatever serves with one version, after it is ready and after each swap, and keeps the gauge.

    A version that cannot be read is tried again later and later; until it can be, the gauge is absent.

    Args:
        lifecycle: the version that serves.
        cache: where a manifest is kept for when the store cannot be reached.
        metrics: where the gauge is.
        against: the other version of the same model.
    """

    def __init__(self, lifecycle: Lifecycle, cache: Cache, metrics: ServeMetrics, against: str) -> None:
        self._lifecycle = lifecycle
        self._cache = cache
        self._gauge = metrics.golden_agreement
        self._against = against
        self._store: Store | None = None
        self._noted = ""

    async def run(self) -> None:
        """Compare after each swap; runs until it is cancelled."""
        swapped, wait = self._lifecycle.swapped, None
        while True:
            try:
                await asyncio.wait_for(swapped.wait(), wait and wait * random.uniform(0.5, 1.0))
                swapped.clear()
                wait = None
            except TimeoutError:
                pass
            if await self._compare():
                wait = None
            else:
                wait = FIRST_RETRY_SECONDS if wait is None else min(wait * 2, LONGEST_RETRY_SECONDS)

    async def _compare(self) -> bool:
        """Compare once; whether that was possible."""
        predictor = self._lifecycle.require().predictor
        version = predictor.manifest.version
        self._gauge.clear()
        log = logs.get().bind(model=predictor.manifest.model, version=version, against=self._against)
        try:
            other = await asyncio.to_thread(self._read, predictor.manifest.model)
            share, reason = await asyncio.to_thread(agreement, predictor, other)
        except MlplatError as error:
            if error.message != self._noted:
                log.warning("not_compared", reason=error.message)
            self._noted = error.message
            return False
        except Exception as error:  # a bug here must not end serving
            log.exception("comparison_failed", exc_info=error)
            return False
        self._noted = ""
        self._gauge.labels(version, self._against).set(share)
        log.info("compared", agreement=round(share, 4), **({"reason": reason} if reason else {}))
        return True

    def _read(self, model: str) -> Manifest:
        if self._store is None:
            self._store = open_store(self._lifecycle.source.store, create=False)
        return self._cache.manifest(self._store, model, self._against)


def agreement(predictor: Predictor, other: Manifest) -> tuple[float, str | None]:
    """The share of another version's golden samples that a predictor answers as that version did.

    Classes are alike where they are equal as clients see them, whatever their order. Numbers are alike within
    `ALIKE_SHARE` of the interquartile range of the other's golden answers, and always within the tolerance of its replay.
    A row that cannot be asked, or for which the predictor has no number, is not alike.

    Returns:
        The share, and why the first row that cannot be asked cannot be, if there is one.
    """
    mine = predictor.manifest
    if (mine.classes is None) != (other.classes is None):
        return 0.0, f"{mine.version} is for {mine.task}, {other.version} for {other.task}"
    if mine.features.names != other.features.names:
        return 0.0, f"the columns of {mine.version} are not those of {other.version}, or not in their order"
    reach, alike = _reach(other.golden), 0
    reason: str | None = None
    for row, expected in zip(other.golden.rows, other.golden.values, strict=True):
        try:
            found = _ask(predictor, row)
        except MlplatError as error:
            reason = reason or error.message
            continue
        if mine.classes is None or other.classes is None:
            alike += abs(found - expected) <= max(reach, other.golden.tolerance * abs(expected))
        else:
            alike += msgspec.json.encode(mine.classes[int(found)]) == msgspec.json.encode(other.classes[int(expected)])
    return alike / len(other.golden.rows), reason


def _ask(predictor: Predictor, row: Sequence[Scalar]) -> float:
    """What a predictor answers for one raw row.

    Raises:
        DataError: if the row cannot be asked.
    """
    features = predictor.manifest.features
    inputs, problems = features.encode({name: [value] for name, value in zip(features.names, row, strict=True)})
    if problems:
        problem = problems[0]
        raise DataError(f"column {problem.column!r}: found {problem.found}, expected {problem.expected}")
    try:
        prediction = predictor.predict(inputs)
    except Exception as error:  # onnxruntime has no public base class for its errors
        raise DataError(f"the model failed: {error}") from error
    if prediction.undefined is not None:
        raise DataError(UNDEFINED)
    return float(prediction.values[0])


def _reach(golden: Golden) -> float:
    """How far apart numbers may be that are alike."""
    low, high = np.quantile(golden.values, (0.25, 0.75))
    return ALIKE_SHARE * float(high - low)
