"""Predictions into the body of an answer: plain functions over values."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlplat.bundle.answers import label_text
from mlplat.bundle.manifest import Manifest, utc
from mlplat.bundle.prediction import Prediction
from mlplat.serve.decode import Question


def plain(values: NDArray[np.float32]) -> list[Any]:
    """float32 values of any shape as Python floats that print with the fewest digits which give the float32 back."""
    out: list[Any] = values.astype(np.str_).astype(np.float64).tolist()
    return out


def encode(question: Question, prediction: Prediction, manifest: Manifest) -> bytes:
    """The JSON answer to a question: one prediction for a single row, lists for rows."""
    answer: dict[str, Any] = {}
    if prediction.probabilities is None:
        numbers = plain(prediction.values)
        answer = {"prediction": numbers[0]} if question.single else {"predictions": numbers}
    else:
        answer = _classes(question, prediction, manifest)
    return _seal(answer, manifest)


def encode_forecast(values: list[float], manifest: Manifest) -> bytes:
    """The JSON answer to a forecast under a horizon: the first value, and all of them."""
    numbers = plain(np.asarray(values, dtype=np.float32))
    return _seal({"prediction": numbers[0], "predictions": numbers}, manifest)


def _classes(question: Question, prediction: Prediction, manifest: Manifest) -> dict[str, Any]:
    labels = manifest.classes or ()
    if prediction.probabilities is None:  # pragma: no cover - encode() has asked
        raise TypeError("a classification has probabilities")
    indices: list[int] = prediction.values.tolist()
    confidences = plain(prediction.probabilities[np.arange(len(indices)), prediction.values])
    texts = [label_text(label) for label in labels]
    shown = [dict(zip(texts, row, strict=True)) for row in plain(prediction.probabilities)]
    if question.single:
        one = {
            "prediction": labels[indices[0]],
            "prediction_index": indices[0],
            "confidence": confidences[0],
        }
        return one | {"probabilities": shown[0]} if question.probabilities else one
    many: dict[str, Any] = {
        "predictions": [labels[index] for index in indices],
        "prediction_indices": indices,
        "confidences": confidences,
    }
    return many | {"probabilities": shown} if question.probabilities else many


def _seal(answer: dict[str, Any], manifest: Manifest) -> bytes:
    answer["model_name"] = manifest.model
    answer["model_version"] = manifest.version
    answer["timestamp"] = utc(datetime.now(UTC))
    return msgspec.json.encode(answer)
