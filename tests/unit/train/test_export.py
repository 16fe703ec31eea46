"""An export that does not predict what the estimator predicts is refused, naming how far off it is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlplat.bundle.features import (
    TENSOR,
    BooleanColumn,
    CategoryColumn,
    DateColumn,
    Features,
    NumericColumn,
    StringColumn,
)
from mlplat.bundle.manifest import Task
from mlplat.bundle.prediction import Prediction
from mlplat.errors import DataError, ExportError
from mlplat.train.export import check_parity, estimator_input, signature_of
from mlplat.train.fit import Exported, export, fit

FEATURES = Features(columns=(NumericColumn(name="x"),))
X = np.linspace(-1, 1, 200, dtype=np.float32).reshape(-1, 1)


class Rounding(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Has no converter."""

    def fit(self, table: Any, y: Any) -> "Rounding":
        del table, y
        self.fitted_ = True
        return self

    def predict(self, table: Any) -> Any:
        return np.round(table[:, 0], 1)


class Shouting(LogisticRegression):  # type: ignore[misc]
    """Predicts something else than its converter, that of logistic regression, says."""

    def predict_proba(self, table: Any) -> Any:
        return np.clip(super().predict_proba(table) + np.array([0.01, -0.01]), 0, 1)


def exported(estimator: Any, y: Any, task: Task, folder: Path, *, allow_pickle: bool = False) -> Exported:
    fit(estimator, X, y, seed=0, jobs=1)
    return export(
        estimator,
        FEATURES,
        task,
        checked={TENSOR: X},
        folder=folder,
        name="test",
        allow_pickle=allow_pickle,
    )


def test_an_estimator_without_a_converter_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"Rounding cannot be exported to ONNX.*--allow-pickle"):
        exported(Rounding(), X[:, 0], "regression", tmp_path)


def test_with_allow_pickle_it_is_published_as_a_pickle(tmp_path: Path) -> None:
    found = exported(Rounding(), X[:, 0], "regression", tmp_path, allow_pickle=True)
    assert (found.runtime, found.path.name) == ("sklearn", "model.joblib")
    assert not (tmp_path / "model.onnx").exists()
    assert found.run({TENSOR: X}).values.tolist() == np.round(X[:, 0], 1).tolist()


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize("allow_pickle", [False, True])
def test_held_out_values_that_the_estimator_cannot_compute_with_are_named_not_the_export(
    tmp_path: Path, allow_pickle: bool
) -> None:
    estimator = LinearRegression().fit(X, 30 * X[:, 0])
    checked = {TENSOR: np.append(X, np.full((1, 1), 3e38, np.float32), axis=0)}
    with pytest.raises(DataError, match=r"LinearRegression has no number for 1 of 201 held-out rows"):
        export(
            estimator,
            FEATURES,
            "regression",
            checked=checked,
            folder=tmp_path,
            name="test",
            allow_pickle=allow_pickle,
        )


def test_an_estimator_that_cannot_be_pickled_is_refused(tmp_path: Path) -> None:
    class Local(Rounding):
        pass

    with pytest.raises(ExportError, match=r"Local cannot be pickled: .*Define its classes .* at the top of a module"):
        exported(Local(), X[:, 0], "regression", tmp_path)


def test_an_export_that_cannot_run_is_refused(tmp_path: Path) -> None:
    estimator = LogisticRegression()
    fit(estimator, X, X[:, 0] > 0, seed=0, jobs=1)
    with pytest.raises(ExportError, match="ONNX Runtime cannot run the export"):
        export(
            estimator,
            FEATURES,
            "classification",
            checked={TENSOR: X, "another": X},
            folder=tmp_path,
            name="test",
            allow_pickle=False,
        )


def test_columns_keep_names_that_are_no_identifiers(tmp_path: Path) -> None:
    names = ["kind of/plan", "kind_of_plan", "größe (m²)"]
    features = Features(
        columns=(StringColumn(name=names[0]), StringColumn(name=names[1]), NumericColumn(name=names[2])),
        layout="columns",
    )
    raw: dict[str, list[Any]] = {
        names[0]: ["a", "b", "c", "a"] * 10,
        names[1]: ["p", "q"] * 20,
        names[2]: [1.0, 2.0] * 20,
    }
    inputs, _ = features.encode(raw)
    encoder = ColumnTransformer([("strings", OneHotEncoder(), names[:2]), ("numbers", StandardScaler(), names[2:])])
    estimator = Pipeline([("encode", encoder), ("model", LogisticRegression())])
    fit(estimator, estimator_input(features, inputs), np.array([0, 1, 1, 0] * 10), seed=0, jobs=1)
    found = export(
        estimator,
        features,
        "classification",
        checked=inputs,
        folder=tmp_path,
        name="test",
        allow_pickle=False,
    )
    assert found.run(inputs).values.tolist() == estimator.predict(estimator_input(features, inputs)).tolist()


def test_a_classifier_without_probabilities_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="RidgeClassifier has no predict_proba"):
        exported(RidgeClassifier(), X[:, 0] > 0, "classification", tmp_path)


def test_an_export_that_predicts_otherwise_names_how_far_off_it_is() -> None:
    right = Prediction(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]))
    found = Prediction(np.array([0, 1]), np.array([[0.9, 0.1], [0.25, 0.75]], dtype=np.float32))
    with pytest.raises(ExportError, match=r"in 1 of 2 rows, by up to 0.05 in a probability \(allowed: 1e-05\)"):
        check_parity(right, found, "classification")
    with pytest.raises(ExportError, match=r"by up to 0.5 in a value \(allowed: 0.0001, relative\)"):
        check_parity(Prediction(np.array([1.0])), Prediction(np.array([1.5])), "regression")
    check_parity(right, right, "classification")


def test_parity_is_checked_in_every_export(tmp_path: Path) -> None:
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
    from skl2onnx.operator_converters.linear_classifier import convert_sklearn_linear_classifier

    update_registered_converter(
        Shouting,
        "TestShouting",
        calculate_linear_classifier_output_shapes,
        convert_sklearn_linear_classifier,
        options={
            "zipmap": [True, False],
            "nocl": [True, False],
            "output_class_labels": [False, True],
            "raw_scores": [True, False],
        },
    )
    with pytest.raises(ExportError, match=r"differs from the estimator in 200 of 200 rows, by up to 0.01"):
        exported(Shouting(), (X[:, 0] > 0).astype(int), "classification", tmp_path)


def test_a_value_equal_to_a_threshold_goes_the_same_way_in_hist_gradient_boosting(tmp_path: Path) -> None:
    """Neighbouring float32 values have a threshold between them that rounds up to the larger one."""
    low = np.float32(1.0)
    values = [low]
    for _ in range(199):
        values.append(np.nextafter(values[-1], np.float32(2)))
    x = np.array(values, dtype=np.float32).reshape(-1, 1)
    estimator = HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=1, max_leaf_nodes=64)
    fit(estimator, x, np.arange(200.0), seed=0, jobs=1)
    export(
        estimator,
        FEATURES,
        "regression",
        checked={TENSOR: x},
        folder=tmp_path,
        name="test",
        allow_pickle=False,
    )


def test_an_estimator_that_refuses_the_data_is_a_data_error() -> None:
    with pytest.raises(DataError, match="LogisticRegression cannot be fitted to this data"):
        fit(LogisticRegression(), X, np.zeros(200), seed=0, jobs=1)


def test_every_random_state_is_seeded_but_those_that_are_set() -> None:
    estimator = LogisticRegression()
    fit(estimator, X, X[:, 0] > 0, seed=7, jobs=1)
    assert estimator.random_state == 7
    estimator = LogisticRegression(random_state=3)
    fit(estimator, X, X[:, 0] > 0, seed=7, jobs=1)
    assert estimator.random_state == 3


def test_what_scikit_learn_warns_of_is_returned_not_printed() -> None:
    warned = fit(LogisticRegression(max_iter=1), X * 100, X[:, 0] > 0.3, seed=0, jobs=1)
    assert any("converge" in words for words in warned)


def test_the_signature_names_inputs_as_a_client_does() -> None:
    features = Features(
        columns=(
            NumericColumn(name="n"),
            BooleanColumn(name="b"),
            DateColumn(name="d"),
            CategoryColumn(name="c", categories=("x",)),
        )
    )
    signature = signature_of(features, "classification", 3)
    assert [(t.name, t.dtype) for t in signature.inputs] == [
        ("n", "float32"),
        ("b", "bool"),
        ("d", "date"),
        ("c", "string"),
    ]
    assert [(t.name, t.dtype, t.shape) for t in signature.outputs] == [
        ("label", "int64", (-1,)),
        ("probabilities", "float32", (-1, 3)),
    ]
    assert [t.name for t in signature_of(features, "regression", 0).outputs] == ["value"]
