"""The recipe: what a model is made of. Subclass `Recipe` to bring your own."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from mlplat.bundle.features import Features, Inputs
from mlplat.bundle.manifest import Task
from mlplat.bundle.prediction import Prediction
from mlplat.bundle.scores import LOWER_IS_BETTER
from mlplat.recipes.dataset import Dataset
from mlplat.recipes.inference import infer_features
from mlplat.recipes.metrics import task_metrics
from mlplat.recipes.params import ParameterHelp, Parameters, describe_parameters
from mlplat.recipes.split import hold_out


class Recipe(ABC):
    """How a model is made: its data and its unfitted estimator; the rest has defaults.

    The whole of a recipe of one's own, in `wine.py`, trained by `mlplat train --recipe wine:Wine ...`:

        class Wine(Recipe):
            def data(self, source):
                return Dataset.from_table(read_table(source or "wine.csv"), target="quality")

            def estimator(self, features, task):
                return RandomForestClassifier(n_estimators=200)

    Leave `random_state` and `n_jobs` at None: training sets the seed, and joblib the number of jobs.
    """

    name: ClassVar[str] = ""
    """What the recipe is called; by default `module:Class`."""

    revision: ClassVar[int] = 1
    """Raise it when the code changes what the model predicts: the same version is then refused, not taken for done."""

    Params: ClassVar[type[Parameters]] = Parameters
    """The parameters that `--param NAME=VALUE` may set; `self.params` is one of these."""

    lower_is_better: ClassVar[frozenset[str]] = LOWER_IS_BETTER
    """The metrics that are better when they are lower; all others are better when they are higher."""

    def __init__(self, params: Any) -> None:
        self.params = params

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Self:
        """The recipe with parameters, as text or as values.

        Raises:
            UsageError: if one is unknown, missing or wrong; names it and the allowed ones.
        """
        return cls(cls.Params.read(given, owner=f"recipe {cls.label()!r}"))

    @classmethod
    def label(cls) -> str:
        """The name by which it is found and recorded."""
        return cls.name or f"{cls.__module__}:{cls.__qualname__}"

    @classmethod
    def describe(cls) -> list[ParameterHelp]:
        """The parameters, for `--help`."""
        return describe_parameters(cls.Params)

    def explicit(self) -> dict[str, Any]:
        """The parameters that were given, as JSON values: part of the version's fingerprint."""
        explicit: dict[str, Any] = self.params.explicit()
        return explicit

    @abstractmethod
    def data(self, source: str | None) -> Dataset:
        """The data, all rows of it.

        Args:
            source: what `--data` gives: a path or URL; None without it.

        Raises:
            DataError: if it cannot be used.
        """

    @abstractmethod
    def estimator(self, features: Features, task: Task) -> BaseEstimator:
        """An unfitted scikit-learn estimator.

        It is fitted on float32[rows, columns] with all values present, or, where the layout of `features` is "columns",
        on a pandas DataFrame with those columns. The target is 0 to k-1 for a classification with k classes.
        """

    def hold_out(self, data: Dataset) -> NDArray[np.bool_]:
        """Which rows are kept back to measure the model: bool[rows]."""
        return hold_out(data)

    def features(self, data: Dataset, training: NDArray[np.bool_]) -> Features:
        """How columns become the model's inputs; `training` [rows] marks the rows to learn from."""
        return infer_features(data, training)

    def metrics(self, task: Task, y: NDArray[Any], predicted: Prediction, inputs: Inputs) -> dict[str, float]:
        """Metrics by name over the held-out rows.

        Args:
            task: what is predicted.
            y: the truth, encoded as the target is in training.
            predicted: what the exported model answers.
            inputs: what it was given.
        """
        del inputs
        return task_metrics(task, y, predicted)
