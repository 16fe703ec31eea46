"""Between Arrow and NumPy without pandas.

`pyarrow.array`, `pyarrow.scalar` and `Array.to_numpy` import pandas, which takes a second and 50 MiB.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def texts(values: Sequence[str]) -> pa.Array:
    """A few strings."""
    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded)))


def numbers(
    values: NDArray[np.float32] | NDArray[np.float64] | NDArray[np.int64], missing: NDArray[np.bool_] | None = None
) -> pa.Array:
    """Numbers, without a copy; null where they are `missing`."""
    valid = None if missing is None or not missing.any() else _bits(~missing)
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(np.ascontiguousarray(values))])


def booleans(values: NDArray[np.bool_]) -> pa.Array:
    """True and false."""
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, _bits(values)])


def floats(column: pa.Array) -> NDArray[np.float64]:
    """A column of doubles, NaN where it is null; without a copy if there is none."""
    return _values(column.fill_null(_NAN) if column.null_count else column, np.float64)


def integers(column: pa.Array) -> NDArray[np.int32]:
    """A column of 32-bit integers without nulls, without a copy."""
    return _values(column, np.int32)


def moments(column: pa.Array) -> NDArray[np.datetime64]:
    """A column of timestamps in microseconds, NaT where it is null."""
    ticks = column.cast(pa.int64())
    return _values(ticks.fill_null(_NAT) if ticks.null_count else ticks, np.int64).view("datetime64[us]")


def _values(column: pa.Array, kind: type[Any]) -> NDArray[Any]:
    if len(column) == 0:
        return np.empty(0, dtype=kind)
    return np.frombuffer(column.buffers()[1], dtype=kind)[column.offset : column.offset + len(column)]


def _bits(values: NDArray[np.bool_]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(values, bitorder="little"))


_NAN = numbers(np.array([np.nan]))[0]
_NAT = numbers(np.array([np.iinfo(np.int64).min]))[0]
