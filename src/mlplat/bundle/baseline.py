"""The baseline: histograms of the training data, which live traffic is compared with."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from mlplat.bundle.features import BooleanColumn, CategoryColumn, Column

BINS = 10


class Histogram(BaseModel):
    """Counts between edges: `counts[i]` values x have `edges[i-1] <= x < edges[i]`; the outer bins are open.

    A category's codes are counted one a bin: unknown, each category, missing.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.counts) != len(self.edges) + 1:
            raise ValueError("a histogram has one count more than edges")
        return self

    @classmethod
    def of(cls, values: NDArray[Any], edges: NDArray[Any]) -> Self:
        """Count `values` [rows] between ascending `edges`."""
        return cls(edges=tuple(map(float, edges)), counts=_count(values, edges))

    def count(self, values: NDArray[Any]) -> tuple[int, ...]:
        """Count other `values` [rows] in the same bins."""
        return _count(values, np.asarray(self.edges))

    def stability_index(self, counts: Sequence[int]) -> float:
        """How far other `counts` of the same bins are from what was counted: the population stability index.

        The sum over bins of (q - p) ln(q / p), where p is the share that was counted and q that of `counts`, with half a
        count in bins that are empty (Siddiqi, Credit Risk Scorecards, 2006, who calls 0.1 little and 0.25 much).
        """
        expected = np.maximum(np.asarray(self.counts, dtype=np.float64), 0.5)
        observed = np.maximum(np.asarray(counts, dtype=np.float64), 0.5)
        p, q = expected / expected.sum(), observed / observed.sum()
        return float(np.sum((q - p) * np.log(q / p)))


class Baseline(BaseModel):
    """Histograms of each encoded feature and of the predictions, over the training rows."""

    model_config = ConfigDict(frozen=True)

    rows: int
    features: dict[str, Histogram]
    predictions: Histogram


def column_edges(column: Column, encoded: NDArray[np.float32]) -> NDArray[np.float64]:
    """Where to cut a feature: between the codes of a category, between false and true, at the deciles of numbers.

    Args:
        column: the feature.
        encoded: float32[rows], its training values.

    Returns:
        float64[edges], ascending, without repeats.
    """
    if isinstance(column, CategoryColumn):
        return np.arange(-0.5, len(column.categories))
    if isinstance(column, BooleanColumn):
        return np.array([0.5])
    return decile_edges(encoded)


def decile_edges(values: NDArray[Any]) -> NDArray[np.float64]:
    """The inner decile edges of `values` [rows]: at most 9, without repeats, each a float32 as features are.

    A value that several deciles fall on has a bin of its own, so that mostly equal values that become larger are seen.
    """
    inner = np.linspace(0, 1, BINS + 1)[1:-1]
    deciles = np.quantile(values.astype(np.float64), inner).astype(np.float32)
    edges, repeats = np.unique(deciles, return_counts=True)
    with np.errstate(over="ignore"):
        above = np.nextafter(edges[repeats > 1], np.float32(np.inf))
    return np.unique(np.concatenate([edges, above[np.isfinite(above)]])).astype(np.float64)


def _count(values: NDArray[Any], edges: NDArray[Any]) -> tuple[int, ...]:
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    return tuple(map(int, counts))
