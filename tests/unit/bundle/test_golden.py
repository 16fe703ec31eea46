"""Golden samples: a replay must repeat what training saw, within the tolerance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.bundle.features import CategoryColumn, Features, NumericColumn
from mlplat.bundle.golden import Golden, differences
from mlplat.bundle.prediction import Prediction
from mlplat.errors import GoldenError


def classified(*rows: tuple[float, ...], labels: list[int] | None = None) -> Prediction:
    probabilities = np.array(rows, dtype=np.float32)
    values = probabilities.argmax(axis=1) if labels is None else np.array(labels)
    return Prediction(values, probabilities)


def test_a_probability_off_by_more_than_the_tolerance_differs() -> None:
    expected = classified((0.5, 0.3, 0.2), (0.5, 0.3, 0.2))
    found = classified((0.500001, 0.299999, 0.2), (0.51, 0.29, 0.2))
    assert differences(expected, found, 1e-5).tolist() == [False, True]


def test_a_label_may_differ_only_where_the_best_two_probabilities_tie() -> None:
    expected = classified((0.5, 0.5), (0.6, 0.4), labels=[0, 0])
    found = classified((0.5, 0.5), (0.6, 0.4), labels=[1, 1])
    assert differences(expected, found, 1e-5).tolist() == [False, True]


def test_another_number_of_classes_differs_everywhere() -> None:
    assert differences(classified((0.5, 0.5)), classified((0.5, 0.3, 0.2)), 1e-5).all()
    assert differences(classified((0.5, 0.5)), Prediction(np.array([0])), 1e-5).all()


def test_a_regression_value_is_compared_relative_to_its_size_or_the_mean_size_of_all() -> None:
    expected = Prediction(np.array([1e6, -1e6, 0.5]))
    assert not differences(expected, Prediction(np.array([1e6 + 50, -1e6 - 50, 40.0])), 1e-4).any()
    off = differences(expected, Prediction(np.array([1e6 + 150, -1e6, 90.0])), 1e-4)
    assert off.tolist() == [True, False, True]


def test_small_regression_values_are_held_to_the_same_relative_tolerance() -> None:
    expected = Prediction(np.array([1e-3, 2e-3]))
    assert differences(expected, Prediction(np.array([1.1e-3, 2e-3])), 1e-4).tolist() == [True, False]


def test_not_a_number_always_differs() -> None:
    assert differences(Prediction(np.array([1.0])), Prediction(np.array([np.nan])), 1e-4).all()
    assert differences(classified((0.5, 0.5)), classified((np.nan, np.nan)), 1e-4).all()


def test_no_rows_have_no_differences() -> None:
    assert differences(Prediction(np.empty(0)), Prediction(np.empty(0)), 1e-4).tolist() == []


@given(values=st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=8))
def test_a_prediction_never_differs_from_itself(values: list[float]) -> None:
    prediction = Prediction(np.array(values, dtype=np.float32))
    assert not differences(prediction, prediction, 1e-9).any()


def golden() -> Golden:
    return Golden(rows=((1.0, "a"), (None, "b")), values=(1, 0), probabilities=((0.2, 0.8), (0.9, 0.1)), tolerance=1e-5)


def test_rows_come_back_as_raw_columns_and_survive_json() -> None:
    features = Features(columns=(NumericColumn(name="x", fill=0.0), CategoryColumn(name="y", categories=("a",))))
    again = Golden.model_validate_json(golden().model_dump_json())
    assert again == golden()
    assert again.columns(features) == {"x": [1.0, None], "y": ["a", "b"]}


def test_the_recorded_predictions_pass() -> None:
    golden().check(classified((0.2, 0.8), (0.9, 0.1)))


def test_another_prediction_is_refused_naming_the_sample() -> None:
    with pytest.raises(GoldenError, match=r"Golden sample 1 was 0 .* is 1 now .* 1 of 2 samples differ"):
        golden().check(classified((0.2, 0.8), (0.1, 0.9)))


def test_another_number_of_answers_is_refused() -> None:
    with pytest.raises(GoldenError, match="2 golden samples gave 1 answers"):
        golden().check(classified((0.2, 0.8)))


def test_a_regression_replay_is_compared_by_value() -> None:
    samples = Golden(rows=((1.0,),), values=(10.0,), tolerance=1e-4)
    samples.check(Prediction(np.array([10.0005], dtype=np.float32)))
    with pytest.raises(GoldenError, match=r"was 10 .* is 11 now"):
        samples.check(Prediction(np.array([11.0], dtype=np.float32)))
