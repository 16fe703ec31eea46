"""One loaded version: encoded inputs in, predictions out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from mlplat.bundle.features import TENSOR, Inputs
from mlplat.bundle.manifest import Manifest
from mlplat.bundle.prediction import Prediction
from mlplat.errors import CorruptError, DataError, UsageError

Run = Callable[[Inputs], Prediction]

IMPOSSIBLE, CERTAIN = np.float32(0), np.float32(1)

ort.set_default_logger_severity(3)  # errors only: its warnings on graph optimisation are no one's business


class Predictor:
    """Predicts with one version. Safe to call from several threads."""

    def __init__(self, manifest: Manifest, run: Run) -> None:
        self.manifest = manifest
        self._run = run

    @classmethod
    def load(cls, manifest: Manifest, model_file: Path, *, threads: int = 1, allow_pickle: bool = False) -> Self:
        """Load the verified local copy of the version's model file.

        Args:
            manifest: the version.
            model_file: `manifest.model_file`, after its hash was checked.
            threads: how many threads one run may use.
            allow_pickle: unpickle a model of the runtime "sklearn", which runs whatever code its publisher put there.

        Raises:
            UsageError: if the version needs `allow_pickle` and it is not given.
            CorruptError: if the file is no model.
        """
        if manifest.runtime == "sklearn":
            if not allow_pickle:
                raise UsageError(
                    f"{manifest.model} {manifest.version} is a pickle, which runs code when it is loaded.",
                    hint="If you trust who can write the store, allow it with --allow-pickle.",
                )
            return cls(manifest, open_pickle(model_file, by_name=manifest.features.layout == "columns"))
        return cls(manifest, open_onnx(model_file, threads))

    def predict(self, inputs: Inputs) -> Prediction:
        """Predict encoded rows, from `Features.encode`.

        Args:
            inputs: {"input": float32[n, columns]}, or one [n, 1] array per column; n may be 0.

        Returns:
            n answers.
        """
        if len(next(iter(inputs.values()))) == 0:
            return self._empty()
        return self._run(inputs)

    def replay(self) -> None:
        """Predict the golden samples anew, through the features.

        Raises:
            GoldenError: if an answer is not the one that training saw.
            CorruptError: if a sample cannot be encoded.
        """
        golden = self.manifest.golden
        inputs, problems = self.manifest.features.encode(golden.columns(self.manifest.features))
        if problems:
            raise CorruptError(f"The golden samples do not fit the features: {problems[0]}.")
        golden.check(self.predict(inputs))

    def forecast(self, values: NDArray[np.float64], horizon: int) -> list[float]:
        """The next `horizon` values of a series, each predicted from the ones before it.

        Args:
            values: float64[at least window], oldest first; the last `window` count.
            horizon: how many values to predict.

        Raises:
            DataError: if there are fewer values than the window.
        """
        window = len(self.manifest.features.columns)
        if len(values) < window:
            raise DataError(f"found {len(values)} values, expected at least {window}")
        row = np.asarray(values[-window:], dtype=np.float32)
        out = []
        for _ in range(horizon):
            value = float(self._run({TENSOR: row.reshape(1, -1)}).values[0])
            out.append(value)
            row = np.append(row[1:], np.float32(value))
        return out

    def _empty(self) -> Prediction:
        if self.manifest.classes is None:
            return Prediction(np.empty(0, dtype=np.float32))
        return Prediction(np.empty(0, dtype=np.int64), np.empty((0, len(self.manifest.classes)), dtype=np.float32))


def open_onnx(model_file: Path, threads: int = 1) -> Run:
    """What runs an ONNX model on `threads` cores; the inputs are not empty.

    Raises:
        CorruptError: if the file is no model.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    try:
        session = ort.InferenceSession(str(model_file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no public base class for its errors
        raise CorruptError(f"{model_file.name} is not a model that ONNX Runtime can load: {error}") from error
    outputs = [output.name for output in session.get_outputs()]

    def run(inputs: Inputs) -> Prediction:
        return _prediction(session.run(outputs, inputs))

    return run


def open_pickle(model_file: Path, *, by_name: bool) -> Run:
    """What runs a pickled estimator, on a DataFrame if `by_name`, else on the tensor. Runs any code in the file."""
    import joblib

    estimator = joblib.load(model_file)

    def run(inputs: Inputs) -> Prediction:
        table: Any = _frame(inputs) if by_name else inputs[TENSOR]
        if hasattr(estimator, "predict_proba"):
            return _prediction([estimator.predict(table), estimator.predict_proba(table)])
        return _prediction([estimator.predict(table)])

    return run


def _frame(inputs: Inputs) -> Any:
    import pandas as pd

    return pd.DataFrame({name: values[:, 0] for name, values in inputs.items()})


def _prediction(outputs: list[NDArray[Any]]) -> Prediction:
    """From [labels, probabilities] of a classifier, or [values] of a regressor, which may be [n, 1].

    ONNX Runtime adds votes up in float32, so a probability may be a rounding error below 0 or above 1.
    """
    if len(outputs) == 2:
        given = outputs[1].astype(np.float32, copy=False)
        probabilities = np.minimum(np.maximum(given, IMPOSSIBLE), CERTAIN)  # takes half of what np.clip does for few
        return Prediction.of(outputs[0].astype(np.int64, copy=False), probabilities)
    return Prediction.of(outputs[0].reshape(-1).astype(np.float32, copy=False))
