"""Labels of an exported classifier become indices of its classes."""

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from mlplat.train.labels import index_labels


def labelling(kind: int, **versions: int) -> bytes:
    """A graph whose labels are what goes in."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["given"], ["label"])],
        "labels",
        [helper.make_tensor_value_info("given", kind, [None])],
        [helper.make_tensor_value_info("label", kind, [None])],
    )
    opsets = [helper.make_opsetid("", 18), *(helper.make_opsetid("ai.onnx.ml", each) for each in versions.values())]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


@pytest.mark.parametrize(
    ("kind", "versions", "classes", "given"),
    [
        (TensorProto.STRING, {}, ("a", "b", "c"), np.array(["c", "a"], dtype=object)),
        (TensorProto.STRING, {"ml": 1}, ("a", "b", "c"), np.array(["c", "a"], dtype=object)),
        (TensorProto.STRING, {"ml": 3}, ("a", "b", "c"), np.array(["c", "a"], dtype=object)),
        (TensorProto.INT64, {}, (-5, 10, 20), np.array([20, -5])),
        (TensorProto.INT64, {"ml": 3}, (0, 1, 2), np.array([2, 0])),
        (TensorProto.FLOAT, {}, (1.0, 2.0, 3.0), np.array([3, 1], dtype=np.float32)),
    ],
)
def test_a_label_is_the_place_of_its_class(kind: int, versions: dict[str, int], classes: Any, given: Any) -> None:
    model = index_labels(labelling(kind, **versions), classes)
    onnx.checker.check_model(onnx.load_from_string(model))
    (found,) = ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"given": given})
    assert (found.dtype, found.tolist()) == (np.dtype(np.int64), [2, 0])


def test_labels_that_are_indices_already_are_left_alone() -> None:
    model = labelling(TensorProto.INT64)
    assert index_labels(model, (0, 1, 2)) is model
