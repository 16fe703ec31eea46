"""Loading a version and predicting with it."""

import io
import os
from pathlib import Path

import joblib
import numpy as np
import pytest
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier

from mlplat.bundle.features import TENSOR
from mlplat.bundle.manifest import Manifest
from mlplat.errors import CorruptError, DataError, GoldenError, UsageError
from mlplat.runtime import Predictor, open_onnx
from mlplat.store import Store


def files_of(store: Store, manifest: Manifest, folder: Path) -> Path:
    path = folder / manifest.model_file
    path.write_bytes(store.read_file(manifest, manifest.model_file))
    return path


@pytest.fixture
def forest(models: Store) -> Manifest:
    return models.manifest("iris", "v1")


def test_a_forest_predicts_what_scikit_learn_does(models: Store, forest: Manifest, tmp_path: Path) -> None:
    predictor = Predictor.load(forest, files_of(models, forest, tmp_path))
    estimator = joblib.load(io.BytesIO(models.read_file(forest, "model.joblib")))
    rows = np.random.default_rng(1).uniform(0, 8, (500, 4)).astype(np.float32)
    prediction = predictor.predict({TENSOR: rows})
    assert prediction.probabilities is not None
    assert prediction.probabilities.dtype == np.float32
    assert np.abs(prediction.probabilities - estimator.predict_proba(rows)).max() < 1e-5
    assert prediction.values.dtype == np.int64
    assert (prediction.values == estimator.predict(rows)).mean() > 0.99


def test_no_rows_give_no_answers(models: Store, forest: Manifest, tmp_path: Path) -> None:
    prediction = Predictor.load(forest, files_of(models, forest, tmp_path)).predict({TENSOR: np.empty((0, 4), "f4")})
    assert len(prediction) == 0
    assert prediction.probabilities is not None
    assert prediction.probabilities.shape == (0, 3)
    series = models.manifest("forecast", "v1")
    empty = Predictor.load(series, files_of(models, series, tmp_path)).predict({TENSOR: np.empty((0, 5), "f4")})
    assert (len(empty), empty.probabilities) == (0, None)


def test_the_golden_samples_are_repeated(models: Store, tmp_path: Path) -> None:
    for model in ("iris", "forecast", "customers"):
        manifest = models.manifest(model, "v1")
        Predictor.load(manifest, files_of(models, manifest, tmp_path)).replay()


def test_another_model_under_the_same_name_is_found_out(models: Store, forest: Manifest, tmp_path: Path) -> None:
    other = models.manifest("iris", "v2")
    predictor = Predictor.load(forest, files_of(models, other, tmp_path))
    with pytest.raises(GoldenError, match="Golden sample 0"):
        predictor.replay()


def test_golden_samples_that_do_not_fit_the_features_are_corrupt(
    models: Store, forest: Manifest, tmp_path: Path
) -> None:
    golden = forest.golden.model_copy(update={"rows": (("x", 1.0, 1.0, 1.0),) * len(forest.golden.rows)})
    predictor = Predictor.load(forest.model_copy(update={"golden": golden}), files_of(models, forest, tmp_path))
    with pytest.raises(CorruptError, match="sepal_length"):
        predictor.replay()


def test_what_is_no_model_is_refused_by_name(forest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(CorruptError, match=r"model\.onnx is not a model"):
        Predictor.load(forest, tmp_path / "model.onnx")


def test_a_pickle_is_loaded_only_when_it_is_allowed(models: Store, forest: Manifest, tmp_path: Path) -> None:
    pickled = forest.model_copy(update={"runtime": "sklearn"})
    path = files_of(models, pickled, tmp_path)
    assert path.name == "model.joblib"
    with pytest.raises(UsageError, match="--allow-pickle"):
        Predictor.load(pickled, path)
    Predictor.load(pickled, path, allow_pickle=True).replay()


def test_a_forecast_feeds_each_value_back(models: Store, tmp_path: Path) -> None:
    manifest = models.manifest("forecast", "v1")
    predictor = Predictor.load(manifest, files_of(models, manifest, tmp_path))
    values = [50.0, 51.0, 52.0, 53.0, 54.0]
    ahead = predictor.forecast(np.asarray([0.0, *values]), 4)
    for expected in ahead:
        one = float(predictor.predict({TENSOR: np.asarray([values], dtype=np.float32)}).values[0])
        assert one == expected
        values = [*values[1:], one]
    with pytest.raises(DataError, match="found 4 values, expected at least 5"):
        predictor.forecast(np.asarray(values[:4]), 1)


def test_probabilities_never_leave_0_to_1(tmp_path: Path) -> None:
    """In float32 the votes of 10 trees add up to 1.0000001."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 3)).astype(np.float32)
    forest = RandomForestClassifier(10, random_state=0).fit(rows, rows[:, 0] > 0)
    (tmp_path / "model.onnx").write_bytes(
        to_onnx(forest, rows[:1], options={"zipmap": False}, target_opset=18).SerializeToString()
    )
    probabilities = open_onnx(tmp_path / "model.onnx")({"X": rows}).probabilities
    assert probabilities is not None
    assert probabilities.min() >= 0
    assert probabilities.max() <= 1


def test_onnx_runtime_reports_nothing_to_its_maker() -> None:
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
