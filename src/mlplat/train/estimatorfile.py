"""A fitted scikit-learn estimator out of its user's own file: what it takes, and what it predicts."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from mlplat import logs
from mlplat.bundle.manifest import Label, Task
from mlplat.errors import ExportError, NotFoundError, UsageError
from mlplat.train.card import estimator_name

NOT_FITTED = "Fit it, save it with joblib.dump, and push that file."


@dataclass(frozen=True, slots=True)
class Fitted:
    """An estimator that predicts.

    Attributes:
        estimator: itself; of a search, the best one that it found.
        task: what it predicts.
        classes: the labels of a classification, in the order of its probabilities.
        columns: what it was fitted on by name, in that order; None without names.
        width: how many columns it takes; None if it does not tell.
    """

    estimator: BaseEstimator
    task: Task
    classes: tuple[Label, ...] | None
    columns: tuple[str, ...] | None
    width: int | None


def read_estimator(path: Path, task: Task | None = None) -> Fitted:
    """Load an estimator. This runs whatever code its file holds, so it must be one's own.

    Args:
        path: what joblib or pickle wrote.
        task: what it predicts, where it does not tell itself.

    Raises:
        NotFoundError: if there is no such file.
        UsageError: if it holds no fitted estimator, or one of another task.
        ExportError: if it predicts more than one thing a row.
    """
    estimator = _load(path)
    if not isinstance(estimator, BaseEstimator) or not hasattr(estimator, "predict"):
        raise UsageError(
            f"{path} holds {type(estimator).__name__}, expected a scikit-learn estimator that predicts.",
            hint="Save the estimator alone; a pipeline if it needs steps before it.",
        )
    try:
        check_is_fitted(estimator)
    except NotFittedError as error:
        raise UsageError(f"The {estimator_name(estimator)} in {path} is not fitted.", hint=NOT_FITTED) from error
    estimator = getattr(estimator, "best_estimator_", estimator)
    found = _task_of(estimator, task)
    columns = getattr(estimator, "feature_names_in_", None)
    return Fitted(
        estimator,
        found,
        _classes_of(estimator) if found == "classification" else None,
        None if columns is None else tuple(map(str, columns)),
        getattr(estimator, "n_features_in_", None),
    )


def _load(path: Path) -> Any:
    if not path.is_file():
        raise NotFoundError(f"There is no file {path}.")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            estimator = joblib.load(path)
        except Exception as error:  # a pickle raises whatever its classes do
            raise UsageError(
                f"{path} cannot be loaded: {type(error).__name__}: {error}.",
                hint="It must be written by joblib.dump, and all that it needs be installed here in the same versions.",
            ) from error
    for words in dict.fromkeys(str(warning.message).strip().split("\n")[0] for warning in caught):
        logs.get().warning("load_warning", message=words)
    return estimator


def _task_of(estimator: BaseEstimator, given: Task | None) -> Task:
    found: Task | None = (
        "classification" if is_classifier(estimator) else "regression" if is_regressor(estimator) else None
    )
    name = estimator_name(estimator)
    if found is None and given is None:
        raise UsageError(f"{name} is neither a classifier nor a regressor.", hint="Say with --task what it predicts.")
    if found is not None and given not in {None, found}:
        raise UsageError(f"{name} makes a {found}, not a {given}.", hint="Leave --task out.")
    return found or given or "regression"


def _classes_of(estimator: BaseEstimator) -> tuple[Label, ...]:
    classes = getattr(estimator, "classes_", None)
    if isinstance(classes, list) or classes is None or np.ndim(classes) != 1:
        raise ExportError(
            f"{estimator_name(estimator)} does not predict one class a row.",
            hint="Push an estimator for each thing that is predicted.",
        )
    labels: list[Label] = np.asarray(classes).tolist()
    return tuple(labels)
