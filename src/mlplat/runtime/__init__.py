"""Turning a version into predictions."""

from mlplat.runtime.predictor import Predictor, Run, open_onnx, open_pickle

__all__ = ["Predictor", "Run", "open_onnx", "open_pickle"]
