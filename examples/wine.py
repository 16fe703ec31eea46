"""A recipe of one's own: its data, its estimator, a parameter and a metric.

From this folder:

    mlplat train --recipe wine:Wine --version v1
    mlplat train --recipe wine:Wine --version v2 --param trees=300 --param leaf=2
    mlplat train --recipe wine:Wine --version v3 --data my_wines.csv      # with a column `cultivar`
"""

from typing import Any

from pydantic import Field
from sklearn.base import BaseEstimator
from sklearn.datasets import load_wine
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import balanced_accuracy_score

from mlplat.recipes import Dataset, Features, Inputs, Parameters, Prediction, Recipe, Task, read_table


class WineParameters(Parameters):
    """What `--param` may set."""

    trees: int = Field(default=200, ge=1, description="number of trees")
    leaf: int = Field(default=1, ge=1, description="rows in a leaf at least")


class Wine(Recipe):
    """Which of three cultivars an Italian wine is made of, from its chemistry."""

    revision = 1  # raise it when a change of this file changes what the model predicts
    Params = WineParameters
    params: WineParameters

    def data(self, source: str | None) -> Dataset:
        """178 wines that scikit-learn brings along, or a file."""
        if source is not None:
            return Dataset.from_table(read_table(source), target="cultivar")
        frame = load_wine(as_frame=True).frame.rename(columns={"target": "cultivar"})
        return Dataset.from_frame(frame, target="cultivar", uri="sklearn:wine")

    def estimator(self, features: Features, task: Task) -> BaseEstimator:
        """Very random trees. Their seed and cores are set by training."""
        return ExtraTreesClassifier(n_estimators=self.params.trees, min_samples_leaf=self.params.leaf)

    def metrics(self, task: Task, y: Any, predicted: Prediction, inputs: Inputs) -> dict[str, float]:
        """The usual ones, and one that rare cultivars count in as much as frequent ones; the gate can use it too."""
        balanced = float(balanced_accuracy_score(y, predicted.values))
        return {**super().metrics(task, y, predicted, inputs), "balanced_accuracy": balanced}
