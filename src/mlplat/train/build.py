"""From a recipe and its data to a version: the files and the manifest, checked, not yet published."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlplat import logs
from mlplat.bundle.features import Features, Inputs
from mlplat.bundle.manifest import PICKLE_FILE, RecipeInfo, fingerprint
from mlplat.errors import DataError
from mlplat.recipes import Dataset, Recipe
from mlplat.recipes.inference import encode
from mlplat.runtime import Predictor
from mlplat.train import samples
from mlplat.train.card import command_of, estimator_name
from mlplat.train.description import BASELINE_ROWS, Built, Made, describe
from mlplat.train.export import estimator_input
from mlplat.train.fit import Exported, export, fit
from mlplat.train.measure import charts_of, importances_of
from mlplat.train.progress import Reporter


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
    held_out = np.flatnonzero(plan.held_out)
    predicted, truth = exported.run(kept), plan.data.y[held_out]
    return describe(
        Made(plan.info, plan.fingerprint, estimator, exported, folder / PICKLE_FILE),
        model=plan.model,
        version=plan.version,
        data=plan.data,
        held_out=held_out,
        features=features,
        baseline=_take(seen, slice(BASELINE_ROWS)),
        metrics=plan.recipe.metrics(plan.data.task, truth, predicted, kept),
        charts=charts_of(truth, predicted),
        importances=importances_of(estimator, features),
        folder=folder,
        command=command_of(plan.info, model=plan.model, version=plan.version, data=plan.source),
    )


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
