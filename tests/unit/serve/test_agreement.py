"""How far two versions agree on golden samples, and how the server that serves one finds out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from mlplat.bundle.features import NumericColumn
from mlplat.bundle.golden import Golden
from mlplat.bundle.manifest import Manifest
from mlplat.bundle.prediction import Prediction
from mlplat.errors import NotFoundError
from mlplat.runtime import Predictor
from mlplat.serve import agreement as module
from mlplat.serve.agreement import agreement
from mlplat.store import Cache, ObjectStore, Store

from .conftest import Running, Start, poll


@pytest.fixture
def forest(models: Store, tmp_path: Path) -> Predictor:
    return load(models, tmp_path, "iris", "v1")


@pytest.fixture
def forecaster(models: Store, tmp_path: Path) -> Predictor:
    return load(models, tmp_path, "forecast", "v1")


def load(models: Store, folder: Path, model: str, version: str) -> Predictor:
    manifest = models.manifest(model, version)
    files = Cache(folder / "cache").fetch(models, manifest, [manifest.model_file])
    return Predictor.load(manifest, files[manifest.model_file])


def golden(manifest: Manifest, **changes: Any) -> Manifest:
    """A version with other golden samples."""
    return manifest.model_copy(update={"golden": manifest.golden.model_copy(update=changes)})


def test_a_version_agrees_with_itself(models: Store, tmp_path: Path) -> None:
    for model in ("iris", "forecast", "customers"):
        predictor = load(models, tmp_path, model, "v1")
        assert agreement(predictor, predictor.manifest) == (1.0, None)


def test_versions_that_learned_the_same_agree_mostly(models: Store, forest: Predictor) -> None:
    share, reason = agreement(forest, models.manifest("iris", "v2"))
    assert 0.8 < share <= 1
    assert reason is None


def test_permuted_classes_do_not_agree_though_each_is_answered_as_often(forest: Predictor) -> None:
    turned = {0: 1.0, 1: 2.0, 2: 0.0}
    values = tuple(turned[int(value)] for value in forest.manifest.golden.values)
    assert agreement(forest, golden(forest.manifest, values=values)) == (0.0, None)


def test_classes_in_another_order_are_the_same_classes(forest: Predictor) -> None:
    values = tuple(2 - value for value in forest.manifest.golden.values)
    reordered = golden(forest.manifest, values=values).model_copy(
        update={"classes": ("virginica", "versicolor", "setosa")}
    )
    assert agreement(forest, reordered) == (1.0, None)


def test_a_class_of_another_type_is_another_class(forest: Predictor) -> None:
    numbers = Predictor(forest.manifest.model_copy(update={"classes": (0, 1, 2)}), forest._run)
    assert agreement(numbers, forest.manifest.model_copy(update={"classes": ("0", "1", "2")})) == (0.0, None)


@pytest.mark.parametrize(("share_of_range", "alike"), [(0.09, 1.0), (-0.09, 1.0), (0.11, 0.0)])
def test_numbers_agree_within_a_tenth_of_the_interquartile_range(
    forecaster: Predictor, share_of_range: float, alike: float
) -> None:
    values = np.array(forecaster.manifest.golden.values)
    low, high = np.quantile(values, (0.25, 0.75))
    moved = tuple((values + share_of_range * (high - low)).tolist())
    assert agreement(forecaster, golden(forecaster.manifest, values=moved))[0] == alike


def test_equal_numbers_agree_where_all_answers_are_one(forecaster: Predictor) -> None:
    samples = forecaster.manifest.golden
    one = Golden(rows=samples.rows[:1] * 4, values=samples.values[:1] * 4, tolerance=samples.tolerance)
    assert agreement(forecaster, forecaster.manifest.model_copy(update={"golden": one})) == (1.0, None)


def test_a_row_without_a_number_does_not_agree_and_the_reason_is_said(forecaster: Predictor) -> None:
    def run(inputs: Any) -> Prediction:
        return Prediction.of(np.full(1, np.nan, dtype=np.float32))

    share, reason = agreement(Predictor(forecaster.manifest, run), forecaster.manifest)
    assert share == 0
    assert reason is not None
    assert "no number" in reason


def test_a_model_that_fails_for_some_rows_agrees_on_the_others(forest: Predictor) -> None:
    rows = forest.manifest.golden.rows

    def run(inputs: Any) -> Prediction:
        if np.allclose(inputs["input"], np.array(rows[0], dtype=np.float32)):
            raise RuntimeError("Gather: index out of bounds")
        return forest.predict(inputs)

    share, reason = agreement(Predictor(forest.manifest, run), forest.manifest)
    assert share == pytest.approx(1 - rows.count(rows[0]) / len(rows))
    assert reason == "the model failed: Gather: index out of bounds"


def test_other_columns_cannot_be_asked(models: Store, forest: Predictor) -> None:
    columns = forest.manifest.features.columns
    for changed in (columns[::-1], (*columns[:-1], NumericColumn(name="new")), columns[:-1]):
        features = forest.manifest.features.model_copy(update={"columns": changed})
        other = forest.manifest.model_copy(update={"features": type(features)(columns=changed)})
        share, reason = agreement(forest, other)
        assert share == 0
        assert reason is not None
        assert "columns" in reason
    share, reason = agreement(forest, models.manifest("forecast", "v1"))
    assert (share, reason) == (0.0, "v1 is for classification, v1 for forecast")


def test_a_column_of_another_kind_does_not_agree_where_its_values_are_none(models: Store, tmp_path: Path) -> None:
    customers = load(models, tmp_path, "customers", "v1")
    numeric = customers.manifest.features.model_copy(
        update={"columns": tuple(NumericColumn(name=name, fill=0.0) for name in customers.manifest.features.names)}
    )
    predictor = Predictor(customers.manifest.model_copy(update={"features": numeric}), customers._run)
    share, reason = agreement(predictor, customers.manifest)
    assert share < 0.2
    assert reason is not None
    assert "expected a number" in reason


def gauge(running: Running) -> dict[str, float]:
    lines = running.client.get("/metrics").text.splitlines()
    found = [line.rpartition(" ") for line in lines if line.startswith("mlplat_golden_agreement{")]
    return {labels.removeprefix("mlplat_golden_agreement"): float(value) for labels, _, value in found}


def test_the_server_compares_after_each_swap(models: ObjectStore, start: Start) -> None:
    running = start(models.url, model="iris", alias="champion", compare_with="v2", poll_seconds=0.01).ready()
    poll(lambda: gauge(running), "v1 was compared")
    [first] = gauge(running)
    assert first == '{against="v2",version="v1"}'
    models.move("iris", "champion", "v2", reason="test", by="test")
    poll(lambda: gauge(running) == {'{against="v2",version="v2"}': 1.0}, "v2 was compared")


def test_a_version_that_is_not_there_delays_nothing_and_is_compared_once_it_is(
    models: ObjectStore, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY_SECONDS", 0.01)
    manifest = Path(models.url.removeprefix("file://")) / "iris/versions/v2.json"
    manifest.rename(manifest.with_suffix(".later"))
    with capture_logs() as logs:
        running = start(models.url, model="iris", version="v1", compare_with="v2").ready()
        poll(lambda: [line for line in logs if line["event"] == "not_compared"], "the reason is said")
        assert gauge(running) == {}
        manifest.with_suffix(".later").rename(manifest)
        poll(lambda: gauge(running), "it was compared")
    [line] = [line for line in logs if line["event"] == "not_compared"]
    assert (line["version"], line["against"]) == ("v1", "v2")
    assert "v2" in line["reason"]


def test_tries_come_later_and_later(models: ObjectStore, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY_SECONDS", 0.001)
    monkeypatch.setattr(module, "LONGEST_RETRY_SECONDS", 0.02)
    tried: list[int] = []

    def fail(*_: Any) -> Manifest:
        tried.append(1)
        raise NotFoundError("there is no v9")

    monkeypatch.setattr(module.Comparison, "_read", fail)
    running = start(models.url, model="iris", version="v1", compare_with="v9").ready()
    poll(lambda: len(tried) > 10, "it was tried again and again")
    assert running.client.get("/ready").status_code == 200


def test_a_bug_in_the_comparison_does_not_end_serving(
    models: ObjectStore, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY_SECONDS", 0.01)
    right, tried = module.agreement, [1]

    def fail_once(*arguments: Any) -> Any:
        if tried.pop():
            tried.append(0)
            raise ZeroDivisionError("a bug")
        tried.append(0)
        return right(*arguments)

    monkeypatch.setattr(module, "agreement", fail_once)
    with capture_logs() as logs:
        running = start(models.url, model="iris", version="v1", compare_with="v2").ready()
        poll(lambda: gauge(running), "it was compared at last")
    assert "comparison_failed" in [line["event"] for line in logs]
