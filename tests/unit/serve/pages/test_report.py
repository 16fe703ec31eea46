"""The drift report: figures for programs."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from mlplat.bundle.features import TENSOR, Features, StringColumn
from mlplat.bundle.manifest import Manifest
from mlplat.bundle.prediction import Prediction
from mlplat.serve.drift import LEAST_ROWS, WINDOW_ROWS, DriftWindow
from mlplat.serve.pages.report import report
from mlplat.store import open_store


@pytest.fixture(scope="module")
def customers(trained: Path) -> Manifest:
    return open_store(str(trained)).manifest("customers", "v1")


def answered(manifest: Manifest, rows: int) -> Any:
    """What is answered after the first golden sample was asked so often, as a client reads it."""
    window = DriftWindow(manifest)
    if rows:
        golden = manifest.golden
        columns = {name: [values[0]] * rows for name, values in golden.columns(manifest.features).items()}
        inputs, _ = manifest.features.encode(columns)
        window.add(inputs, Prediction(np.zeros(rows, dtype=np.int64)))
    return msgspec.json.decode(msgspec.json.encode(report(window.measure())))


def test_every_feature_is_there_with_its_bins(customers: Manifest) -> None:
    answer = answered(customers, LEAST_ROWS)
    assert (answer["model_name"], answer["model_version"]) == ("customers", "v1")
    assert (answer["rows"], answer["window"], answer["least_rows"]) == (LEAST_ROWS, WINDOW_ROWS, LEAST_ROWS)
    assert answer["note"] == f"4 of 4 features drifted in the latest {LEAST_ROWS} rows."
    features = {feature["name"]: feature for feature in answer["features"]}
    assert {name: feature["kind"] for name, feature in features.items()} == {
        "age": "numeric",
        "plan": "category",
        "member": "boolean",
        "since": "date",
    }
    for feature in features.values():
        assert feature["status"] == "drifted"
        assert feature["psi"] > 0.25
        assert sum(feature["histogram"]["live"]) == LEAST_ROWS
        assert len(feature["histogram"]["live"]) == len(feature["histogram"]["baseline"])
    assert features["plan"]["histogram"]["categories"] == ["basic", "pro"]
    assert len(features["plan"]["histogram"]["live"]) == 4  # unknown, two categories, missing
    assert features["member"]["histogram"]["edges"] == [0.5]
    assert all(edge.startswith("202") for edge in features["since"]["histogram"]["edges"])
    assert answer["predictions"]["histogram"]["categories"] == ["no", "yes"]
    assert answer["predictions"]["histogram"]["live"] == [LEAST_ROWS, 0]


def test_too_few_rows_are_a_sentence_and_no_figure(customers: Manifest) -> None:
    answer = answered(customers, 3)
    assert answer["note"].startswith(f"3 of {LEAST_ROWS} rows so far")
    assert {feature["psi"] for feature in answer["features"]} == {None}
    assert {feature["status"] for feature in answer["features"]} == {None}
    assert answer["features"][0]["histogram"]["live"] is None
    assert sum(answer["features"][0]["histogram"]["baseline"]) == customers.baseline.rows
    assert answer["predictions"]["psi"] is None


def test_numbers_that_are_predicted_have_edges(trained: Path) -> None:
    manifest = open_store(str(trained)).manifest("forecast", "v1")
    window = DriftWindow(manifest)
    rows = np.zeros((LEAST_ROWS, len(manifest.features.columns)), dtype=np.float32)
    window.add({TENSOR: rows}, Prediction(np.zeros(LEAST_ROWS, dtype=np.float32)))
    predictions = report(window.measure()).predictions
    assert predictions.histogram.edges == manifest.baseline.predictions.edges
    assert predictions.status == "drifted"


def test_strings_are_listed_without_a_histogram(customers: Manifest) -> None:
    features = Features(columns=(StringColumn(name="s"),), layout="columns")
    window = DriftWindow(customers.model_copy(update={"features": features}))
    [feature] = report(window.measure()).features
    assert (feature.name, feature.kind, feature.psi, feature.histogram) == ("s", "string", None, None)
