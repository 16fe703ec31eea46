"""Turning a version into predictions."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime reports its use unless it is told not to, at import

from mlplat.runtime.predictor import Predictor, Run, open_onnx, open_pickle

__all__ = ["Predictor", "Run", "open_onnx", "open_pickle"]
