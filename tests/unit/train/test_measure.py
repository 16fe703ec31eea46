"""What is recorded besides metrics: importances by feature, charts that count every row, JSON values."""

import datetime as dt

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from mlplat.bundle.features import Features, NumericColumn
from mlplat.bundle.manifest import RecipeInfo
from mlplat.bundle.prediction import Prediction
from mlplat.train.card import command_of
from mlplat.train.measure import charts_of, importances_of
from mlplat.train.samples import json_value

FEATURES = Features(columns=(NumericColumn(name="a"), NumericColumn(name="b")))
RNG = np.random.default_rng(0)
X = np.column_stack([RNG.normal(size=60), RNG.integers(0, 3, 60)]).astype(np.float32)
Y = 3 * X[:, 0] + (X[:, 1] == 2)


def test_the_columns_that_a_category_became_count_for_it() -> None:
    encoder = ColumnTransformer(
        [("codes", OneHotEncoder(sparse_output=False), [1]), ("numbers", StandardScaler(), [0])]
    )
    estimator = Pipeline([("encode", encoder), ("model", LinearRegression())]).fit(X, Y)
    importances = importances_of(estimator, FEATURES)
    weights = np.abs(estimator[-1].coef_)
    assert importances == pytest.approx(
        {"a": weights[3] / weights.sum(), "b": weights[:3].sum() / weights.sum()}, abs=1e-5
    )
    assert list(importances) == ["a", "b"]


@pytest.mark.parametrize(
    "estimator",
    [
        Pipeline([("turn", PCA()), ("model", LinearRegression())]),
        Pipeline(
            [
                ("powers", ColumnTransformer([("p", PolynomialFeatures(), [0, 1])])),
                ("model", LinearRegression()),
            ]
        ),
    ],
)
def test_where_columns_are_mixed_there_are_no_importances(estimator: Pipeline) -> None:
    assert importances_of(estimator.fit(X, Y), FEATURES) == {}


def test_a_tree_that_uses_nothing_has_no_importances() -> None:
    assert importances_of(DecisionTreeRegressor().fit(X, np.ones(60)), FEATURES) == {}


def test_the_confusion_counts_each_class_and_its_prediction() -> None:
    p = np.array([[0.95, 0.05], [0.3, 0.7], [0.2, 0.8], [1.0, 0.0]], dtype=np.float32)
    charts = charts_of(np.array([0, 0, 1, 1]), Prediction(p.argmax(axis=1), p))
    assert charts.confusion == ((1, 1), (1, 1))
    assert charts.calibration is not None
    assert [(round(mean, 3), share, rows) for mean, share, rows in charts.calibration] == [
        (0.7, 0.0, 1),
        (0.8, 1.0, 1),
        (0.975, 0.5, 2),
    ]


def test_residuals_count_every_row() -> None:
    charts = charts_of(Y, Prediction(Y + RNG.normal(size=60)))
    assert charts.residuals is not None
    assert sum(rows for _, _, rows in charts.residuals) == 60
    assert len(charts.residuals) == 10


def test_raw_values_become_json_values() -> None:
    raw = [
        np.float64(1.5),
        np.nan,
        None,
        True,
        "x",
        np.datetime64("2026-01-31T08:00:00", "us"),
        np.datetime64("NaT", "us"),
    ]
    assert [json_value(cell) for cell in raw] == [1.5, None, None, True, "x", "2026-01-31T08:00:00.000000", None]
    assert dt.datetime.fromisoformat("2026-01-31T08:00:00.000000") == dt.datetime(2026, 1, 31, 8)  # noqa: DTZ001


def test_the_command_can_be_pasted_into_a_shell() -> None:
    info = RecipeInfo(name="tabular", params={"target": "it's left", "drop": ["a", "b"], "task": None, "seed": 3})
    command = command_of(info, model="m", version="v1", data="my data.csv")
    assert command == (
        "mlplat train --recipe tabular --model m --version v1 --data 'my data.csv' "
        "--param 'target=it'\"'\"'s left' --param drop=a,b --param task=none --seed 3"
    )
