"""`tabular`: a user's CSV or Parquet file and the column to predict."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from mlplat.errors import UsageError
from mlplat.recipes.chosen import ChosenRecipe, EstimatorParameters
from mlplat.recipes.dataset import Dataset
from mlplat.recipes.params import Names
from mlplat.recipes.table import read_table


class TabularParameters(EstimatorParameters):
    """The parameters of `tabular`."""

    target: str = Field(description="the column to predict")
    task: Literal["classification", "regression"] | None = Field(
        default=None, description="what kind of target it is; by default inferred from its values"
    )
    categories: Names = Field(default=(), description="columns of names that look like numbers, as zip,area")
    drop: Names = Field(default=(), description="columns to leave out, as notes,address")


class Tabular(ChosenRecipe):
    """Any column of a file from its other columns; types, task and missing values are inferred."""

    name = "tabular"
    Params: ClassVar = TabularParameters

    def data(self, source: str | None) -> Dataset:
        """All columns of the file but id-like ones."""
        if source is None:
            raise UsageError("The recipe 'tabular' needs data.", hint="Add --data with a CSV or Parquet file.")
        params: Any = self.params
        return Dataset.from_table(
            read_table(source),
            target=params.target,
            task=params.task,
            categories=params.categories,
            drop=params.drop,
        )
