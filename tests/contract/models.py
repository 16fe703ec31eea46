"""The models that clients ask, what they are asked, and what scikit-learn predicts."""

import io
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from mlplat.bundle.manifest import Manifest
from mlplat.store import open_store

LABELS = ["setosa", "versicolor", "virginica"]
FLOWERS = np.random.default_rng(0).uniform([4, 2, 1, 0], [8, 4.5, 7, 2.5], (100, 4)).astype(np.float32)
CUSTOMERS: dict[str, list[Any]] = {
    "age": [25.0, None, 61.0, 33.0] * 20,
    "plan": ["basic", "pro", "gold", "pro"] * 20,
    "member": [True, False, False, True] * 20,
    "since": ["2024-01-05", "2023-05-11T08:30:00Z", "2020-02-29", "2022-12-31"] * 20,
}


def trained_one(trained: Path, model: str, version: str) -> tuple[Manifest, Any]:
    """The manifest and scikit-learn's estimator."""
    store = open_store(str(trained))
    manifest = store.manifest(model, version)
    return manifest, joblib.load(io.BytesIO(store.read_file(manifest, "model.joblib")))
