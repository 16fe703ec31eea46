"""float32 numbers as JSON text."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlplat.serve import numbers

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.lists(FLOATS))
def test_numbers_read_back_as_the_same_float32(values: list[float]) -> None:
    array = np.asarray(values, dtype=np.float32)
    assert (np.asarray(json.loads(numbers.text(array)), dtype=np.float32) == array).all()


def test_a_float32_prints_as_people_write_it() -> None:
    assert numbers.text(np.asarray([0.1, 0.98, 3.0], dtype=np.float32)) == b"[0.1,0.98,3.0]"


@given(st.lists(st.tuples(FLOATS, FLOATS), min_size=1))
def test_each_row_is_a_text_of_its_own(rows: list[tuple[float, float]]) -> None:
    array = np.asarray(rows, dtype=np.float32)
    read = [[float(number) for number in text.split(b",")] for text in numbers.texts(array)]
    assert (np.asarray(read, dtype=np.float32) == array).all()
    assert len(numbers.texts(array[:, 0].copy())) == len(rows)
