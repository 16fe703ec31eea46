"""Drift of live requests against the training data."""

import asyncio
import math
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from mlplat.bundle.baseline import Baseline, Histogram
from mlplat.bundle.features import TENSOR, CategoryColumn, Features, NumericColumn, StringColumn
from mlplat.bundle.manifest import Manifest
from mlplat.bundle.prediction import Prediction
from mlplat.serve.drift import LEAST_ROWS, MEASURE_SECONDS, WINDOW_ROWS, Drift, DriftMonitor, DriftWindow
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


def filled(manifest: Manifest, rows: int = LEAST_ROWS) -> DriftWindow:
    window = DriftWindow(manifest)
    window.add(*training_like(rows))
    return window


def test_requests_like_the_training_data_do_not_drift(manifest: Manifest) -> None:
    drift = filled(manifest, 2000).measure()
    assert drift.rows == 2000
    assert set(drift.features) == set(manifest.features.names)
    assert drift.predictions is not None
    assert {shift.status for shift in (*drift.features.values(), drift.predictions)} == {"ok"}


def test_one_feature_that_moved_is_named(manifest: Manifest) -> None:
    inputs, prediction = training_like(2000)
    inputs[TENSOR][:, 2] += 3
    window = DriftWindow(manifest)
    window.add(inputs, prediction)
    features = window.measure().features
    assert features["petal_length"].index > 0.25
    assert {name for name, shift in features.items() if shift.status == "drifted"} == {"petal_length"}


def test_classes_that_are_predicted_more_often_are_drift_of_the_predictions(manifest: Manifest) -> None:
    inputs, prediction = training_like(2000)
    window = DriftWindow(manifest)
    window.add(inputs, Prediction(np.where(prediction.values == 0, 1, prediction.values)))
    shift = window.measure().predictions
    assert shift is not None
    assert (shift.status, shift.live[0], sum(shift.live)) == ("drifted", 0, 2000)


def test_few_rows_give_no_index(manifest: Manifest) -> None:
    drift = filled(manifest, LEAST_ROWS - 1).measure()
    assert (drift.rows, drift.features, drift.predictions) == (LEAST_ROWS - 1, {}, None)


@pytest.mark.parametrize("size", [1, 16, 999, WINDOW_ROWS, WINDOW_ROWS + 1, 3 * WINDOW_ROWS])
def test_only_the_latest_rows_are_kept(manifest: Manifest, size: int) -> None:
    window = DriftWindow(manifest)
    rows, prediction = training_like(size)
    for _ in range(2):
        window.add({TENSOR: rows[TENSOR] + 100}, prediction)
    assert window.rows == min(2 * size, WINDOW_ROWS)
    for _ in range(-(-WINDOW_ROWS // size)):
        window.add(rows, prediction)
    drift = window.measure()
    assert drift.rows == WINDOW_ROWS
    assert drift.features["sepal_length"].live == counts(manifest, "sepal_length", rows[TENSOR][:, 0], size)


def counts(manifest: Manifest, name: str, values: Any, size: int) -> tuple[int, ...]:
    """What a window holds that was filled with the same `size` rows again and again."""
    repeated = np.tile(values, -(-WINDOW_ROWS // size))
    return manifest.baseline.features[name].count(repeated[-WINDOW_ROWS:])


def test_of_more_rows_than_the_window_holds_the_last_ones_count(manifest: Manifest) -> None:
    window = filled(manifest, 10)
    rows, prediction = training_like(3 * WINDOW_ROWS)
    rows[TENSOR][:-WINDOW_ROWS] += 100
    window.add(rows, prediction)
    live = window.measure().features["sepal_length"].live
    assert live == manifest.baseline.features["sepal_length"].count(rows[TENSOR][-WINDOW_ROWS:, 0])


def test_inputs_by_column_are_compared_but_for_strings(manifest: Manifest) -> None:
    features = Features(
        columns=(StringColumn(name="s"), NumericColumn(name="x"), CategoryColumn(name="c", categories=("a",))),
        layout="columns",
    )
    halves = Histogram(edges=(0.5,), counts=(50, 50))
    baseline = Baseline(rows=100, features={"x": halves, "c": halves}, predictions=halves)
    window = DriftWindow(
        manifest.model_copy(update={"features": features, "baseline": baseline, "task": "regression", "classes": None})
    )
    rows = 1000
    inputs = {
        "s": np.full((rows, 1), "text", dtype=object),
        "x": np.ones((rows, 1), dtype=np.float32),
        "c": (np.arange(rows) % 2).reshape(-1, 1).astype(np.float32),
    }
    window.add(inputs, Prediction(np.full(rows, 0.25, dtype=np.float32)))
    drift = window.measure()
    assert {name: shift.live for name, shift in drift.features.items()} == {"x": (0, rows), "c": (rows // 2, rows // 2)}
    assert drift.predictions is not None
    assert drift.predictions.live == (rows, 0)


def test_what_is_measured_while_rows_are_added_counts_every_row_once(manifest: Manifest) -> None:
    window = filled(manifest)
    inputs, prediction = training_like(16)
    ended = False

    def add() -> None:
        while not ended:
            window.add(inputs, prediction)

    thread = Thread(target=add)
    thread.start()
    try:
        drifts = [window.measure() for _ in range(200)]
    finally:
        ended = True
        thread.join()
    assert all(sum(shift.live) == drift.rows for drift in drifts for shift in drift.features.values())


class Counting(DriftWindow):
    """A window that says how often it was measured."""

    measured = 0

    def measure(self) -> Drift:
        self.measured += 1
        return super().measure()


def counting(manifest: Manifest, rows: int = LEAST_ROWS) -> Counting:
    window = Counting(manifest)
    window.add(*training_like(rows))
    return window


def test_who_asks_within_a_while_gets_the_same_measurement(manifest: Manifest) -> None:
    now = 100.0
    monitor, window = DriftMonitor(clock=lambda: now), counting(manifest)

    async def scenario() -> None:
        nonlocal now
        first = await asyncio.gather(*(monitor.measure(window) for _ in range(50)))
        now += MEASURE_SECONDS - 0.1
        assert {id(drift) for drift in [*first, await monitor.measure(window)]} == {id(first[0])}
        assert window.measured == 1
        now += 0.2
        assert await monitor.measure(window) is not first[0]
        assert window.measured == 2

    asyncio.run(scenario())


def test_another_version_is_measured_at_once(manifest: Manifest) -> None:
    monitor, old, new = DriftMonitor(), counting(manifest), counting(manifest, 2 * LEAST_ROWS)
    assert asyncio.run(monitor.measure(old)).rows == LEAST_ROWS
    assert asyncio.run(monitor.measure(new)).rows == 2 * LEAST_ROWS


def test_the_first_measurement_does_not_wait_once_there_are_rows_enough(manifest: Manifest) -> None:
    monitor, window = DriftMonitor(), counting(manifest, LEAST_ROWS - 1)
    assert asyncio.run(monitor.measure(window)).predictions is None
    window.add(*training_like(1))
    assert asyncio.run(monitor.measure(window)).predictions is not None


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
