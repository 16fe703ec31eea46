"""Between Arrow and NumPy, whatever part of an array it is, and without pandas."""

import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlplat.batch import arrays

MISSING = np.array([True, False, False, True, False, False, False, False, False, True])
"""More than the eight that share a byte of Arrow's validity."""


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
def test_numbers_are_null_where_they_are_missing(kind: type[Any]) -> None:
    values = np.arange(10).astype(kind)
    assert arrays.numbers(values).to_pylist() == values.tolist()
    assert arrays.numbers(values, np.zeros(10, dtype=bool)).null_count == 0
    found = arrays.numbers(values, MISSING)
    found.validate(full=True)
    assert found.to_pylist() == [None if gone else value for value, gone in zip(values.tolist(), MISSING, strict=True)]


def test_numbers_of_every_other_value_are_those() -> None:
    assert arrays.numbers(np.arange(6.0)[::2]).to_pylist() == [0, 2, 4]


def test_booleans_and_texts() -> None:
    assert arrays.booleans(MISSING).to_pylist() == MISSING.tolist()
    found = arrays.texts(["", "é", "b" * 300])
    found.validate(full=True)
    assert found.to_pylist() == ["", "é", "b" * 300]
    assert arrays.texts([]).to_pylist() == []


@pytest.mark.parametrize("part", [slice(0, 5), slice(2, 5), slice(1, 1)])
def test_columns_are_read_from_where_they_begin(part: slice) -> None:
    numbers = pa.array([1.0, None, 3.0, None, 5.0])[part]
    expected = [np.nan if value is None else value for value in numbers.to_pylist()]
    np.testing.assert_array_equal(arrays.floats(numbers), expected)
    codes = pa.array([4, 3, 2, 1, 0], pa.int32())[part]
    assert arrays.integers(codes).tolist() == codes.to_pylist()
    ticks = pa.array([0, None, -1, 10**15, 5], pa.timestamp("us"))[part]
    np.testing.assert_array_equal(arrays.moments(ticks), np.array([0, "NaT", -1, 10**15, 5], "datetime64[us]")[part])


def test_pandas_is_not_loaded() -> None:
    code = (
        "import sys, numpy as np; from mlplat.batch import arrays as a;"
        "a.floats(a.numbers(np.ones(3), np.array([True, False, False]))); a.texts(['x']); a.booleans(np.array([True]));"
        "print('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout == b"False\n"
