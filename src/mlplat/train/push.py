"""`mlplat models push estimator.joblib`: from a user's own fitted estimator to a version, exported and compared."""

import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeGuard

import numpy as np
from numpy.typing import NDArray

from mlplat.bundle import names
from mlplat.bundle.features import Features, Inputs
from mlplat.bundle.manifest import MODEL_FILE, Charts, Manifest, RecipeInfo, Task, fingerprint
from mlplat.bundle.prediction import Prediction
from mlplat.errors import ConflictError, DataError, ExportError
from mlplat.recipes import Dataset, read_table
from mlplat.recipes.metrics import task_metrics
from mlplat.runtime import Predictor, Run, open_onnx
from mlplat.store import Store
from mlplat.train import samples
from mlplat.train.card import estimator_name
from mlplat.train.description import BASELINE_ROWS, Built, Made, describe, entry_of
from mlplat.train.estimatorfile import Fitted, read_estimator
from mlplat.train.export import ADVICE as WITH_PICKLE
from mlplat.train.export import check_parity, sklearn_prediction, to_onnx
from mlplat.train.fit import Exported
from mlplat.train.labels import index_labels
from mlplat.train.measure import charts_of, importances_of
from mlplat.train.progress import Reporter, reporter
from mlplat.train.samplerows import SampleRows, sample_rows

RECIPE = "pushed"
"""What stands for the recipe of a version whose estimator was fitted elsewhere."""

ADVICE = "Choose an estimator that skl2onnx can express; trees predict the same in 32 bits only without a scaler before them."


@dataclass(frozen=True, slots=True)
class PushResult:
    """What came of a push: the version in the store, and whether this call published it."""

    manifest: Manifest
    published: bool


@dataclass(frozen=True, slots=True)
class Push:
    """What is to be made, and from what."""

    path: Path
    fitted: Fitted
    rows: SampleRows
    model: str
    version: str
    info: RecipeInfo
    command: str

    @property
    def fingerprint(self) -> str:
        """What the version is made from, as one hash: the bytes of the estimator and of the sample."""
        return fingerprint(self.info, self.rows.table.sha256)


@dataclass(frozen=True, slots=True)
class Export:
    """A graph that predicts what the estimator predicts, and what runs it."""

    features: Features
    path: Path
    run: Run
    inputs: Inputs


def push_estimator(
    *,
    store: Store,
    path: Path,
    sample: str,
    model: str,
    version: str,
    target: str | None = None,
    task: Task | None = None,
    report: Reporter | None = None,
) -> PushResult:
    """Export a fitted estimator, compare the export with it on a sample, and publish it as a version.

    Loading the estimator runs whatever code its file holds, here and nowhere else: what is published is the export; the
    file itself lies beside it, for people.

    Args:
        store: where the version goes.
        path: the estimator, as joblib or pickle wrote it.
        sample: a path or URL of a CSV or Parquet file with the columns of the estimator.
        model: the name of the model.
        version: the name of the version.
        target: the column of the sample with the truth; without it there are no metrics.
        task: what the estimator predicts, where it does not tell itself.
        report: hears of each step; by default the terminal or the log.

    Raises:
        UsageError: if the file holds no fitted estimator.
        NotFoundError: if a file does not exist.
        DataError: if the sample has not the columns, or values that the estimator refuses.
        ExportError: if the estimator cannot be exported, or its export predicts something else.
        ConflictError: if the version exists and was made from something else, or was deleted.
        ForbiddenError: if the key of the store does not allow to publish; nothing was loaded.
        StoreError: if the store cannot be read or written.
    """
    names.check(model, "model")
    names.check(version, "version")
    report = report if report is not None else reporter()
    there = store.present(model, version)
    with report.step("load") as facts:
        fitted = read_estimator(path, task)
        rows = sample_rows(read_table(sample), fitted, target)
        facts.update(estimator=estimator_name(fitted.estimator), task=fitted.task, rows=len(rows))
        if len(rows) < len(rows.table):
            facts.update(left_out=f"{len(rows.table) - len(rows)} rows with a missing value")
    push = Push(
        path, fitted, rows, model, version, _info(path, fitted, target), _command(path, sample, model, version, target)
    )
    if _is_same(there, push):
        return PushResult(there, published=False)
    with tempfile.TemporaryDirectory(prefix="mlplat-push-") as folder:
        built = build(push, Path(folder), report)
        with report.step("publish") as facts:
            facts.update(store=store.url)
            try:
                store.publish(built.manifest, built.files)
            except ConflictError:
                there = store.present(model, version)
                if not _is_same(there, push):
                    raise
                return PushResult(there, published=False)
    return PushResult(built.manifest, published=True)


def build(push: Push, folder: Path, report: Reporter) -> Built:
    """Export, compare and describe. Raises DataError and ExportError."""
    with report.step("export") as facts:
        expected = _expected(push.fitted, push.rows.frame())
        exported = _export(push, expected, folder)
        facts.update(layout=exported.features.layout, bytes=exported.path.stat().st_size)
    with report.step("check") as facts:
        data = push.rows.dataset(push.fitted, expected.values)
        samples.refuse_answers(data)
        built = _describe(push, data, exported, folder)
        Predictor.load(built.manifest, exported.path).replay()
        facts.update(built.manifest.metrics)
    return built


def _export(push: Push, expected: Prediction, folder: Path) -> Export:
    fitted, path = push.fitted, folder / MODEL_FILE
    features, graph = _graph(push)
    path.write_bytes(graph if fitted.classes is None else index_labels(graph, fitted.classes))
    run, inputs = open_onnx(path), push.rows.encode(features)
    try:
        check_parity(expected, _run(run, inputs), fitted.task)
        _check_unknown(push, features, run)
    except ExportError as error:
        raise _advised(error) from error
    return Export(features, path, run, inputs)


def _graph(push: Push) -> tuple[Features, bytes]:
    """The export as one tensor, which is faster, or where that does not do, with an input for each column."""
    layouts: list[Literal["tensor", "columns"]] = [] if push.rows.has_strings else ["tensor"]
    layouts += ["columns"] if push.rows.by_name else []
    while True:
        features = push.rows.features(layouts.pop(0))
        try:
            return features, to_onnx(push.fitted.estimator, features, push.fitted.task, name=push.model)
        except ExportError as error:
            if not layouts:
                raise _advised(error) from error


def _advised(error: ExportError) -> ExportError:
    """The error with what to do about it here, where no pickle is published."""
    return ExportError(error.message, hint=ADVICE if error.hint == WITH_PICKLE else error.hint)


def _check_unknown(push: Push, features: Features, run: Run) -> None:
    """Compare on strings that the sample does not hold, one column at a time: files and requests will bring some."""
    row = {name: samples.json_value(column.cells[0]) for name, column in push.rows.columns.items()}
    for probe in samples.with_unknown(features, row):
        cells: dict[str, Any] = samples.by_column(features, [probe])
        column = next(name for name in features.names if probe[name] != row[name])
        try:
            expected = _expected(push.fitted, push.rows.as_table(cells))
        except DataError as error:
            raise ExportError(
                f"{estimator_name(push.fitted.estimator)} refuses a string in {column!r} that it does not know, which "
                "files and requests may hold.",
                hint="Fit its encoder with handle_unknown='ignore'.",
            ) from error
        check_parity(expected, _run(run, features.encode(cells)[0]), push.fitted.task)


def _run(run: Run, inputs: Inputs) -> Prediction:
    try:
        return run(inputs)
    except Exception as error:  # onnxruntime has no public base class for its errors
        raise ExportError(f"ONNX Runtime cannot run the export: {error}") from error


def _expected(fitted: Fitted, table: Any) -> Prediction:
    """What the estimator answers, its classes as indices.

    Raises:
        DataError: if it refuses the rows.
        ExportError: if it answers more than one thing a row, or without probabilities.
    """
    name = estimator_name(fitted.estimator)
    try:
        found = sklearn_prediction(fitted.estimator, table, fitted.task)
    except (ValueError, TypeError, KeyError) as error:
        text = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise DataError(f"{name} refuses the sample: {text}.", hint="Give rows as it was fitted on.") from error
    if len(found) != len(table):
        raise ExportError(f"{name} predicts more than one thing a row.", hint="Push an estimator for each of them.")
    if fitted.classes is None:
        return found
    code = {label: index for index, label in enumerate(fitted.classes)}
    values = np.array([code[label] for label in found.values.tolist()], dtype=np.int64)  # not of pandas
    return Prediction(values, found.probabilities, found.undefined)


def _describe(push: Push, data: Dataset, exported: Export, folder: Path) -> Built:
    fitted, features, inputs = push.fitted, exported.features, exported.inputs
    predicted, known = exported.run(inputs), push.rows.truth is not None
    return describe(
        Made(push.info, push.fingerprint, fitted.estimator, Exported("onnx", exported.path, exported.run), push.path),
        model=push.model,
        version=push.version,
        data=data,
        held_out=np.arange(len(data)),
        features=features,
        baseline={name: values[:BASELINE_ROWS] for name, values in inputs.items()},
        metrics=_metrics(data, predicted) if known else {},
        charts=charts_of(data.y, predicted) if known else Charts(),
        importances=importances_of(fitted.estimator, features) if _is_tree(fitted.estimator) else {},
        folder=folder,
        command=push.command,
        made_here=False,
    )


def _metrics(data: Dataset, predicted: Prediction) -> dict[str, float]:
    """The metrics of the task; of a sample that lacks a class only the accuracy, as the others need each of them."""
    if data.classes is not None and len(np.unique(data.y)) < len(data.classes):
        right: NDArray[np.bool_] = predicted.values == data.y
        return {"accuracy": float(right.mean())}
    return task_metrics(data.task, data.y, predicted)


def _is_tree(estimator: Any) -> bool:
    """Whether its importances compare; coefficients do only if the inputs were scaled."""
    return hasattr(estimator[-1] if hasattr(estimator, "steps") else estimator, "feature_importances_")


def _info(path: Path, fitted: Fitted, target: str | None) -> RecipeInfo:
    params = {"estimator": estimator_name(fitted.estimator), "sha256": entry_of(path).sha256}
    return RecipeInfo(name=RECIPE, params=params | ({} if target is None else {"target": target}))


def _command(path: Path, sample: str, model: str, version: str, target: str | None) -> str:
    words = ["mlplat", "models", "push", path.name, "--sample", sample, "--model", model, "--version", version]
    return shlex.join(words + ([] if target is None else ["--target", target]))


def _is_same(there: Manifest | None, push: Push) -> TypeGuard[Manifest]:
    """Whether a version is there, made from the same. Raises ConflictError if it was made from something else."""
    if there is None or there.fingerprint == push.fingerprint:
        return there is not None
    raise ConflictError(
        f"{push.model} {push.version} exists and was made from something else; nothing was overwritten.",
        hint="Choose a new version.",
    )
