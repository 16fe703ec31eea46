"""Export to ONNX, and parity: the export predicts what the estimator predicts."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from mlplat.bundle.features import TENSOR, Features, Inputs, StringColumn
from mlplat.bundle.golden import differences
from mlplat.bundle.manifest import Signature, Task, Tensor
from mlplat.bundle.prediction import Prediction
from mlplat.errors import ExportError
from mlplat.train.converters import repair_converters

OPSET = 18
PROBABILITY_TOLERANCE = 1e-5
REGRESSION_TOLERANCE = 1e-4
ADVICE = "Choose another estimator, or publish it as a pickle with --allow-pickle."


def tolerance_of(task: Task) -> float:
    """How far an export may be off: absolute on probabilities, relative on regression values."""
    return PROBABILITY_TOLERANCE if task == "classification" else REGRESSION_TOLERANCE


def estimator_input(features: Features, inputs: Inputs) -> Any:
    """What the scikit-learn estimator is fitted on: the tensor, or a DataFrame with the columns."""
    if features.layout == "tensor":
        return inputs[TENSOR]
    import pandas as pd

    return pd.DataFrame({name: values[:, 0] for name, values in inputs.items()})


def to_onnx(estimator: BaseEstimator, features: Features, task: Task, *, name: str) -> bytes:
    """Export a fitted estimator.

    The graph has the one input "input" or one per column, and the outputs label (int64[n]) and probabilities
    (float32[n, classes]) of a classification, or one output of values, float32[n, 1].

    Args:
        estimator: fitted on `estimator_input`, its classes 0 to k-1.
        features: how rows reach it.
        task: what it predicts.
        name: a name for the graph.

    Raises:
        ExportError: if a part of the estimator has no converter.
    """
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    repair_converters()
    if features.layout == "tensor":
        types = [(TENSOR, FloatTensorType([None, len(features.columns)]))]
    else:
        types = [
            (c.name, (StringTensorType if isinstance(c, StringColumn) else FloatTensorType)([None, 1]))
            for c in features.columns
        ]
    options = {id(estimator): {"zipmap": False}} if task == "classification" else None
    try:
        model = skl2onnx.convert_sklearn(
            estimator, name=name, initial_types=types, options=options, target_opset={"": OPSET, "ai.onnx.ml": 3}
        )
    except Exception as error:  # skl2onnx raises what its converters happen to raise
        raise ExportError(
            f"{type(estimator).__name__} cannot be exported to ONNX: {_first_line(error)}.", hint=ADVICE
        ) from error
    _rename_inputs(model.graph, [name for name, _ in types])
    return bytes(model.SerializeToString())


def _rename_inputs(graph: Any, names: list[str]) -> None:
    """Give the inputs the names of the columns: skl2onnx makes identifiers of them ("kind of/plan": kind_of_plan)."""
    new = dict(zip([entry.name for entry in graph.input], names, strict=True))
    for entry in graph.input:
        entry.name = new[entry.name]
    for node in graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]


def sklearn_prediction(estimator: Any, table: Any, task: Task) -> Prediction:
    """What the estimator itself answers.

    Raises:
        ExportError: if a classification has no probabilities to answer with.
    """
    if task == "classification":
        if not hasattr(estimator, "predict_proba"):
            raise ExportError(
                f"{type(estimator).__name__} has no predict_proba, which a classification needs.",
                hint="Wrap it in scikit-learn's CalibratedClassifierCV, or choose another estimator.",
            )
        return Prediction.of(estimator.predict(table), estimator.predict_proba(table))
    return Prediction.of(np.asarray(estimator.predict(table)).reshape(-1))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def check_parity(expected: Prediction, found: Prediction, task: Task) -> None:
    """Refuse an export that does not predict what the estimator predicts.

    Raises:
        ExportError: naming how far off it is, and what to do.
    """
    off = differences(expected, found, tolerance_of(task))
    if not off.any():
        return
    what = "probability" if task == "classification" else "value"
    distance = _distance(expected, found)
    raise ExportError(
        f"The ONNX export differs from the estimator in {int(off.sum())} of {len(off)} rows, by up to {distance:.3g} in a "
        f"{what} (allowed: {tolerance_of(task):g}{'' if task == 'classification' else ', relative'}).",
        hint=ADVICE,
    )


def _distance(expected: Prediction, found: Prediction) -> float:
    if expected.probabilities is not None and found.probabilities is not None:
        right, seen = expected.probabilities, found.probabilities
    else:
        right, seen = expected.values.astype(np.float64), found.values  # noqa: PD011  # not of pandas
    return float(np.nanmax(np.abs(seen - right))) if right.shape == seen.shape else float("inf")


def signature_of(features: Features, task: Task, classes: int) -> Signature:
    """Inputs as a client names them, one value a row each, and the outputs of the graph."""
    dtypes = {"numeric": "float32", "boolean": "bool", "date": "date", "category": "string", "string": "string"}
    inputs = tuple(
        Tensor.model_validate({"name": c.name, "dtype": dtypes[c.kind], "shape": (-1,)}) for c in features.columns
    )
    if task == "classification":
        label = Tensor(name="label", dtype="int64", shape=(-1,))
        return Signature(
            inputs=inputs, outputs=(label, Tensor(name="probabilities", dtype="float32", shape=(-1, classes)))
        )
    return Signature(inputs=inputs, outputs=(Tensor(name="value", dtype="float32", shape=(-1,)),))
