"""Every estimator that `tabular` offers is exported and predicts through ONNX what scikit-learn predicts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlplat.recipes import Dataset, read_table
from mlplat.recipes.estimators import CLASSIFIERS, REGRESSORS, make_estimator
from mlplat.recipes.inference import encode, infer_features
from mlplat.train import samples
from mlplat.train.export import estimator_input, tolerance_of
from mlplat.train.fit import export, fit
from mlplat.train.measure import importances_of

SMALL = {"n_estimators": 20, "max_iter": 60}
CASES = [
    *((name, "grade") for name in CLASSIFIERS),
    *((name, "good") for name in CLASSIFIERS),
    *((name, "spend") for name in REGRESSORS),
]


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory, mixed: Any) -> dict[str, Dataset]:
    folder = tmp_path_factory.mktemp("data")
    found = {}
    for target in ("grade", "good", "spend"):
        path = folder / f"{target}.csv"
        mixed.drop(columns=[t for t in ("grade", "good", "spend") if t != target]).to_csv(path, index=False)
        found[target] = Dataset.from_table(read_table(path), target=target)
    return found


@pytest.mark.parametrize(("name", "target"), CASES)
def test_an_estimator_survives_its_export(name: str, target: str, datasets: dict[str, Dataset], tmp_path: Path) -> None:
    data = datasets[target]
    training = np.arange(len(data)) % 5 != 0
    features = infer_features(data, training)
    assert [c.kind for c in features.columns] == ["numeric", "category", "boolean", "date"]
    choices = CLASSIFIERS if data.classes else REGRESSORS
    params = {n: v for n, v in SMALL.items() if n in choices[name].params.model_fields}
    estimator = make_estimator(name, params, features, data.task)
    inputs = encode(features, data, np.arange(len(data)))
    row = samples.raw_row(data, 0)
    probes = samples.without_value(features, row) + samples.with_unknown(features, row)
    assert len(probes) == 5
    extra, problems = features.encode(samples.by_column(features, probes))
    assert not problems
    fit(estimator, estimator_input(features, inputs)[training], data.y[training], seed=0, jobs=1)
    checked = {key: np.concatenate([values, extra[key]]) for key, values in inputs.items()}
    exported = export(
        estimator,
        features,
        data.task,
        checked=checked,
        folder=tmp_path,
        name="test",
        allow_pickle=False,
    )
    predicted = exported.run(checked)
    assert exported.runtime == "onnx"
    assert tolerance_of(data.task) <= 1e-4
    if data.classes:
        assert predicted.probabilities is not None
        assert predicted.values.dtype == np.int64
        assert predicted.probabilities.dtype == np.float32
        assert predicted.probabilities.shape == (len(checked["input"]), len(data.classes))
    importances = importances_of(estimator, features)
    assert set(importances) == (set() if name in {"mlp", "hist_gradient_boosting"} else set(features.names))
    assert not importances or abs(sum(importances.values()) - 1) < 1e-4
