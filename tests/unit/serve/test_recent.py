"""What was answered lately, counted."""

import numpy as np

from mlplat.bundle.features import TENSOR
from mlplat.bundle.manifest import Manifest
from mlplat.bundle.prediction import Prediction
from mlplat.serve.drift import WINDOW_ROWS, DriftWindow
from mlplat.serve.recent import MOST_OUTPUTS, QUANTILES, Recent
from mlplat.store import Store


def test_rows_are_counted_by_the_class_that_they_were_answered_with() -> None:
    recent = Recent.of((True, "no", 3), np.array([0, 2, 2, 0, 0]))
    assert (recent.rows, recent.outputs, recent.quantiles) == (5, {"true": 3, "no": 0, "3": 2}, {})


def test_classes_beyond_the_first_ones_are_counted_together() -> None:
    classes = [f"c{index}" for index in range(MOST_OUTPUTS + 10)]
    recent = Recent.of(classes, np.arange(MOST_OUTPUTS + 10))
    assert len(recent.outputs) == MOST_OUTPUTS + 1
    assert (recent.outputs["c0"], recent.outputs[f"c{MOST_OUTPUTS - 1}"], recent.outputs["other"]) == (1, 1, 10)


def test_a_class_with_the_name_of_the_others_is_counted_with_them() -> None:
    classes = ["other", *(f"c{index}" for index in range(MOST_OUTPUTS))]
    assert Recent.of(classes, np.array([0, MOST_OUTPUTS])).outputs["other"] == 2


def test_numbers_are_told_by_their_quantiles_and_those_that_are_none_are_left_out() -> None:
    values = np.array([*range(101), np.nan, np.inf, -np.inf], dtype=np.float32)
    recent = Recent.of(None, values)
    assert (recent.rows, recent.outputs) == (101, {})
    assert list(recent.quantiles) == list(QUANTILES)
    assert [round(value, 4) for value in recent.quantiles.values()] == [5.0 * step for step in range(21)]


def test_no_rows_have_no_quantiles() -> None:
    assert Recent.of(None, np.array([np.nan], dtype=np.float32)) == Recent(0, {}, {})
    assert Recent.of(("a", "b"), np.array([], dtype=np.int64)) == Recent(0, {"a": 0, "b": 0}, {})


def test_rows_count_from_the_first_on_and_only_the_latest(models: Store) -> None:
    manifest: Manifest = models.manifest("iris", "v1")
    window = DriftWindow(manifest)
    assert window.recent().rows == 0
    rows = np.zeros((1, 4), dtype=np.float32)
    window.add({TENSOR: rows}, Prediction(np.array([1])))
    assert window.recent().outputs == {"setosa": 0, "versicolor": 1, "virginica": 0}
    window.add({TENSOR: np.repeat(rows, WINDOW_ROWS, axis=0)}, Prediction(np.full(WINDOW_ROWS, 2)))
    assert window.recent().outputs == {"setosa": 0, "versicolor": 0, "virginica": WINDOW_ROWS}
