"""float32 numbers as JSON text: the fewest digits that give the same float32 back."""

from typing import Any

import orjson
from numpy.typing import NDArray


def text(values: NDArray[Any]) -> bytes:
    """A contiguous array of any shape as a JSON array."""
    return orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)


def texts(values: NDArray[Any]) -> list[bytes]:
    """Each value of a [rows] array, or each row of a [rows, columns] array as numbers with commas between."""
    if values.ndim == 1:
        return text(values)[1:-1].split(b",")
    return text(values)[2:-2].split(b"],[")
