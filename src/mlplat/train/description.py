"""A version in words and numbers: its card, its manifest, and the files that go with it."""

import hashlib
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any
from uuid import uuid4

from numpy.typing import NDArray

from mlplat import logs
from mlplat.bundle.features import Features, Inputs
from mlplat.bundle.manifest import (
    CARD_FILE,
    HELD_OUT_FILE,
    PICKLE_FILE,
    Charts,
    DataInfo,
    FileEntry,
    Manifest,
    RecipeInfo,
)
from mlplat.recipes import Dataset
from mlplat.train import samples
from mlplat.train.card import card
from mlplat.train.export import signature_of, tolerance_of
from mlplat.train.fit import Exported
from mlplat.train.measure import baseline_of

BASELINE_ROWS = 100_000
_PACKAGES = ("mlplat", "scikit-learn", "numpy", "skl2onnx", "onnx", "onnxruntime")


@dataclass(frozen=True, slots=True)
class Made:
    """What a version is made of.

    Attributes:
        info: the recipe, as it is recorded.
        fingerprint: of recipe and data.
        estimator: fitted.
        exported: what predicts as the estimator does.
        pickle: where the estimator itself is, for people.
    """

    info: RecipeInfo
    fingerprint: str
    estimator: Any
    exported: Exported
    pickle: Path


@dataclass(frozen=True, slots=True)
class Built:
    """A version that can be published."""

    manifest: Manifest
    files: dict[str, Path]


def describe(
    made: Made,
    *,
    model: str,
    version: str,
    data: Dataset,
    held_out: NDArray[Any],
    features: Features,
    baseline: Inputs,
    metrics: Mapping[str, float],
    charts: Charts,
    importances: Mapping[str, float],
    folder: Path,
    command: str,
    made_here: bool = True,
) -> Built:
    """Write card and held-out rows, and put all that is known into the manifest.

    Args:
        made: what the version is made of.
        model: the name of the model.
        version: the name of the version.
        data: all rows.
        held_out: the indices of those that it was measured on.
        features: how rows reach the model.
        baseline: the inputs to which later ones are compared, at most `BASELINE_ROWS` of them.
        metrics: on the held-out rows; those that are no numbers are left out.
        charts: of the same.
        importances: of the columns.
        folder: where the files go.
        command: that makes the version again.
        made_here: False for an estimator that was fitted elsewhere.
    """
    exported, numbers, packages = made.exported, finite(metrics), installed_packages()
    data_info = DataInfo(uri=data.table.uri, rows=len(data), held_out=len(held_out), sha256=data.table.sha256)
    samples.write_held_out(folder / HELD_OUT_FILE, data, held_out)
    text = card(
        model=model,
        version=version,
        task=data.task,
        target=data.target,
        classes=data.classes,
        recipe=made.info,
        estimator=made.estimator,
        data=data_info,
        left_out=data.left_out,
        features=features,
        metrics=numbers,
        importances=importances,
        packages=packages,
        command=command,
        made_here=made_here,
    )
    (folder / CARD_FILE).write_text(text, encoding="utf-8")
    files = {path.name: path for path in (exported.path, folder / CARD_FILE, folder / HELD_OUT_FILE)}
    files[PICKLE_FILE] = made.pickle
    manifest = Manifest(
        model=model,
        version=version,
        created_at=datetime.now(UTC),
        writer=uuid4().hex,
        recipe=made.info,
        data=data_info,
        fingerprint=made.fingerprint,
        task=data.task,
        features=features,
        signature=signature_of(features, data.task, len(data.classes or ())),
        classes=data.classes,
        metrics=numbers,
        importances=dict(importances),
        charts=charts,
        files={name: entry_of(path) for name, path in files.items()},
        runtime=exported.runtime,
        packages=packages,
        golden=samples.golden_of(exported.run, features, data, held_out, tolerance_of(data.task)),
        baseline=baseline_of(features, baseline, exported.run(baseline)),
    )
    return Built(manifest, files)


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics without those that are no numbers, which are logged."""
    for name, value in metrics.items():
        if not math.isfinite(value):
            logs.get().warning("metric_left_out", metric=name, value=str(value))
    return {name: float(value) for name, value in metrics.items() if math.isfinite(value)}


def installed_packages() -> dict[str, str]:
    """The versions of what a model depends on."""
    return {"python": platform.python_version()} | {name: installed(name) for name in _PACKAGES}


def entry_of(path: Path) -> FileEntry:
    """What the manifest says about a file."""
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return FileEntry(sha256=sha256, bytes=path.stat().st_size)
