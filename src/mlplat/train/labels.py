"""The label output of an exported classifier as indices of classes, whatever its own labels are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mlplat.bundle.manifest import Label

ML = "ai.onnx.ml"
GIVEN = "label_as_fitted"


def index_labels(model: bytes, classes: Sequence[Label]) -> bytes:
    """The model with its first output, labels as the estimator was fitted on, turned into int64 indices of `classes`."""
    loaded = onnx.load_from_string(model)
    graph, label = loaded.graph, loaded.graph.output[0]
    kind, name = label.type.tensor_type.elem_type, label.name
    if kind == TensorProto.INT64 and list(classes) == list(range(len(classes))):
        return model
    for node in graph.node:
        node.output[:] = [GIVEN if output == name else output for output in node.output]
        node.input[:] = [GIVEN if entry == name else entry for entry in node.input]
    if kind == TensorProto.STRING:
        graph.node.append(_of_strings(loaded, [str(each) for each in classes], name))
    else:
        _add_of_integers(graph, [int(each) for each in classes], name)
    label.type.tensor_type.elem_type = TensorProto.INT64
    return bytes(loaded.SerializeToString())


def _of_strings(model: Any, classes: list[str], name: str) -> Any:
    """The node that looks strings up; its attributes are others in version 1 of the operators, which skl2onnx may choose."""
    versions = {opset.domain: opset.version for opset in model.opset_import}
    if ML not in versions:
        model.opset_import.append(helper.make_opsetid(ML, 1))
    if versions.get(ML, 1) == 1:
        return helper.make_node("LabelEncoder", [GIVEN], [name], domain=ML, classes_strings=classes, default_int64=-1)
    indices = list(range(len(classes)))
    return helper.make_node(
        "LabelEncoder", [GIVEN], [name], domain=ML, keys_strings=classes, values_int64s=indices, default_int64=-1
    )


def _add_of_integers(graph: Any, classes: list[int], name: str) -> None:
    """Nodes that look integers and booleans up: the place where a label equals one of the classes."""
    constants = {"label_shape": np.array([-1, 1]), "label_classes": np.array([classes])}
    graph.initializer.extend(numpy_helper.from_array(values.astype(np.int64), key) for key, values in constants.items())
    graph.node.extend(
        [
            helper.make_node("Cast", [GIVEN], ["label_integer"], to=TensorProto.INT64),
            helper.make_node("Reshape", ["label_integer", "label_shape"], ["label_column"]),
            helper.make_node("Equal", ["label_column", "label_classes"], ["label_equal"]),
            helper.make_node("Cast", ["label_equal"], ["label_place"], to=TensorProto.FLOAT),
            helper.make_node("ArgMax", ["label_place"], [name], axis=1, keepdims=0),
        ]
    )
