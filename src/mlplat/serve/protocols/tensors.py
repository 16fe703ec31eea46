"""Tensors of the Open Inference Protocol V2: their data as JSON values and as bytes, to and from numpy.

As bytes (Triton's binary tensor data extension) the elements follow each other in row-major order, little-endian; one of
BYTES is its length as four bytes, then as many bytes. Values are flat: a list, or an array of one dimension.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from math import prod
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlplat.bundle.features import EXACT_INTEGER, describe
from mlplat.errors import RequestError

BYTES = "BYTES"

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}

DATATYPES = (*DTYPES, BYTES)

COLUMN_DATATYPES = {"numeric": "FP32", "boolean": "BOOL", "date": BYTES, "category": BYTES, "string": BYTES}
"""What is best sent for each kind of column; any that holds the same values is taken, too."""

LENGTH = Struct("<I")

Values = list[Any] | NDArray[Any]
Where = Callable[[int], str]
"""The place of a value in a message, by its index: "row 1, column 'age'"."""


def flattened(data: list[Any], shape: Sequence[int], name: str) -> list[Any]:
    """The values of a tensor, row-major, which came flat or nested as its shape is.

    Args:
        data: what the client sent.
        shape: [rows] or [rows, columns].
        name: of the tensor, for messages.

    Raises:
        RequestError: 422 if they are not as many as the shape says.
    """
    if len(shape) == 2 and data and type(data[0]) is list:
        rows, columns = shape
        if len(data) != rows:
            raise _wrong(name, f"{len(data)} rows", f"{rows} as its shape {list(shape)} says")
        for index, row in enumerate(data):
            if type(row) is not list or len(row) != columns:
                found = f"{len(row)} values" if type(row) is list else describe(row)
                raise _wrong(
                    f"{name}, row {index}", found, f"a list of {columns} values as its shape {list(shape)} says"
                )
        return list(chain.from_iterable(data))
    count = prod(shape)
    if len(data) != count:
        raise _wrong(name, f"{len(data)} values", f"{count} as its shape {list(shape)} says")
    return data


def from_json(datatype: str, flat: list[Any], where: Where) -> Values:
    """The values of a tensor that came as JSON; null is a missing one, which stays None or becomes NaN.

    Args:
        datatype: one of `DATATYPES`.
        flat: JSON values.
        where: says where one is.

    Raises:
        RequestError: 422 if one is not of the datatype, naming where, found and expected.
    """
    kinds = set(map(type, flat))
    if datatype == BYTES:
        _check(flat, kinds, {str}, where, "a string (BYTES)")
        return flat
    if datatype == "BOOL":
        _check(flat, kinds, {bool}, where, "true or false (BOOL)")
        return flat
    dtype = DTYPES[datatype]
    if dtype.kind == "f":
        _check(flat, kinds, {float, int}, where, f"a number ({datatype})")
        return _floats(flat, kinds, dtype, where)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    expected = f"an integer from {low} to {high} ({datatype})"
    _check(flat, kinds, {int}, where, expected)
    odd = next((index for index, value in enumerate(flat) if value is not None and not low <= value <= high), None)
    if odd is not None:
        raise _wrong(where(odd), describe(flat[odd]), expected)
    return flat if type(None) in kinds else np.array(flat, dtype)


def from_bytes(datatype: str, data: memoryview, count: int, name: str, where: Where) -> Values:
    """The values of a tensor that came as bytes.

    Args:
        datatype: one of `DATATYPES`.
        data: the bytes of this tensor alone.
        count: how many values it has.
        name: of the tensor, for messages.
        where: says where a value is.

    Raises:
        RequestError: 422 if the bytes are not as many as that takes, or are no value of the datatype.
    """
    if datatype == BYTES:
        return _strings(bytes(data), count, name, where)
    dtype = DTYPES[datatype]
    if len(data) != count * dtype.itemsize:
        raise _wrong(name, f"{len(data)} bytes", f"{count * dtype.itemsize} for {count} values of {datatype}")
    if datatype == "BOOL":
        raw = np.frombuffer(data, np.uint8)
        if raw.max(initial=0) > 1:
            odd = int(np.argmax(raw > 1))
            raise _wrong(where(odd), f"the byte {raw[odd]}", "0 or 1 (BOOL)")
        return raw.astype(bool)
    return np.frombuffer(data, dtype).copy()  # aligned, as the model's run wants it


def to_bytes(datatype: str, values: NDArray[Any]) -> bytes:
    """An array of numbers or booleans, of any shape, as the bytes of a tensor."""
    return values.astype(DTYPES[datatype], copy=False).tobytes()


def packed(text: bytes) -> bytes:
    """One element of BYTES as it is in the bytes of a tensor."""
    return LENGTH.pack(len(text)) + text


def _floats(flat: list[Any], kinds: set[type], dtype: np.dtype[Any], where: Where) -> Values:
    """Numbers as float64, in which they are checked further; of FP16 as such, rounded as a client would."""
    if int in kinds and any(type(value) is int and abs(value) > EXACT_INTEGER for value in flat):
        return flat  # refused by the features, which say why
    if type(None) in kinds:
        flat = [np.nan if value is None else value for value in flat]
    numbers = np.array(flat, np.float64)
    if dtype.itemsize > 2:
        return numbers
    with np.errstate(over="ignore"):
        half = numbers.astype(dtype)
    if np.isinf(half).any():
        odd = int(np.argmax(np.isinf(half)))
        raise _wrong(where(odd), describe(flat[odd]), f"a number of at most {np.finfo(dtype).max:.0f} (FP16)")
    return half


def _strings(data: bytes, count: int, name: str, where: Where) -> list[str]:
    values = []
    at = 0
    for index in range(count):
        start = at + LENGTH.size
        if start > len(data):
            raise _wrong(name, f"{index} values in its {len(data)} bytes", f"{count} values of BYTES")
        (length,) = LENGTH.unpack_from(data, at)
        at = start + length
        if at > len(data):
            raise _wrong(where(index), f"the length {length}", f"at most {len(data) - start}, the bytes that are left")
        try:
            values.append(data[start:at].decode())
        except UnicodeDecodeError:
            raise _wrong(where(index), "bytes that are no UTF-8", "a string (BYTES)") from None
    if at != len(data):
        raise _wrong(name, f"{len(data) - at} bytes after its {count} values", "none")
    return values


def _check(flat: list[Any], kinds: Iterable[type], taken: set[type], where: Where, expected: str) -> None:
    """Refuse values of other types; None is taken always."""
    taken = taken | {type(None)}
    if not taken.issuperset(kinds):
        odd = next(index for index, value in enumerate(flat) if type(value) not in taken)
        raise _wrong(where(odd), describe(flat[odd]), expected)


def _wrong(place: str, found: str, expected: str) -> RequestError:
    return RequestError(f"{place}: found {found}, expected {expected}.", code="invalid_value")
