"""Which rows are held out: chosen by a hash of the row, so that data that grows keeps each row on its side."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlplat.recipes.dataset import Dataset

HELD_OUT_SHARE = 0.2


def hold_out(data: Dataset, share: float = HELD_OUT_SHARE) -> NDArray[np.bool_]:
    """Choose the held-out rows of a data set.

    A row is held out if the hash of its feature values, by name, is in the lowest `share` of all hashes. That depends
    on no other row: appended rows move none, and equal rows stay together. One threshold for all rows is one for each
    class, so the classes keep their shares. Only a class that would be absent on one side has its row with the
    nearest hash moved there.

    Returns:
        bool[rows], true where held out; both sides hold every class.
    """
    hashes = row_hashes(data)
    held_out = hashes < share
    groups = data.y if data.classes is not None else np.zeros(len(data), dtype=np.int64)
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        if not held_out[rows].any():
            held_out[rows[np.argmin(hashes[rows])]] = True
        elif held_out[rows].all():
            held_out[rows[np.argmax(hashes[rows])]] = False
    return held_out


def row_hashes(data: Dataset) -> NDArray[np.float64]:
    """A number in [0, 1) for each row, from the names and values of its features in any order of columns."""
    texts = [[f"{name}\x1f{text}" for text in _texts(data.columns[name].cells)] for name in sorted(data.columns)]
    out = np.empty(len(data))
    for row, cells in enumerate(zip(*texts, strict=True)):
        digest = hashlib.blake2b("\x1e".join(cells).encode(), digest_size=8).digest()
        out[row] = int.from_bytes(digest) / 2**64
    return out


def hold_out_last(data: Dataset, share: float = HELD_OUT_SHARE) -> NDArray[np.bool_]:
    """Hold out the last rows, for rows in the order of time: neighbours in time would tell each other's future."""
    rows = np.arange(len(data))
    return rows >= len(data) - max(1, round(len(data) * share))


def _texts(values: NDArray[Any]) -> list[str]:
    return list(map(str, values.tolist()))
