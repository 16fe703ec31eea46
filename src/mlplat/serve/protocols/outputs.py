"""Output tensors of the Open Inference Protocol V2: what the model predicted, as JSON or as bytes."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlplat.bundle.answers import label_text
from mlplat.bundle.manifest import Label
from mlplat.serve import numbers
from mlplat.serve.protocols import tensors

PREDICT, PROBABILITIES = "predict", "predict_proba"


class Labels:
    """The output `predict` of a classification: for indices into the classes, the classes as a tensor."""

    def __init__(self, classes: Sequence[Label]) -> None:
        self.datatype = label_datatype(classes)
        if self.datatype == tensors.BYTES:
            texts = [label_text(label) for label in classes]
            self._packed = _objects([tensors.packed(text.encode()) for text in texts])
            self._texts = _objects([msgspec.json.encode(text) for text in texts])
        else:
            self._numbers = np.array(classes, tensors.DTYPES[self.datatype])

    def output(self, indices: NDArray[np.int64], *, binary: bool) -> tuple[bytes, bytes | None]:
        """The tensor's JSON, and its bytes if it is binary."""
        if self.datatype != tensors.BYTES:
            return number_tensor(PREDICT, self.datatype, self._numbers[indices], binary=binary)
        if binary:
            return _tensor(PREDICT, self.datatype, indices.shape, b"".join(self._packed[indices].tolist()))
        text = b"[%b]" % b",".join(self._texts[indices].tolist())
        return _tensor(PREDICT, self.datatype, indices.shape, text, binary=False)


def label_datatype(classes: Sequence[Label]) -> str:
    """The datatype that holds all classes of a model."""
    kinds = set(map(type, classes))
    if kinds == {bool}:
        return "BOOL"
    if kinds == {int} and all(-(2**63) <= label < 2**63 for label in classes if isinstance(label, int)):
        return "INT64"
    if kinds == {float}:
        return "FP64"
    return tensors.BYTES


def number_tensor(name: str, datatype: str, values: NDArray[Any], *, binary: bool) -> tuple[bytes, bytes | None]:
    """The JSON of a tensor of numbers, and its bytes if it is binary."""
    data = tensors.to_bytes(datatype, values) if binary else numbers.text(values.reshape(-1))
    return _tensor(name, datatype, values.shape, data, binary=binary)


def _tensor(
    name: str, datatype: str, shape: tuple[int, ...], data: bytes, *, binary: bool = True
) -> tuple[bytes, bytes | None]:
    """The JSON of a tensor, and its bytes if it is binary."""
    text = b'{"name":"%b","datatype":"%b","shape":[%b],' % (
        name.encode(),
        datatype.encode(),
        b",".join([b"%d" % size for size in shape]),
    )
    if binary:
        return b'%b"parameters":{"binary_data_size":%d}}' % (text, len(data)), data
    return b'%b"data":%b}' % (text, data), None


def _objects(values: list[bytes]) -> NDArray[Any]:
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out
