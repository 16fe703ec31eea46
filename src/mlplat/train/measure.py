"""What is recorded about a model besides its metrics: charts, importances, the baseline."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from mlplat.bundle.baseline import Baseline, Histogram, column_edges, decile_edges
from mlplat.bundle.features import TENSOR, Features, Inputs, StringColumn
from mlplat.bundle.manifest import Charts
from mlplat.bundle.prediction import Prediction

BINS = 10


def charts_of(y: NDArray[Any], predicted: Prediction) -> Charts:
    """Confusion and calibration of a classification, residuals of anything else.

    Args:
        y: the truth over the held-out rows.
        predicted: for the same rows.
    """
    if predicted.probabilities is None:
        return Charts(residuals=_residuals(predicted.values.astype(np.float64) - y))
    classes = predicted.probabilities.shape[1]
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (y, predicted.values), 1)
    return Charts(
        confusion=tuple(tuple(map(int, row)) for row in confusion),
        calibration=_calibration(predicted.probabilities.max(axis=1).astype(np.float64), predicted.values == y),
    )


def _calibration(best: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[tuple[float, float, int], ...]:
    tenth = np.clip((best * BINS).astype(np.int64), 0, BINS - 1)
    return tuple(
        (float(best[tenth == i].mean()), float(right[tenth == i].mean()), int((tenth == i).sum()))
        for i in np.unique(tenth)
    )


def _residuals(residuals: NDArray[np.float64]) -> tuple[tuple[float, float, int], ...]:
    counts, edges = np.histogram(residuals, bins=BINS)
    return tuple(
        (float(low), float(high), int(count)) for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    )


def importances_of(estimator: Any, features: Features) -> dict[str, float]:
    """The share of each feature, the largest first, summing to 1; empty if the estimator does not tell.

    Taken from `feature_importances_`, or the absolute `coef_` (of inputs that our recipes scale, so they compare). The
    columns that one category became count for that category.
    """
    model = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    weights = _weights(model)
    owners = _owners(estimator, len(features.columns))
    if weights is None or owners is None or len(weights) != len(owners) or not np.isfinite(weights).all():
        return {}
    sums = np.bincount(owners, weights=weights, minlength=len(features.columns))
    total = float(sums.sum())
    if total <= 0:
        return {}
    ranked = sorted(zip(features.names, sums / total, strict=True), key=lambda item: (-item[1], item[0]))
    return {name: round(float(share), 6) for name, share in ranked}


def _weights(model: Any) -> NDArray[Any] | None:
    if hasattr(model, "feature_importances_"):
        return np.asarray(model.feature_importances_)
    if hasattr(model, "coef_"):
        coefficients = np.atleast_2d(np.asarray(model.coef_))
        return np.asarray(np.abs(coefficients).mean(axis=0))
    return None


def _owners(estimator: Any, columns: int) -> list[int] | None:
    """For each input of the last step, the index of the feature that it comes from; None if that is not known."""
    if not isinstance(estimator, Pipeline):
        return list(range(columns))
    if len(estimator.steps) != 2 or not isinstance(estimator[0], ColumnTransformer):
        return None
    transformer = estimator[0]
    names = list(getattr(transformer, "feature_names_in_", range(columns)))
    owners: list[int] = []
    for name, step, taken in transformer.transformers_:
        part = transformer.output_indices_[name]
        width = part.stop - part.start
        if width == 0:
            continue
        indices = [names.index(column) if isinstance(column, str) else int(column) for column in taken]
        if isinstance(step, OneHotEncoder):
            sizes = [len(categories) for categories in step.categories_]
        else:
            sizes = [1] * len(indices)
        if sum(sizes) != width:
            return None
        owners += [index for index, size in zip(indices, sizes, strict=True) for _ in range(size)]
    return owners


def baseline_of(features: Features, inputs: Inputs, predicted: Prediction) -> Baseline:
    """Histograms over the training rows; strings have none."""
    histograms = {}
    for index, column in enumerate(features.columns):
        if not isinstance(column, StringColumn):
            values = inputs[TENSOR][:, index] if features.layout == "tensor" else inputs[column.name][:, 0]
            histograms[column.name] = Histogram.of(values, column_edges(column, values))
    if predicted.probabilities is None:
        edges = decile_edges(predicted.values)
    else:
        edges = np.arange(0.5, predicted.probabilities.shape[1] - 1)
    return Baseline(rows=len(predicted), features=histograms, predictions=Histogram.of(predicted.values, edges))
