"""Metrics of each task, from the true target and what the exported model answers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlplat.bundle.manifest import Task
from mlplat.bundle.prediction import Prediction


def task_metrics(task: Task, y: NDArray[Any], predicted: Prediction) -> dict[str, float]:
    """The usual metrics of a task.

    Args:
        task: a classification gives accuracy, f1 (macro), roc_auc (one class against the rest, macro, for more than
            two) and log_loss; other tasks give mae, rmse and r2.
        y: the truth; indices of classes for a classification, each class at least once.
        predicted: for the same rows.
    """
    if task == "classification":
        return classification_metrics(y, predicted)
    return regression_metrics(y, predicted.values)


def classification_metrics(y: NDArray[Any], predicted: Prediction) -> dict[str, float]:
    """Accuracy, macro F1, ROC AUC and log loss; `predicted` has probabilities."""
    from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

    if predicted.probabilities is None:
        raise ValueError("a classification has probabilities")
    p = predicted.probabilities.astype(np.float64)
    p /= p.sum(axis=1, keepdims=True)
    labels = np.arange(p.shape[1])
    auc = roc_auc_score(y, p[:, 1]) if len(labels) == 2 else roc_auc_score(y, p, multi_class="ovr", labels=labels)
    return {
        "accuracy": float(accuracy_score(y, predicted.values)),
        "f1": float(f1_score(y, predicted.values, average="macro", labels=labels, zero_division=0.0)),
        "roc_auc": float(auc),
        "log_loss": float(log_loss(y, p, labels=labels)),
    }


def regression_metrics(y: NDArray[Any], predicted: NDArray[Any]) -> dict[str, float]:
    """Mean absolute error, root mean squared error and R2 (0 where the target is constant)."""
    error = predicted.astype(np.float64) - y
    spread = float(np.sum((y - np.mean(y)) ** 2))
    return {
        "mae": float(np.mean(np.abs(error))),
        "rmse": float(np.sqrt(np.mean(error**2))),
        "r2": 1.0 - float(np.sum(error**2)) / spread if spread > 0 else 0.0,
    }
