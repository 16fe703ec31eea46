"""Output tensors of the Open Inference Protocol V2: what the model predicted, as JSON or as bytes."""

from abc import ABC, abstractmethod
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


class OutputTensor(ABC):
    """Writes an output.

    Args:
        name: of the output.
        datatype: of its elements.
        columns: that it has, if it has rows and columns.
    """

    def __init__(self, name: str, datatype: str, columns: int | None = None) -> None:
        shape = "%d" if columns is None else f"%d,{columns}"
        start = f'{{"name":"{name}","datatype":"{datatype}","shape":[{shape}],'.encode()
        self._json = start + b'"data":%b}'
        self._binary = start + b'"parameters":{"binary_data_size":%d}}'

    def write(self, values: NDArray[Any], *, binary: bool) -> tuple[bytes, bytes | None]:
        """The JSON of the tensor, and its bytes if it is binary."""
        if binary:
            data = self.as_bytes(values)
            return self._binary % (len(values), len(data)), data
        return self._json % (len(values), self.as_json(values)), None

    @abstractmethod
    def as_bytes(self, values: NDArray[Any]) -> bytes:
        """The data, one element after the other."""

    @abstractmethod
    def as_json(self, values: NDArray[Any]) -> bytes:
        """The data as a flat JSON array."""


class Numbers(OutputTensor):
    """Numbers as FP32: [rows], or [rows, columns]."""

    def __init__(self, name: str, columns: int | None = None) -> None:
        super().__init__(name, "FP32", columns)

    def as_bytes(self, values: NDArray[Any]) -> bytes:
        """The data, one element after the other."""
        return tensors.to_bytes("FP32", values)

    def as_json(self, values: NDArray[Any]) -> bytes:
        """The data as a flat JSON array."""
        return numbers.text(values.reshape(-1))


class Labels(OutputTensor):
    """The classes of a model, in the datatype that holds them all, for indices into them: [rows]."""

    def __init__(self, name: str, classes: Sequence[Label]) -> None:
        datatype = label_datatype(classes)
        super().__init__(name, datatype)
        if datatype == tensors.BYTES:
            texts = [label_text(label) for label in classes]
            data, written = [tensors.packed(text.encode()) for text in texts], map(msgspec.json.encode, texts)
        else:
            values = np.array(classes, tensors.DTYPES[datatype])
            data, written = [value.tobytes() for value in values], map(msgspec.json.encode, classes)
        self._bytes, self._texts = _objects(data), _objects(list(written))

    def as_bytes(self, values: NDArray[Any]) -> bytes:
        """The data, one element after the other."""
        return b"".join(self._bytes[values].tolist())

    def as_json(self, values: NDArray[Any]) -> bytes:
        """The data as a flat JSON array."""
        return b"[%b]" % b",".join(self._texts[values].tolist())


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


def _objects(values: list[bytes]) -> NDArray[Any]:
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out
