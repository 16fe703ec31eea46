"""Answers as bytes."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.bundle.answers import label_text
from mlplat.bundle.manifest import Manifest
from mlplat.bundle.prediction import Prediction
from mlplat.serve.decode import Question
from mlplat.serve.encode import encode, encode_forecast, plain
from mlplat.store import Store


def question(*, single: bool, probabilities: bool = True) -> Question:
    return Question({}, 1, single=single, probabilities=probabilities)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_numbers_print_short_and_read_back_as_the_same_float32(values: list[float]) -> None:
    array = np.asarray(values, dtype=np.float32)
    assert (np.asarray(json.loads(json.dumps(plain(array))), dtype=np.float32) == array).all()


def test_a_float32_prints_as_people_write_it() -> None:
    assert plain(np.asarray([0.1, 0.98, 1e-7, 3.0], dtype=np.float32)) == [0.1, 0.98, 1e-7, 3.0]


@pytest.fixture
def flowers(models: Store) -> Manifest:
    return models.manifest("iris", "v1")


def test_a_label_that_ties_keeps_the_confidence_of_what_was_said(flowers: Manifest) -> None:
    prediction = Prediction(np.asarray([1]), np.asarray([[0.5, 0.5, 0.0]], dtype=np.float32))
    answer = json.loads(encode(question(single=True), prediction, flowers))
    assert (answer["prediction"], answer["confidence"]) == ("versicolor", 0.5)


def test_probabilities_are_left_out_if_not_wanted(flowers: Manifest) -> None:
    prediction = Prediction(np.asarray([0]), np.asarray([[1.0, 0.0, 0.0]], dtype=np.float32))
    for single in (True, False):
        assert "probabilities" not in json.loads(
            encode(question(single=single, probabilities=False), prediction, flowers)
        )


@pytest.mark.parametrize(("labels", "texts"), [((True, False), ["true", "false"]), ((0, 1), ["0", "1"])])
def test_labels_keep_their_type_and_are_text_only_as_keys(
    flowers: Manifest, labels: tuple[bool | int, ...], texts: list[str]
) -> None:
    manifest = flowers.model_copy(update={"classes": labels})
    prediction = Prediction(np.asarray([1]), np.asarray([[0.25, 0.75]], dtype=np.float32))
    answer = json.loads(encode(question(single=True), prediction, manifest))
    assert answer["prediction"] is labels[1] or answer["prediction"] == labels[1]
    assert list(answer["probabilities"]) == texts == [label_text(label) for label in labels]


def test_regression_values_are_numbers(models: Store) -> None:
    series = models.manifest("forecast", "v1")
    two = Prediction(np.asarray([1.5, 2.5], dtype=np.float32))
    assert json.loads(encode(question(single=False), two, series))["predictions"] == [1.5, 2.5]
    assert json.loads(encode(question(single=True), two.rows(0, 1), series))["prediction"] == 1.5
    assert json.loads(encode_forecast([1.5, 2.5], series))["predictions"] == [1.5, 2.5]
