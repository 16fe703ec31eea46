"""What a model answered."""

import numpy as np

from mlplat.bundle.prediction import Prediction


def test_rows_that_the_model_has_no_number_for_are_known() -> None:
    values = np.zeros(3, np.int64)
    assert Prediction.of(values, np.array([[0.5, 0.5]] * 3, np.float32)).undefined is None
    odd = Prediction.of(values, np.array([[0.5, 0.5], [np.nan, np.nan], [1, 0]], np.float32))
    assert odd.undefined is not None
    assert odd.undefined.tolist() == [False, True, False]
    assert Prediction.of(np.array([1e38, 3e38], np.float32)).undefined is None
    infinite = Prediction.of(np.array([1, np.inf], np.float32)).undefined
    assert infinite is not None
    assert infinite.tolist() == [False, True]


def test_a_part_knows_it_of_its_own_rows() -> None:
    odd = Prediction.of(np.array([1, np.nan, 3], np.float32)).rows(1, 3)
    assert odd.undefined is not None
    assert odd.undefined.tolist() == [True, False]
