"""Estimators by name, each with typed parameters; every one of them is exported and compared by a test.

Nearest neighbours are not among them: float32 distances that nearly tie choose other neighbours in ONNX Runtime.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from mlplat.bundle.features import CategoryColumn, Features
from mlplat.bundle.manifest import Task
from mlplat.errors import UsageError
from mlplat.recipes.params import Parameters

Layers = Annotated[
    tuple[PositiveInt, ...],
    BeforeValidator(lambda v: tuple(map(str.strip, v.split(","))) if isinstance(v, str) else v),
]
Share = Annotated[float, Field(gt=0, le=1)]


class Tree(Parameters):
    """The parameters of one tree."""

    max_depth: PositiveInt | None = Field(default=None, description="levels of a tree at most")
    min_samples_leaf: PositiveInt = Field(default=1, description="rows in a leaf at least")


class Forest(Tree):
    """The parameters of a forest."""

    n_estimators: PositiveInt = Field(default=100, description="number of trees")
    max_features: Literal["sqrt", "log2"] | Share = Field(default=1.0, description="columns tried at a split")


class ClassifierForest(Forest):
    """The parameters of a forest that classifies."""

    max_features: Literal["sqrt", "log2"] | Share = Field(default="sqrt", description="columns tried at a split")


class Boosting(Parameters):
    """The parameters of gradient boosting."""

    n_estimators: PositiveInt = Field(default=100, description="number of rounds")
    learning_rate: PositiveFloat = Field(default=0.1, description="weight of a round")
    max_depth: PositiveInt = Field(default=3, description="levels of a tree at most")
    subsample: Share = Field(default=1.0, description="share of the rows in a round")


class HistBoosting(Parameters):
    """The parameters of gradient boosting over histograms."""

    max_iter: PositiveInt = Field(default=100, description="number of rounds")
    learning_rate: PositiveFloat = Field(default=0.1, description="weight of a round")
    max_leaf_nodes: Annotated[int, Field(ge=2)] = Field(default=31, description="leaves of a tree at most")
    max_depth: PositiveInt | None = Field(default=None, description="levels of a tree at most")
    min_samples_leaf: PositiveInt = Field(default=20, description="rows in a leaf at least")
    l2_regularization: Annotated[float, Field(ge=0)] = Field(default=0.0, description="pull of leaves to zero")


class Logistic(Parameters):
    """The parameters of logistic regression."""

    C: PositiveFloat = Field(default=1.0, description="the less, the stronger the regularisation")
    max_iter: PositiveInt = Field(default=1000, description="steps of the solver at most")


class RidgeParameters(Parameters):
    """The parameters of ridge regression."""

    alpha: Annotated[float, Field(ge=0)] = Field(default=1.0, description="strength of the regularisation")


class Network(Parameters):
    """The parameters of a small neural network."""

    hidden_layer_sizes: Layers = Field(default=(100,), description="neurons per layer, as 64,32")
    alpha: Annotated[float, Field(ge=0)] = Field(default=0.0001, description="strength of the regularisation")
    max_iter: PositiveInt = Field(default=500, description="epochs at most")


@dataclass(frozen=True, slots=True)
class Choice:
    """An estimator that can be chosen.

    `scaled` ones weigh columns against each other: their numbers are standardised and their categories become one column
    each. Trees take the codes as they are.
    """

    make: Callable[..., BaseEstimator]
    params: type[Parameters]
    scaled: bool = False


CLASSIFIERS: Mapping[str, Choice] = {
    "random_forest": Choice(RandomForestClassifier, ClassifierForest),
    "extra_trees": Choice(ExtraTreesClassifier, ClassifierForest),
    "decision_tree": Choice(DecisionTreeClassifier, Tree),
    "gradient_boosting": Choice(GradientBoostingClassifier, Boosting),
    "hist_gradient_boosting": Choice(HistGradientBoostingClassifier, HistBoosting),
    "logistic_regression": Choice(LogisticRegression, Logistic, scaled=True),
    "mlp": Choice(MLPClassifier, Network, scaled=True),
}

REGRESSORS: Mapping[str, Choice] = {
    "random_forest": Choice(RandomForestRegressor, Forest),
    "extra_trees": Choice(ExtraTreesRegressor, Forest),
    "decision_tree": Choice(DecisionTreeRegressor, Tree),
    "gradient_boosting": Choice(GradientBoostingRegressor, Boosting),
    "hist_gradient_boosting": Choice(HistGradientBoostingRegressor, HistBoosting),
    "linear_regression": Choice(LinearRegression, Parameters, scaled=True),
    "ridge": Choice(Ridge, RidgeParameters, scaled=True),
    "mlp": Choice(MLPRegressor, Network, scaled=True),
}

DEFAULT = "random_forest"


def choices(task: Task) -> Mapping[str, Choice]:
    """The estimators for a task, by name."""
    return CLASSIFIERS if task == "classification" else REGRESSORS


def make_estimator(name: str, params: Mapping[str, Any], features: Features, task: Task) -> BaseEstimator:
    """An unfitted estimator for encoded features.

    Args:
        name: one of `choices(task)`.
        params: its parameters, as text or values.
        features: in the layout "tensor".
        task: what is predicted.

    Raises:
        UsageError: if the task has no such estimator, or the estimator no such parameter; names what is allowed.
    """
    choice = choices(task).get(name)
    if choice is None:
        raise UsageError(f"{name!r} does no {task}.", hint=f"Choose one of: {', '.join(choices(task))}.")
    estimator = choice.make(**choice.params.read(params, owner=f"estimator {name!r}").model_dump())
    return Pipeline([("scale", scale(features)), ("model", estimator)]) if choice.scaled else estimator


def scale(features: Features) -> ColumnTransformer:
    """Standardise numbers, and give each category, and a missing one, a column of its own; an unknown one has none."""
    categories = {i: c for i, c in enumerate(features.columns) if isinstance(c, CategoryColumn)}
    numbers = [i for i in range(len(features.columns)) if i not in categories]
    codes = [np.arange(len(c.categories) + c.missing, dtype=np.float32) for c in categories.values()]
    steps: list[tuple[str, Any, list[int]]] = []
    if numbers:
        steps.append(("numbers", StandardScaler(), numbers))
    if categories:
        encoder = OneHotEncoder(categories=codes, handle_unknown="ignore", sparse_output=False, dtype=np.float32)
        steps.append(("categories", encoder, list(categories)))
    return ColumnTransformer(steps)
