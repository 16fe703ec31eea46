"""The examples train, publish and predict as their first lines say."""

import io
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import structlog

from mlplat.bundle.manifest import CARD_FILE, PICKLE_FILE, Manifest
from mlplat.recipes import find_recipe
from mlplat.runtime import Predictor
from mlplat.store import Store, open_store
from mlplat.train import Promotion, train

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(autouse=True)
def in_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the commands of the examples are run."""
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    structlog.reset_defaults()  # another test may have sent the log to a stream that is closed by now


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store in a folder."""
    return open_store(str(tmp_path / "store"))


def load(store: Store, manifest: Manifest, folder: Path) -> Predictor:
    path = folder / manifest.model_file
    path.write_bytes(store.read_file(manifest, manifest.model_file))
    return Predictor.load(manifest, path)


def predict(predictor: Predictor, raw: dict[str, list[Any]]) -> list[Any]:
    inputs, problems = predictor.manifest.features.encode(raw)
    assert not problems
    return [(predictor.manifest.classes or ())[code] for code in predictor.predict(inputs).values]  # noqa: PD011  # not of pandas


def test_a_recipe_of_ones_own_trains_with_its_parameters_and_metric(store: Store, tmp_path: Path) -> None:
    result = train(
        store=store,
        recipe="wine:Wine",
        version="v1",
        params={"trees": "30"},
        promotion=Promotion("champion", if_better="balanced_accuracy", floor=0.9),
    )
    manifest = result.manifest
    assert (manifest.model, manifest.recipe.name, manifest.recipe.params) == ("wine", "wine:Wine", {"trees": 30})
    assert manifest.metrics["balanced_accuracy"] > 0.9
    assert result.decision is not None
    assert result.decision.promote
    assert "mlplat train --recipe wine:Wine" in store.read_file(manifest, CARD_FILE).decode()
    load(store, manifest, tmp_path).replay()


def test_a_recipe_of_ones_own_reads_a_file_as_well(store: Store, tmp_path: Path) -> None:
    from sklearn.datasets import load_wine

    frame = load_wine(as_frame=True).frame.rename(columns={"target": "cultivar"})
    frame["cultivar"] = frame["cultivar"].map({0: "Barolo", 1: "Grignolino", 2: "Barbera"})
    frame.to_csv(tmp_path / "wines.csv", index=False)
    manifest = train(
        store=store,
        recipe="wine:Wine",
        version="v1",
        params={"trees": "10"},
        data=str(tmp_path / "wines.csv"),
    ).manifest
    assert manifest.classes == ("Barbera", "Barolo", "Grignolino")


def test_a_pipeline_over_strings_predicts_through_onnx_with_one_input_per_column(store: Store, tmp_path: Path) -> None:
    manifest = train(store=store, recipe="strings_pipeline:Tickets", model="tickets", version="v1").manifest
    assert (manifest.runtime, manifest.features.layout) == ("onnx", "columns")
    assert {c.name: c.kind for c in manifest.features.columns} == {
        "channel": "string",
        "topic": "string",
        "words": "numeric",
    }
    assert manifest.classes == (False, True)
    assert manifest.metrics["roc_auc"] > 0.7
    assert next(iter(manifest.importances)) == "topic"
    assert np.isclose(sum(manifest.importances.values()), 1, atol=1e-4)
    predictor = load(store, manifest, tmp_path)
    predictor.replay()
    channels, topics = ["phone", "mail", None], ["outage", "größe", "never seen"]
    raw: dict[str, list[Any]] = {"channel": channels, "topic": topics, "words": [20.0, 390.0, 200.0]}
    estimator = joblib.load(io.BytesIO(store.read_file(manifest, PICKLE_FILE)))
    expected = estimator.predict(pd.DataFrame(raw).fillna({"channel": ""}))
    assert predict(predictor, raw) == [bool(code) for code in expected]
    assert predict(predictor, raw)[:2] == [True, False]


@pytest.mark.parametrize("name", ["wine:Wine", "strings_pipeline:Tickets"])
def test_the_first_lines_of_an_example_show_the_command(name: str) -> None:
    import sys

    recipe = find_recipe(name)
    assert f"mlplat train --recipe {name}" in (sys.modules[recipe.__module__].__doc__ or "")
