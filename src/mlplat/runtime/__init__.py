"""Turning a version into predictions."""

from mlplat.runtime.predictor import Predictor

__all__ = ["Predictor"]
