"""Metrics are those of the textbooks, from what the exported model answers."""

import numpy as np
import pytest

from mlplat.bundle.prediction import Prediction
from mlplat.recipes.metrics import task_metrics


def test_two_classes() -> None:
    p = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.6, 0.4]], dtype=np.float32)
    metrics = task_metrics("classification", np.array([0, 0, 1, 1]), Prediction(p.argmax(axis=1), p))
    assert metrics == pytest.approx(
        {"accuracy": 0.5, "f1": 0.5, "roc_auc": 0.75, "log_loss": -np.log([0.9, 0.4, 0.8, 0.4]).mean()}, abs=1e-6
    )


def test_three_classes_with_probabilities_that_do_not_quite_sum_to_one() -> None:
    p = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1001], [0.1, 0.1, 0.8]], dtype=np.float32)
    metrics = task_metrics("classification", np.array([0, 1, 2]), Prediction(p.argmax(axis=1), p))
    assert (metrics["accuracy"], metrics["f1"], metrics["roc_auc"]) == (1.0, 1.0, 1.0)
    assert metrics["log_loss"] == pytest.approx(-np.log(0.8), abs=1e-3)


def test_a_regression() -> None:
    metrics = task_metrics("regression", np.array([1.0, 2.0, 3.0]), Prediction(np.array([1.0, 2.0, 5.0])))
    assert metrics == pytest.approx({"mae": 2 / 3, "rmse": (4 / 3) ** 0.5, "r2": -1.0})


def test_a_constant_target_has_an_r2_of_zero() -> None:
    assert task_metrics("regression", np.ones(3), Prediction(np.zeros(3)))["r2"] == 0.0


def test_a_classification_needs_probabilities() -> None:
    with pytest.raises(ValueError, match="has probabilities"):
        task_metrics("classification", np.array([0, 1]), Prediction(np.array([0, 1])))
