"""Drift of live requests against the training data."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlplat.bundle.features import TENSOR
from mlplat.bundle.manifest import Manifest
from mlplat.bundle.prediction import Prediction
from mlplat.serve.drift import LEAST_ROWS, WINDOW_ROWS, DriftWindow
from mlplat.store import open_store

from .conftest import Start


@pytest.fixture(scope="module")
def manifest(trained: Path) -> Manifest:
    return open_store(str(trained)).manifest("iris", "v1")


def training_like(rows: int) -> tuple[dict[str, Any], Prediction]:
    """Rows of the training data again, and their classes."""
    from sklearn.datasets import load_iris

    data, target = load_iris(return_X_y=True)
    chosen = np.random.default_rng(0).integers(0, len(data), rows)
    return {TENSOR: data[chosen].astype(np.float32)}, Prediction(target[chosen])


def test_requests_like_the_training_data_do_not_drift(manifest: Manifest) -> None:
    window = DriftWindow(manifest)
    window.add(*training_like(2000))
    drift = window.sample().measure()
    assert drift.rows == 2000
    assert set(drift.features) == set(manifest.features.names)
    assert drift.predictions is not None
    assert max(*drift.features.values(), drift.predictions) < 0.1


def test_one_feature_that_moved_is_named(manifest: Manifest) -> None:
    inputs, prediction = training_like(2000)
    inputs[TENSOR][:, 2] += 3
    window = DriftWindow(manifest)
    window.add(inputs, prediction)
    features = window.sample().measure().features
    assert features["petal_length"] > 0.25
    assert max(features[name] for name in features if name != "petal_length") < 0.1


def test_few_rows_give_no_index(manifest: Manifest) -> None:
    window = DriftWindow(manifest)
    window.add(*training_like(LEAST_ROWS - 1))
    drift = window.sample().measure()
    assert (drift.rows, drift.features, drift.predictions) == (LEAST_ROWS - 1, {}, None)


@pytest.mark.parametrize("size", [1, 999, WINDOW_ROWS, 3 * WINDOW_ROWS])
def test_only_the_latest_rows_are_kept(manifest: Manifest, size: int) -> None:
    window = DriftWindow(manifest)
    old, prediction = training_like(size)
    for _ in range(2):
        window.add({TENSOR: old[TENSOR] + 100}, prediction)
    for _ in range(-(-WINDOW_ROWS // size)):
        window.add(old, prediction)
    sample = window.sample()
    assert WINDOW_ROWS <= sum(len(values) for _, values in sample.chunks) < WINDOW_ROWS + size
    assert max(inputs[TENSOR].max() for inputs, _ in sample.chunks) < 100


def test_the_metrics_say_it_of_tables_with_every_kind_of_column(trained: Path, start: Start) -> None:
    running = start(str(trained), model="customers", version="v1").ready()
    rows = [[30, "pro", True, "2024-01-10"]] * (LEAST_ROWS // 5)
    assert math.isnan(gauge(running.client.get("/metrics").text, "mlplat_prediction_drift"))
    for _ in range(5):
        assert running.predict({"features": rows}).status_code == 200
    text = running.client.get("/metrics").text
    assert gauge(text, "mlplat_drift_rows") == LEAST_ROWS
    assert gauge(text, 'mlplat_feature_drift{feature="plan"}') > 0.25
    assert gauge(text, "mlplat_prediction_drift") > 0.25


def gauge(text: str, name: str) -> float:
    [line] = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.rpartition(" ")[2])
