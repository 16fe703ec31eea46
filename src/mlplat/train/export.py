"""Export to ONNX, and parity: the export predicts what the estimator predicts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from mlplat.bundle.features import TENSOR, CategoryColumn, Features, Inputs, StringColumn
from mlplat.bundle.golden import differences
from mlplat.bundle.manifest import Signature, Task, Tensor
from mlplat.bundle.prediction import Prediction
from mlplat.errors import ExportError
from mlplat.train.converters import repair_converters

OPSET = 18
PROBABILITY_TOLERANCE = 1e-5
REGRESSION_TOLERANCE = 1e-4
_ADVICE = "Choose another estimator, or publish it as a pickle with --allow-pickle."
UNKNOWN_STRING = "\u2047 unknown"
"""A string that no training data holds."""


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
    if task == "classification" and not hasattr(estimator, "predict_proba"):
        raise ExportError(f"{type(estimator).__name__} has no predict_proba, which a classification needs.")
    options = {id(estimator): {"zipmap": False}} if task == "classification" else None
    try:
        model = skl2onnx.convert_sklearn(
            estimator, name=name, initial_types=types, options=options, target_opset={"": OPSET, "ai.onnx.ml": 3}
        )
    except Exception as error:  # skl2onnx raises what its converters happen to raise
        raise ExportError(
            f"{type(estimator).__name__} cannot be exported to ONNX: {type(error).__name__}: {error}.", hint=_ADVICE
        ) from error
    return bytes(model.SerializeToString())


def sklearn_prediction(estimator: Any, table: Any, task: Task) -> Prediction:
    """What the estimator itself answers."""
    if task == "classification":
        return Prediction(estimator.predict(table), estimator.predict_proba(table))
    return Prediction(np.asarray(estimator.predict(table)).reshape(-1))


def check_parity(expected: Prediction, found: Prediction, task: Task) -> None:
    """Refuse an export that does not predict what the estimator predicts.

    Raises:
        ExportError: naming how far off it is, and what to do.
    """
    off = differences(expected, found, tolerance_of(task))
    if not off.any():
        return
    what = "probability" if task == "classification" else "value"
    right, seen = (
        (expected.values, found.values)
        if expected.probabilities is None or found.probabilities is None
        else (expected.probabilities, found.probabilities)
    )
    distance = float(np.nanmax(np.abs(np.asarray(seen, dtype=np.float64) - right))) if right.shape == seen.shape else 1.0
    raise ExportError(
        f"The ONNX export differs from the estimator in {int(off.sum())} of {len(off)} rows, by up to {distance:.3g} in a "
        f"{what} (allowed: {tolerance_of(task):g}{'' if task == 'classification' else ', relative'}).",
        hint=_ADVICE,
    )


def probe_rows(features: Features, row: Mapping[str, Any]) -> dict[str, list[Any]]:
    """For each column that allows it a copy of a raw row with a missing value there, and one with an unknown value.

    Args:
        features: of the model.
        row: a raw value for each column.

    Returns:
        Raw columns, of no rows if no column allows either.
    """
    rows: list[dict[str, Any]] = []
    for column in features.columns:
        table = isinstance(column, CategoryColumn | StringColumn)
        if column.missing if isinstance(column, CategoryColumn | StringColumn) else column.fill is not None:
            rows.append({**row, column.name: None})
        if table:
            rows.append({**row, column.name: UNKNOWN_STRING})
    return {name: [probe[name] for probe in rows] for name in features.names}


def signature_of(features: Features, task: Task, classes: int) -> Signature:
    """Inputs as a client names them, one value a row each, and the outputs of the graph."""
    dtypes = {"numeric": "float32", "boolean": "bool", "date": "date", "category": "string", "string": "string"}
    inputs = tuple(Tensor.model_validate({"name": c.name, "dtype": dtypes[c.kind], "shape": (-1,)}) for c in features.columns)
    if task == "classification":
        label = Tensor(name="label", dtype="int64", shape=(-1,))
        return Signature(inputs=inputs, outputs=(label, Tensor(name="probabilities", dtype="float32", shape=(-1, classes))))
    return Signature(inputs=inputs, outputs=(Tensor(name="value", dtype="float32", shape=(-1,)),))


def join(first: Inputs, second: Inputs) -> Inputs:
    """The rows of two inputs, one after the other."""
    return {name: np.concatenate([values, second[name]]) for name, values in first.items()}


def take(inputs: Inputs, rows: NDArray[Any] | slice) -> Inputs:
    """Some rows of inputs."""
    return {name: values[rows] for name, values in inputs.items()}


def write(path: Path, data: bytes) -> Path:
    """Write a file of the version to be."""
    path.write_bytes(data)
    return path
