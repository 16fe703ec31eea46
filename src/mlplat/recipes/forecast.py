"""`forecast`: the next value of a series from its last values; generated unless a file is given."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestRegressor

from mlplat.bundle.features import TENSOR, Features, Inputs
from mlplat.bundle.manifest import Task
from mlplat.bundle.prediction import Prediction
from mlplat.errors import DataError
from mlplat.recipes.base import Recipe
from mlplat.recipes.dataset import Dataset
from mlplat.recipes.kinds import RawColumn
from mlplat.recipes.metrics import regression_metrics
from mlplat.recipes.params import Parameters
from mlplat.recipes.split import hold_out_last
from mlplat.recipes.table import Table, read_table


class ForecastParameters(Parameters):
    """The parameters of `forecast`."""

    window: int = Field(default=24, ge=1, le=1000, description="how many last values predict the next one")
    value: str = Field(default="value", description="the column of a file that holds the series, oldest row first")
    n_estimators: int = Field(default=100, ge=1, description="number of trees")
    max_depth: int | None = Field(default=None, ge=1, description="levels of a tree at most")
    min_samples_leaf: int = Field(default=1, ge=1, description="rows in a leaf at least")
    points: int = Field(default=1000, ge=100, description="points to generate when no file is given")
    data_seed: int = Field(default=7, ge=0, description="seed of the generated points")


class Forecast(Recipe):
    """The next value of a series, from its last `window` values, by a random forest.

    A forest answers with means of values that it saw: it follows seasons, not a trend out of the range of the
    training part. The metrics stand beside those of the naive forecast, which repeats the last value.
    """

    name = "forecast"
    Params: ClassVar = ForecastParameters

    def data(self, source: str | None) -> Dataset:
        """Windows of the series: features lag_<window> (the oldest) to lag_1, target the value after them."""
        params: Any = self.params
        if source is None:
            import pandas as pd

            uri = f"generated:forecast?points={params.points}&seed={params.data_seed}"
            frame = pd.DataFrame({"value": generate_series(params.points, params.data_seed)})
            return window_dataset(Table.from_frame(frame, uri), "value", params.window)
        return window_dataset(read_table(source), params.value, params.window)

    def hold_out(self, data: Dataset) -> NDArray[np.bool_]:
        """The last fifth in time: a hash of the row would train on the neighbours of what it measures."""
        return hold_out_last(data)

    def estimator(self, features: Features, task: Task) -> BaseEstimator:
        """A random forest."""
        del features, task
        names = ("n_estimators", "max_depth", "min_samples_leaf")
        return RandomForestRegressor(**{name: getattr(self.params, name) for name in names})

    def metrics(self, task: Task, y: NDArray[Any], predicted: Prediction, inputs: Inputs) -> dict[str, float]:
        """MAE, RMSE and R2, and MAE and RMSE of the naive forecast: the value at lag_1."""
        del task
        naive = regression_metrics(y, inputs[TENSOR][:, -1])
        return {
            **regression_metrics(y, predicted.values),
            "naive_mae": naive["mae"],
            "naive_rmse": naive["rmse"],
        }


def window_dataset(table: Table, value: str, window: int) -> Dataset:
    """Every `window` neighbours of a series as a row, and the value after them as the target.

    Raises:
        DataError: if the column is absent, not all numbers, or too short.
    """
    table.require([value])
    column = table.column(value)
    if column.kind != "numeric":
        raise table.refuse(value, 0, column.cells[0], "a number")
    series = column.cells
    for row in np.flatnonzero(~np.isfinite(series))[:1]:
        raise table.refuse(value, int(row), float(series[row]), "a finite number in every row of a series")
    needed = window + 10
    if len(series) < needed:
        raise DataError(
            f"{table.uri} has {len(series)} values, expected at least {needed} for a window of {window}.",
            hint="Give more values, or a smaller window.",
        )
    windows = np.lib.stride_tricks.sliding_window_view(series[:-1], window)
    columns = {f"lag_{window - i}": RawColumn("numeric", windows[:, i].copy()) for i in range(window)}
    left_out = {name: "not the series" for name in table.names if name != value}
    return Dataset(table, columns, value, "forecast", series[window:].copy(), None, left_out)


def generate_series(points: int, seed: int) -> NDArray[np.float64]:
    """Hourly values with a daily and a weekly season, a slow drift and noise.

    value(t) = 100 + 20 sin(2 pi t / 24) + 8 sin(2 pi t / 168) + 3 sin(2 pi t / points) + normal(0, 2).
    """
    t = np.arange(points)
    seasons = 20 * np.sin(2 * np.pi * t / 24) + 8 * np.sin(2 * np.pi * t / 168) + 3 * np.sin(2 * np.pi * t / points)
    noise = np.random.default_rng(seed).normal(0, 2, points)
    series: NDArray[np.float64] = (100 + seasons + noise).round(4)
    return series
