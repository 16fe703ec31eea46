"""Training publishes once, repeats itself exactly, refuses what would overwrite, and finishes the promotion."""

import io
import multiprocessing
import re
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import structlog
from sklearn.base import BaseEstimator
from structlog.testing import capture_logs

from mlplat.batch import score
from mlplat.bundle.features import CategoryColumn
from mlplat.bundle.manifest import CARD_FILE, HELD_OUT_FILE, MODEL_FILE, PICKLE_FILE, Manifest
from mlplat.errors import ConflictError, DataError, DeletedError, ExportError, NotFoundError, UsageError
from mlplat.recipes import Features, Task
from mlplat.recipes.churn import generate_churn
from mlplat.recipes.forecast import Forecast
from mlplat.runtime import Predictor
from mlplat.store import Cache, Store, open_store
from mlplat.train import Promotion, TrainResult, reporter, train
from mlplat.train.run import auto_version

FAST = {"n_estimators": "5"}


def iris(store: Store, version: str = "v1", **options: Any) -> TrainResult:
    return train(store=store, recipe="iris", version=version, **{"params": FAST, **options})


def replay(store: Store, manifest: Manifest, folder: Path) -> Predictor:
    path = folder / manifest.model_file
    path.write_bytes(store.read_file(manifest, manifest.model_file))
    predictor = Predictor.load(manifest, path)
    predictor.replay()
    return predictor


def test_a_version_is_published_whole(store: Store, tmp_path: Path) -> None:
    result = iris(store)
    manifest = store.verify("iris", "v1")
    assert result == TrainResult(manifest, published=True)
    assert set(manifest.files) == {MODEL_FILE, PICKLE_FILE, CARD_FILE, HELD_OUT_FILE}
    assert manifest.recipe.model_dump() == {"name": "iris", "params": {"n_estimators": 5}, "revision": 1}
    assert manifest.classes == ("setosa", "versicolor", "virginica")
    assert set(manifest.metrics) == {"accuracy", "f1", "roc_auc", "log_loss"}
    assert manifest.metrics["accuracy"] > 0.85
    assert set(manifest.importances) == set(manifest.features.names)
    assert np.sum(manifest.charts.confusion or 0) == manifest.data.held_out
    assert sum(row[2] for row in manifest.charts.calibration or ()) == manifest.data.held_out
    assert (manifest.data.rows, manifest.baseline.rows) == (150, 150 - manifest.data.held_out)
    assert {"python", "scikit-learn", "onnx", "onnxruntime", "skl2onnx", "numpy", "mlplat"} == set(manifest.packages)
    assert len(manifest.golden.rows) == 14
    replay(store, manifest, tmp_path)


def test_held_out_rows_are_in_the_version_with_their_labels(store: Store) -> None:
    manifest = iris(store).manifest
    table = pq.read_table(io.BytesIO(store.read_file(manifest, HELD_OUT_FILE)))
    assert table.column_names == [*manifest.features.names, "species"]
    assert table.num_rows == manifest.data.held_out
    assert set(table.column("species").to_pylist()) == set(manifest.classes or ())


@pytest.mark.parametrize("name", ["prediction", "model_version", "probability_yes"])
def test_a_feature_with_the_name_of_a_column_of_batch_is_refused(store: Store, tmp_path: Path, name: str) -> None:
    path = tmp_path / "in.csv"
    path.write_text(f"x,{name},left\n" + "".join(f"{i % 7},{i % 5},{('no', 'yes')[i % 2]}\n" for i in range(100)))
    options: dict[str, Any] = {"store": store, "recipe": "tabular", "model": "a", "version": "v1", "data": str(path)}
    with pytest.raises(DataError, match=rf"in\.csv: a feature cannot be called '{name}', .*Rename it, or leave it out"):
        train(**options, params={"target": "left"})
    assert store.versions("a") == []
    assert train(**options, params={"target": "left", "drop": name}).published


@pytest.mark.parametrize("name", ["prediction", "model_version"])
def test_the_sample_of_a_version_can_be_scored_whatever_its_target_is_called(
    store: Store, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "in.csv"
    path.write_text(f"x,probability_of_rain,{name}\n" + "".join(f"{i % 7},{i % 5},{i % 9}.5\n" for i in range(100)))
    train(store=store, recipe="tabular", model="a", version="v1", data=str(path), params={"target": name})
    result = score(
        store=store,
        cache=Cache(tmp_path / "cache"),
        model="a",
        version="v1",
        inputs=["sample"],
        output=str(tmp_path / "out.parquet"),
    )
    assert result.counts.scored == store.manifest("a", "v1").data.held_out
    names = pq.read_schema(tmp_path / "out.parquet").names
    assert names == ["x", "probability_of_rain", "prediction", "model_version"]


def test_the_card_tells_people_data_metrics_features_parameters_and_the_command(store: Store) -> None:
    manifest = iris(store).manifest
    card = store.read_file(manifest, CARD_FILE).decode()
    assert card.startswith("# iris v1\n")
    assert f"`sklearn:iris`: 150 rows, of which {manifest.data.held_out} were held out" in card
    assert f"| accuracy | {manifest.metrics['accuracy']:.4f} |" in card
    names = re.findall(r"^\| (\w+) \| numeric", card, re.MULTILINE)
    assert names == list(manifest.importances)
    assert "mlplat train --recipe iris --model iris --version v1 --param n_estimators=5" in card
    assert "RandomForestClassifier(n_estimators=5, random_state=0)" in card


def test_the_same_command_and_seed_give_the_same_predictions_and_another_seed_others(
    store: Store, tmp_path: Path
) -> None:
    first = iris(store).manifest
    again = iris(open_store(str(tmp_path / "other"))).manifest
    other = iris(store, "v2", seed=1).manifest
    assert first.files[MODEL_FILE] == again.files[MODEL_FILE]
    assert first.golden == again.golden
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert first.files[MODEL_FILE] != other.files[MODEL_FILE]


def test_several_jobs_give_the_same_model(store: Store) -> None:
    one, two = iris(store, "v1", jobs=1).manifest, iris(store, "v2", jobs=2).manifest
    assert one.golden == two.golden


def test_a_second_run_of_the_same_changes_nothing_and_does_not_fit(store: Store) -> None:
    first = iris(store)
    with capture_logs() as lines:
        second = iris(store)
    assert second == TrainResult(first.manifest, published=False)
    assert [line["step"] for line in lines] == ["load", "split"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"params": {"n_estimators": "6"}}, r"other parameters \(n_estimators=5\)"),
        ({"seed": 1}, "other parameters"),
    ],
)
def test_another_fingerprint_is_a_conflict_that_overwrites_nothing(
    store: Store, options: dict[str, Any], words: str
) -> None:
    first = iris(store).manifest
    with pytest.raises(ConflictError, match=f"iris v1 exists and was made from {words}.*Choose a new version"):
        iris(store, **options)
    assert store.verify("iris", "v1") == first


def test_other_data_or_another_recipe_is_a_conflict(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "churn.csv"
    generate_churn(100, 1).to_csv(path, index=False)
    options: dict[str, Any] = {"store": store, "version": "v1", "model": "m", "data": str(path)}
    train(recipe="churn", params={"estimator": "decision_tree"}, **options)
    generate_churn(120, 1).to_csv(path, index=False)
    with pytest.raises(ConflictError, match=r"other data \(.*churn.csv, 100 rows\)"):
        train(recipe="churn", params={"estimator": "decision_tree"}, **options)
    with pytest.raises(ConflictError, match=r"another recipe \(churn\)"):
        train(recipe="tabular", params={"target": "churn"}, **options)


def test_a_deleted_version_is_refused_before_anything_is_read(store: Store) -> None:
    iris(store)
    store.delete("iris", "v1", by="ann", reason="old")
    with pytest.raises(DeletedError, match=r"by ann \(old\)\. Its name is not used again"):
        train(store=store, recipe="tabular", model="iris", version="v1", data="none.csv", params={"target": "y"})


def test_auto_names_the_version_after_the_run_or_the_time(store: Store) -> None:
    assert iris(store, "auto", run="retrain-29123").manifest.version == "retrain-29123"
    assert re.fullmatch(r"\d{8}-\d{6}", iris(store, "auto").manifest.version)
    assert auto_version("job-1") == "job-1"


def test_a_retried_run_finds_its_own_version_though_the_data_has_grown(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "churn.csv"
    generate_churn(100, 1).to_csv(path, index=False)
    options: dict[str, Any] = {"store": store, "recipe": "churn", "data": str(path), "run": "retrain-1"}
    options["params"] = {"estimator": "decision_tree"}
    first = train(**options)
    generate_churn(150, 1).to_csv(path, index=False)
    second = train(**options, promotion=Promotion("champion", if_better="accuracy"))
    assert (second.manifest, second.published) == (first.manifest, False)
    assert (first.outdated, second.outdated) == (False, True)
    assert store.alias("churn", "champion").version == "retrain-1"


def test_promote_alone_moves_the_alias_and_a_second_run_finishes_what_the_first_did_not(store: Store) -> None:
    iris(store)
    assert not store.aliases("iris")
    again = iris(store, promotion=Promotion("champion"))
    assert not again.published
    assert again.decision is not None
    assert again.decision.promote
    assert iris(store, promotion=Promotion("champion")).decision is not None
    assert len(store.history("iris", "champion")) == 1


def test_if_absent_moves_only_what_does_not_exist(store: Store) -> None:
    iris(store, "v1", promotion=Promotion("champion", if_absent=True))
    second = iris(store, "v2", seed=1, promotion=Promotion("champion", if_absent=True))
    assert second.decision is not None
    assert second.decision.reason == "champion exists and names v1"
    assert store.alias("iris", "champion").version == "v1"


def churn(store: Store, version: str, promotion: Promotion | None = None, **params: str) -> TrainResult:
    given = {"estimator": "decision_tree", "rows": "600", **params}
    return train(store=store, recipe="churn", version=version, params=given, promotion=promotion)


def test_auto_with_if_absent_trains_a_first_version_only(store: Store) -> None:
    first = iris(store, "auto", run="train-1", promotion=Promotion("champion", if_absent=True))
    assert first.published
    assert store.alias("iris", "champion").version == "train-1"
    second = iris(store, "auto", run="train-2", params={}, promotion=Promotion("champion", if_absent=True))
    assert not second.published
    assert second.manifest.version == "train-1"
    assert second.decision is not None
    assert not second.decision.promote
    assert list(store.versions("iris")) == ["train-1"]


def test_a_first_run_that_published_and_ended_is_finished_by_the_next_try(store: Store) -> None:
    iris(store, "auto", run="train-1")
    again = iris(store, "auto", run="train-1", promotion=Promotion("champion", if_absent=True))
    assert not again.published
    assert store.alias("iris", "champion").version == "train-1"


def test_the_gate_scores_both_on_the_same_rows_and_logs_scores_and_decision(store: Store) -> None:
    gate = Promotion("champion", if_better="log_loss", margin=0.01)
    first = churn(store, "v1", gate)
    assert first.decision is not None
    assert "no champion" in first.decision.reason
    better = churn(store, "v2", gate, max_depth="2")
    worse = churn(store, "v3", gate, min_samples_leaf="2")
    assert better.decision is not None
    assert worse.decision is not None
    assert (better.decision.promote, worse.decision.promote) == (True, False)
    assert better.decision.challenger == pytest.approx(better.manifest.metrics["log_loss"])
    assert better.decision.champion == pytest.approx(first.manifest.metrics["log_loss"])
    assert worse.decision.champion == pytest.approx(better.manifest.metrics["log_loss"])
    moves = store.history("churn", "champion")
    assert [(move.version, move.previous) for move in moves] == [("v1", None), ("v2", "v1"), ("v2", "v2")]
    assert moves[2].reason == f"v3 refused: {worse.decision.reason}"
    assert moves[1].reason == better.decision.reason
    assert f"{better.decision.challenger:.6g} against the champion's {better.decision.champion:.6g}" in moves[1].reason


def test_a_floor_keeps_a_first_version_out(store: Store) -> None:
    result = churn(store, "v1", Promotion("champion", if_better="accuracy", floor=0.99))
    assert result.published
    assert result.decision is not None
    assert "below the floor 0.99" in result.decision.reason
    assert not store.aliases("churn")


def test_an_unknown_metric_is_refused_before_anything_is_published(store: Store) -> None:
    with pytest.raises(UsageError, match=r"iris has no metric 'gini'. Use one of: accuracy, f1, roc_auc, log_loss"):
        iris(store, promotion=Promotion("champion", if_better="gini"))
    assert store.versions("iris") == []


class Median(BaseEstimator):  # type: ignore[misc]
    """Answers with the median; ONNX has no word for it."""

    def fit(self, table: Any, y: Any) -> "Median":
        del table
        self.median_ = float(np.median(y))
        return self

    def predict(self, table: Any) -> Any:
        return np.full(len(table), self.median_)


class MedianRecipe(Forecast):
    """`forecast` with an estimator that has no converter."""

    name = "median"

    def estimator(self, features: Features, task: Task) -> BaseEstimator:
        del features, task
        return Median()


def test_what_onnx_cannot_express_is_refused_or_a_pickle_by_choice(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlplat.train.run.find_recipe", lambda _: MedianRecipe)
    options: dict[str, Any] = {"store": store, "recipe": "median", "params": {"points": "200"}}
    with pytest.raises(ExportError, match=r"Median cannot be exported .* --allow-pickle"):
        train(version="v1", **options)
    assert store.versions("median") == []
    gate = Promotion("champion", if_better="mae")
    first = train(version="v1", allow_pickle=True, promotion=gate, **options)
    assert (first.manifest.runtime, first.manifest.importances) == ("sklearn", {})
    assert set(store.verify("median", "v1").files) == {PICKLE_FILE, CARD_FILE, HELD_OUT_FILE}
    assert first.decision is not None
    assert first.decision.promote
    monkeypatch.setattr(MedianRecipe, "estimator", Forecast.estimator)
    second = train(version="v2", promotion=gate, **options)
    assert second.decision is not None
    assert "the champion v1 cannot be compared: median v1 is a pickle" in second.decision.reason


def test_an_alias_that_moves_meanwhile_is_decided_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Promotion("champion", if_better="log_loss")
    churn(store, "v1", gate)
    churn(store, "v2", max_depth="3")
    move, others = store.move, ["v2"]

    def overtaken(model: str, alias: str, version: str, **options: Any) -> Any:
        if others:
            move(model, alias, others.pop(), reason="another", by="another")
        return move(model, alias, version, **options)

    monkeypatch.setattr(store, "move", overtaken)
    decision = churn(store, "v3", gate, max_depth="2").decision
    assert decision is not None
    v2 = store.manifest("churn", "v2").metrics["log_loss"]
    assert decision.champion == pytest.approx(v2)
    assert [m.version for m in store.history("churn", "champion")][:2] == ["v1", "v2"]


def test_a_champion_with_other_columns_is_scored_through_its_own_features(store: Store, tmp_path: Path) -> None:
    path, gate = tmp_path / "churn.csv", Promotion("champion", if_better="accuracy")
    frame = generate_churn(300, 1)
    frame.drop(columns="age").to_csv(path, index=False)
    options: dict[str, Any] = {"store": store, "recipe": "tabular", "model": "m", "data": str(path), "promotion": gate}
    options["params"] = {"target": "churn", "estimator": "decision_tree"}
    train(version="v1", **options)
    frame.to_csv(path, index=False)
    decision = train(version="v2", **options).decision
    assert decision is not None
    assert decision.champion is not None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.drop(columns="age"), "the data lacks its columns 'age'"),
        (lambda frame: frame.replace({"churn": {"yes": "gone"}}), "its classes are 'no', 'yes', those of the data"),
        (
            lambda frame: frame.assign(churn=frame["churn"] == "yes"),
            "its classes are 'no', 'yes', those of the data False",
        ),
        (lambda frame: frame.assign(age=frame["age"].where(frame.index % 2 == 0)), "cannot take the held-out row"),
        (lambda frame: frame.assign(churn=frame["age"] + 0.5), "it is a classification, not a regression"),
    ],
)
def test_a_champion_that_cannot_be_compared_stays_and_the_reason_says_why(
    store: Store, tmp_path: Path, change: Any, words: str
) -> None:
    path = tmp_path / "churn.csv"
    frame = generate_churn(200, 1)
    frame.to_csv(path, index=False)
    options: dict[str, Any] = {"store": store, "recipe": "tabular", "model": "m", "data": str(path)}
    options["params"] = {"target": "churn", "estimator": "decision_tree"}
    train(version="v1", promotion=Promotion("champion"), **options)
    change(frame).to_csv(path, index=False)
    metric = "mae" if "regression" in words else "accuracy"
    result = train(version="v2", promotion=Promotion("champion", if_better=metric), **options)
    assert result.published
    assert result.decision is not None
    assert not result.decision.promote
    assert f"the champion v1 cannot be compared: {words}" in result.decision.reason or words in result.decision.reason
    assert store.alias("m", "champion").version == "v1"


def test_keep_prunes_nothing_young(store: Store) -> None:
    iris(store, "v1")
    assert iris(store, "v2", keep=1).pruned == ()


def _train_at_once(url: str) -> bool:
    return train(store=open_store(url), recipe="iris", version="v1", params=FAST).published


def test_two_trainers_of_the_same_version_at_once_both_end_well(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        published = list(pool.map(_train_at_once, [store.url] * 2))
    assert sum(published) == 1
    assert store.verify("iris", "v1").fingerprint


def test_a_publisher_who_was_faster_with_the_same_is_as_good(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    publish = store.publish

    def overtaken(manifest: Manifest, files: Any) -> None:
        publish(manifest.model_copy(update={"writer": "another"}), files)
        publish(manifest, files)

    monkeypatch.setattr(store, "publish", overtaken)
    result = iris(store)
    assert not result.published
    assert result.manifest.writer == "another"


def test_names_recipes_and_data_are_checked_before_anything_is_done(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot name a version"):
        iris(store, "../v1")
    with pytest.raises(UsageError, match="cannot name a model"):
        iris(store, model="a/b")
    with pytest.raises(UsageError, match="no recipe 'xgboost'"):
        train(store=store, recipe="xgboost")
    with pytest.raises(NotFoundError, match="There is no file"):
        train(store=store, recipe="tabular", params={"target": "y"}, data=str(tmp_path / "nothing.csv"))
    with pytest.raises(DataError, match="is a directory"):
        train(store=store, recipe="tabular", params={"target": "y"}, data=str(tmp_path))


def test_forecast_versions_hold_their_window_and_naive_metrics(store: Store, tmp_path: Path) -> None:
    params = {"window": "24", "n_estimators": "20", "points": "600"}
    manifest = train(store=store, recipe="forecast", version="v1", params=params).manifest
    assert manifest.task == "forecast"
    assert manifest.features.names[0] == "lag_24"
    assert manifest.features.names[-1] == "lag_1"
    assert manifest.metrics["mae"] < manifest.metrics["naive_mae"]
    assert manifest.metrics["rmse"] < manifest.metrics["naive_rmse"]
    assert manifest.charts.residuals
    assert len(replay(store, manifest, tmp_path).forecast(np.full(30, 100.0), 3)) == 3


def test_tabular_takes_a_file_with_strings_missing_values_booleans_dates_and_an_id(
    store: Store, tmp_path: Path, mixed: Any, write_csv: Any
) -> None:
    path = write_csv(mixed, "good", "spend")
    params = {"target": "grade", "n_estimators": "30"}
    manifest = train(store=store, recipe="tabular", model="grades", version="v1", params=params, data=path).manifest
    kinds = {c.name: c.kind for c in manifest.features.columns}
    assert kinds == {"income": "numeric", "city": "category", "member": "boolean", "since": "date"}
    city = manifest.features.columns[1]
    assert isinstance(city, CategoryColumn)
    assert city.missing
    assert manifest.metrics["accuracy"] > 0.6
    card = store.read_file(manifest, CARD_FILE).decode()
    assert "| customer_id | id-like: another integer in each row |" in card
    assert "| note | id-like: 500 different strings in 500 rows |" in card
    assert manifest.golden.rows[-2] == (None, None, None, None)
    assert manifest.golden.rows[-1][1] == "mlplat: unknown"
    replay(store, manifest, tmp_path)
    table = pq.read_table(io.BytesIO(store.read_file(manifest, HELD_OUT_FILE)))
    assert table.column("income").null_count > 0
    assert [str(field.type) for field in table.schema] == ["double", "string", "bool", "string", "string"]


def test_parquet_with_types_trains_as_well(store: Store, tmp_path: Path, mixed: Any) -> None:
    frame = mixed.drop(columns=["grade", "good"])
    frame["since"] = frame["since"].astype("datetime64[us]")
    frame.to_parquet(tmp_path / "data.parquet")
    manifest = train(
        store=store,
        recipe="tabular",
        version="v1",
        params={"target": "spend", "n_estimators": "30"},
        data=str(tmp_path / "data.parquet"),
    ).manifest
    assert manifest.task == "regression"
    assert manifest.metrics["r2"] > 0.5
    assert {c.name: c.kind for c in manifest.features.columns}["since"] == "date"
    replay(store, manifest, tmp_path)


@pytest.mark.parametrize(
    ("name", "task", "metric", "least"),
    [
        ("wine", "classification", "accuracy", 0.9),
        ("breast_cancer", "classification", "roc_auc", 0.95),
        ("digits", "classification", "accuracy", 0.9),
        ("diabetes", "regression", "r2", 0.25),
    ],
)
def test_the_bundled_real_sets_train_unchanged(  # noqa: PLR0917  # the facts of a case
    store: Store, tmp_path: Path, name: str, task: str, metric: str, least: float
) -> None:
    import sklearn.datasets

    bunch = getattr(sklearn.datasets, f"load_{name}")(as_frame=True)
    path = tmp_path / f"{name}.csv"
    bunch.frame.to_csv(path, index=False)
    manifest = train(
        store=store, recipe="tabular", model=name, version="v1", params={"target": "target"}, data=str(path)
    ).manifest
    assert manifest.task == task
    assert list(manifest.features.names) == list(bunch.data.columns)
    assert manifest.classes is None or list(manifest.classes) == sorted(bunch.frame["target"].unique().tolist())
    assert manifest.metrics[metric] >= least
    replay(store, manifest, tmp_path)


def test_each_step_is_a_log_line_with_model_and_version(store: Store) -> None:
    import json

    from mlplat import logs

    out = io.StringIO()
    logs.configure("info", stream=out)
    try:
        iris(store, promotion=Promotion("champion"))
    finally:
        structlog.reset_defaults()
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    steps = [line["step"] for line in lines if line["event"] == "train_step"]
    assert steps == ["load", "split", "fit", "export", "check", "publish", "promote"]
    assert all((line["model"], line["version"]) == ("iris", "v1") for line in lines)


def test_on_a_terminal_each_step_is_a_line(store: Store) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    iris(store, report=reporter(out))
    steps = re.findall(r"done(?:\x1b\[0m)? (\w+)", out.getvalue())
    assert steps == ["load", "split", "fit", "export", "check", "publish"]
