"""`churn`: whether a customer leaves, from four numbers; generated unless a file is given."""

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from mlplat.errors import DataError
from mlplat.recipes.chosen import ChosenRecipe, EstimatorParameters
from mlplat.recipes.dataset import Dataset
from mlplat.recipes.estimators import CLASSIFIERS
from mlplat.recipes.table import read_table

if TYPE_CHECKING:
    import pandas as pd

FEATURES = ("age", "monthly_charges", "tenure_months", "support_calls")


class ChurnParameters(EstimatorParameters):
    """The parameters of `churn`."""

    target: str = Field(default="churn", description="the column of a file that says who left")
    rows: int = Field(default=5000, ge=100, description="rows to generate when no file is given")
    data_seed: int = Field(default=7, ge=0, description="seed of the generated rows")


class Churn(ChosenRecipe):
    """Whether a customer leaves (two classes), from age, monthly charges, tenure in months and support calls."""

    name = "churn"
    Params: ClassVar = ChurnParameters
    choices: ClassVar = (CLASSIFIERS,)

    def data(self, source: str | None) -> Dataset:
        """The four columns and the target of a file, or generated rows."""
        params: Any = self.params
        if source is None:
            uri = f"generated:churn?rows={params.rows}&seed={params.data_seed}"
            return Dataset.from_frame(generate_churn(params.rows, params.data_seed), target="churn", uri=uri)
        data = Dataset.from_table(read_table(source), target=params.target, features=FEATURES, task="classification")
        for name, column in data.columns.items():
            if column.kind != "numeric":
                row = int(np.flatnonzero(~column.missing)[0])
                raise data.table.refuse(name, row, column.cells[row], "a number")
        if len(data.classes or ()) != 2:
            raise DataError(
                f"{data.table.uri}: column {data.target!r} has {len(data.classes or ())} classes, expected two."
            )
        return data


def generate_churn(rows: int, seed: int) -> "pd.DataFrame":
    """Customers drawn at random, about one in four of whom leaves.

    age is uniform in 18..80, monthly_charges is normal (70, 25) within 15..150, tenure_months is exponential (mean 30)
    within 0..72, support_calls is Poisson (1.5) within 0..12. The log-odds of leaving are
    -1.9 + 0.03 (monthly_charges - 70) - 0.06 (tenure_months - 24) + 0.7 (support_calls - 1.5) - 0.01 (age - 45).

    Returns:
        The four features and `churn`: "yes" or "no".
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    age = rng.integers(18, 81, rows).astype(float)
    charges = np.clip(rng.normal(70, 25, rows), 15, 150).round(2)
    tenure = np.clip(rng.exponential(30, rows), 0, 72).round()
    calls = np.clip(rng.poisson(1.5, rows), 0, 12).astype(float)
    odds = -1.9 + 0.03 * (charges - 70) - 0.06 * (tenure - 24) + 0.7 * (calls - 1.5) - 0.01 * (age - 45)
    leaves = rng.random(rows) < 1 / (1 + np.exp(-odds))
    columns = dict(zip(FEATURES, (age, charges, tenure, calls), strict=True))
    return pd.DataFrame({**columns, "churn": np.where(leaves, "yes", "no")})
