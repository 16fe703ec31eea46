"""Fitting an estimator, seeded and on some cores, and exporting it in the way that is allowed."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from pickle import PicklingError
from typing import Any

import joblib
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from mlplat import logs
from mlplat.bundle.features import Features, Inputs
from mlplat.bundle.manifest import MODEL_FILE, PICKLE_FILE, Runtime, Task
from mlplat.errors import DataError, ExportError, MlplatError
from mlplat.runtime import Run, open_onnx, open_pickle
from mlplat.train.export import check_parity, estimator_input, sklearn_prediction, to_onnx


def fit(estimator: BaseEstimator, table: Any, y: NDArray[Any], *, seed: int, jobs: int) -> list[str]:
    """Fit in place; every `random_state` that is None is set to `seed` first.

    Args:
        estimator: unfitted.
        table: float32[rows, columns], or a DataFrame.
        y: the target.
        seed: of everything random.
        jobs: how many cores, -1 for all.

    Returns:
        What scikit-learn warned of, each once.

    Raises:
        DataError: if the estimator refuses the data.
    """
    parameters = estimator.get_params(deep=True)
    unseeded = [n for n, v in parameters.items() if n.split("__")[-1] == "random_state" and v is None]
    estimator.set_params(**dict.fromkeys(unseeded, seed))
    with warnings.catch_warnings(record=True) as caught, joblib.parallel_config(n_jobs=jobs):
        warnings.simplefilter("always")
        try:
            estimator.fit(table, y)
        except ValueError as error:
            raise DataError(
                f"{type(estimator).__name__} cannot be fitted to this data: {error}.",
                hint="Choose other parameters or another estimator.",
            ) from error
    return list(dict.fromkeys(str(warning.message).strip().split("\n")[0] for warning in caught))


@dataclass(frozen=True, slots=True)
class Exported:
    """A model file that predicts what its estimator predicts, and what runs it."""

    runtime: Runtime
    path: Path
    run: Run


def export(
    estimator: BaseEstimator,
    features: Features,
    task: Task,
    *,
    checked: Inputs,
    folder: Path,
    name: str,
    allow_pickle: bool,
) -> Exported:
    """Write model.joblib and model.onnx, and compare the export with the estimator.

    Args:
        estimator: fitted.
        features: how rows reach it.
        task: what it predicts.
        checked: the rows to compare on.
        folder: where the files go.
        name: of the model.
        allow_pickle: fall back to the pickle where ONNX cannot express the estimator.

    Raises:
        DataError: if the estimator itself has no number for some row.
        ExportError: if it cannot, and `allow_pickle` is not given; says how far off it is and what to do.
    """
    pickle = folder / PICKLE_FILE
    try:
        joblib.dump(estimator, pickle, compress=3)
    except (PicklingError, AttributeError, TypeError) as error:
        raise ExportError(
            f"{type(estimator).__name__} cannot be pickled: {error}.",
            hint="Define its classes and functions at the top of a module.",
        ) from error
    expected = sklearn_prediction(estimator, estimator_input(features, checked), task)
    if expected.undefined is not None:
        raise DataError(
            f"{type(estimator).__name__} has no number for {int(expected.undefined.sum())} of {len(expected)} held-out "
            "rows, whose values are too large for its 32-bit arithmetic.",
            hint="Leave such rows out, or choose another estimator.",
        )
    path = folder / MODEL_FILE
    try:
        path.write_bytes(to_onnx(estimator, features, task, name=name))
        run = open_onnx(path)
        try:
            found = run(checked)
        except Exception as error:  # onnxruntime has no public base class for its errors
            raise ExportError(f"ONNX Runtime cannot run the export: {error}") from error
        check_parity(expected, found, task)
    except MlplatError as error:
        path.unlink(missing_ok=True)
        if not allow_pickle:
            raise
        logs.get().warning("exported_as_pickle", reason=str(error))
        return Exported("sklearn", pickle, open_pickle(pickle, by_name=features.layout == "columns"))
    return Exported("onnx", path, run)
