"""Output tensors of V2, as JSON and as bytes that another reader takes apart."""

import json
import struct
from typing import Any

import numpy as np
import pytest

from mlplat.bundle.manifest import Label
from mlplat.serve.protocols.outputs import Labels, Numbers, OutputTensor, label_datatype

INDICES = np.array([1, 0, 1])


def both(output: OutputTensor, values: Any) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """The tensor in JSON; the one that announces bytes, and these."""
    text, nothing = output.write(values, binary=False)
    assert nothing is None
    head, data = output.write(values, binary=True)
    assert data is not None
    announced = json.loads(head)
    assert announced.pop("parameters") == {"binary_data_size": len(data)}
    return json.loads(text), announced, data


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_numbers_of_rows_and_columns_are_flat(rows: int) -> None:
    values = np.arange(rows * 2, dtype=np.float32).reshape(rows, 2) / 3
    text, announced, data = both(Numbers("p", 2), values)
    assert announced == {"name": "p", "datatype": "FP32", "shape": [rows, 2]}
    assert np.array(text.pop("data"), np.float32).tolist() == values.reshape(-1).tolist()
    assert text == announced
    assert np.frombuffer(data, "<f4").tolist() == values.reshape(-1).tolist()


def test_numbers_of_part_of_a_run_are_only_those() -> None:
    values = np.arange(10, dtype=np.float32)[3:5]
    text, announced, data = both(Numbers("p"), values)
    assert (announced["shape"], text["data"], data) == ([2], [3.0, 4.0], struct.pack("<2f", 3, 4))


@pytest.mark.parametrize(
    ("classes", "datatype", "shown", "data"),
    [
        ((False, True), "BOOL", [True, False, True], b"\x01\x00\x01"),
        ((-1, 7), "INT64", [7, -1, 7], struct.pack("<3q", 7, -1, 7)),
        ((0.5, 1.5), "FP64", [1.5, 0.5, 1.5], struct.pack("<3d", 1.5, 0.5, 1.5)),
        (("é", 'a"b'), "BYTES", ['a"b', "é", 'a"b'], b'\3\0\0\0a"b\2\0\0\0\xc3\xa9\3\0\0\0a"b'),
        ((1, "x"), "BYTES", ["x", "1", "x"], b"\1\0\0\0x\1\0\0\0001\1\0\0\0x"),
        ((2**63, 0), "BYTES", ["0", str(2**63), "0"], None),
        ((True, 2), "BYTES", ["2", "true", "2"], None),
    ],
)
def test_labels_are_in_the_datatype_that_holds_them_all(
    classes: tuple[Label, ...], datatype: str, shown: list[Any], data: bytes | None
) -> None:
    text, announced, packed = both(Labels("predict", classes), INDICES)
    assert announced == {"name": "predict", "datatype": datatype, "shape": [3]}
    assert label_datatype(classes) == datatype
    assert text == announced | {"data": shown}
    assert data in {packed, None}
