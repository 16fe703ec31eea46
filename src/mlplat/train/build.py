"""From a recipe and its data to a version: the files and the manifest, checked, not yet published."""

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

import numpy as np
from numpy.typing import NDArray

from mlplat import logs
from mlplat.bundle.features import Features, Inputs
from mlplat.bundle.manifest import (
    CARD_FILE,
    HELD_OUT_FILE,
    PICKLE_FILE,
    DataInfo,
    FileEntry,
    Manifest,
    RecipeInfo,
    fingerprint,
)
from mlplat.errors import DataError
from mlplat.recipes import Dataset, Recipe
from mlplat.recipes.inference import encode
from mlplat.runtime import Predictor
from mlplat.train import samples
from mlplat.train.card import card, command_of, estimator_name
from mlplat.train.export import estimator_input, signature_of, tolerance_of
from mlplat.train.fit import Exported, export, fit
from mlplat.train.measure import baseline_of, charts_of, importances_of
from mlplat.train.progress import Reporter

BASELINE_ROWS = 100_000
_PACKAGES = ("mlplat", "scikit-learn", "numpy", "skl2onnx", "onnx", "onnxruntime")


@dataclass(frozen=True)
class Plan:
    """What is to be made, and from what.

    Attributes:
        recipe: with its parameters.
        info: as it is recorded.
        data: all rows.
        held_out: bool[rows].
        model: the name of the model.
        version: the name of the version.
        source: what `--data` gave.
    """

    recipe: Recipe
    info: RecipeInfo
    data: Dataset
    held_out: NDArray[np.bool_]
    model: str
    version: str
    source: str | None

    @property
    def fingerprint(self) -> str:
        """What the version is made from, as one hash."""
        return fingerprint(self.info, self.data.table.sha256)


@dataclass(frozen=True, slots=True)
class Built:
    """A version that can be published."""

    manifest: Manifest
    files: dict[str, Path]


def build(plan: Plan, folder: Path, *, seed: int, jobs: int, allow_pickle: bool, report: Reporter) -> Built:
    """Fit, export, compare and measure.

    Args:
        plan: what to make.
        folder: where the files go.
        seed: of everything random.
        jobs: how many cores to fit with, -1 for all.
        allow_pickle: publish a pickle where ONNX cannot express the estimator.
        report: hears of each step.

    Raises:
        DataError: if a value cannot be used; names it.
        ExportError: if the export does not predict what the estimator predicts.
    """
    data, held_out = plan.data, np.flatnonzero(plan.held_out)
    training = np.flatnonzero(~plan.held_out)
    features = plan.recipe.features(data, ~plan.held_out)
    encoded = encode(features, data, np.arange(len(data)))
    seen, kept = _take(encoded, training), _take(encoded, held_out)
    estimator = plan.recipe.estimator(features, data.task)
    with report.step("fit") as facts:
        warned = fit(estimator, estimator_input(features, seen), data.y[training], seed=seed, jobs=jobs)
        for words in warned:
            logs.get().warning("fit_warning", message=words)
        facts.update(estimator=estimator_name(estimator), rows=len(training), features=len(features.columns))
    with report.step("export") as facts:
        checked = _with_probes(features, data, kept, int(held_out[0]))
        exported = export(
            estimator,
            features,
            data.task,
            checked=checked,
            folder=folder,
            name=plan.model,
            allow_pickle=allow_pickle,
        )
        facts.update(runtime=exported.runtime, bytes=exported.path.stat().st_size)
    with report.step("check") as facts:
        built = _describe(plan, features, estimator, exported, seen=seen, kept=kept, folder=folder)
        Predictor.load(built.manifest, exported.path, allow_pickle=True).replay()
        facts.update(built.manifest.metrics)
    return built


def _describe(
    plan: Plan, features: Features, estimator: Any, exported: Exported, *, seen: Inputs, kept: Inputs, folder: Path
) -> Built:
    data, held_out = plan.data, np.flatnonzero(plan.held_out)
    predicted = exported.run(kept)
    truth = data.y[held_out]
    some = _take(seen, slice(BASELINE_ROWS))
    data_info = DataInfo(uri=data.table.uri, rows=len(data), held_out=len(held_out), sha256=data.table.sha256)
    metrics = finite(plan.recipe.metrics(data.task, truth, predicted, kept))
    importances = importances_of(estimator, features)
    packages = installed_packages()
    samples.write_held_out(folder / HELD_OUT_FILE, data, held_out)
    text = card(
        model=plan.model,
        version=plan.version,
        task=data.task,
        target=data.target,
        classes=data.classes,
        recipe=plan.info,
        estimator=estimator,
        data=data_info,
        left_out=data.left_out,
        features=features,
        metrics=metrics,
        importances=importances,
        packages=packages,
        command=command_of(plan.info, model=plan.model, version=plan.version, data=plan.source),
    )
    (folder / CARD_FILE).write_text(text, encoding="utf-8")
    files = {
        path.name: path for path in (exported.path, folder / PICKLE_FILE, folder / CARD_FILE, folder / HELD_OUT_FILE)
    }
    manifest = Manifest(
        model=plan.model,
        version=plan.version,
        created_at=datetime.now(UTC),
        writer=uuid4().hex,
        recipe=plan.info,
        data=data_info,
        fingerprint=plan.fingerprint,
        task=data.task,
        features=features,
        signature=signature_of(features, data.task, len(data.classes or ())),
        classes=data.classes,
        metrics=metrics,
        importances=importances,
        charts=charts_of(truth, predicted),
        files={name: entry_of(path) for name, path in files.items()},
        runtime=exported.runtime,
        packages=packages,
        golden=samples.golden_of(exported.run, features, data, held_out, tolerance_of(data.task)),
        baseline=baseline_of(features, some, exported.run(some)),
    )
    return Built(manifest, files)


def _with_probes(features: Features, data: Dataset, kept: Inputs, row: int) -> Inputs:
    """The held-out rows, and for each column a row with a missing and with an unknown value where it allows them."""
    one = samples.raw_row(data, row)
    probes = samples.without_value(features, one) + samples.with_unknown(features, one)
    if not probes:
        return kept
    extra, problems = features.encode(samples.by_column(features, probes))
    if problems:
        raise DataError(f"The features refuse what they allow: {problems[0]}.")
    return {name: np.concatenate([values, extra[name]]) for name, values in kept.items()}


def _take(inputs: Inputs, rows: NDArray[Any] | slice) -> Inputs:
    return {name: values[rows] for name, values in inputs.items()}


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
