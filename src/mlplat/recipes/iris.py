"""`iris`: Fisher's 150 flowers, the data that scikit-learn brings along."""

from typing import ClassVar

from mlplat.errors import UsageError
from mlplat.recipes.chosen import ChosenRecipe
from mlplat.recipes.dataset import Dataset
from mlplat.recipes.estimators import CLASSIFIERS

FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")


class Iris(ChosenRecipe):
    """Which of three irises a flower is, from four lengths in cm."""

    name = "iris"
    choices: ClassVar = (CLASSIFIERS,)

    def data(self, source: str | None) -> Dataset:
        """scikit-learn's iris, with the target `species`: setosa, versicolor, virginica."""
        if source is not None:
            raise UsageError(
                "The recipe 'iris' brings its own data.", hint="For a file of your own use the recipe 'tabular'."
            )
        import pandas as pd
        from sklearn.datasets import load_iris

        iris = load_iris()
        frame = pd.DataFrame(iris.data, columns=list(FEATURES))
        frame["species"] = [str(iris.target_names[code]) for code in iris.target]
        return Dataset.from_frame(frame, target="species", uri="sklearn:iris")
