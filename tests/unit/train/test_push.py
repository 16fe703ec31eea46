"""A user's own fitted estimator becomes a version that predicts what it predicts, or is refused in a sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlplat.bundle.features import Inputs
from mlplat.bundle.manifest import CARD_FILE, Manifest
from mlplat.errors import ConflictError, DataError, DeletedError, ExportError, MlplatError, NotFoundError, UsageError
from mlplat.runtime import Predictor
from mlplat.store import Cache, Store
from mlplat.train.push import push_estimator

ROWS = 120


def flowers() -> pd.DataFrame:
    """Numbers, a boolean, strings, and targets of each kind that depend on them."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "length": rng.normal(5, 1, ROWS).round(2),
            "width": rng.normal(3, 1, ROWS).round(2),
            "wild": rng.random(ROWS) < 0.5,
            "place": rng.choice(["wood", "field", "pond"], ROWS),
        }
    )
    score = frame["length"] + frame["wild"] + 2 * (frame["place"] == "pond")
    frame["kind"] = np.select([score < 5, score < 6.5], ["rose", "tulip"], "lily")
    frame["code"] = np.select([score < 5, score < 6.5], [10, 20], 30)
    frame["good"] = score > 6
    frame["height"] = (score * 10).round(3)
    return frame


@pytest.fixture
def sample(tmp_path: Path) -> str:
    """The rows as CSV."""
    flowers().to_csv(tmp_path / "rows.csv", index=False)
    return str(tmp_path / "rows.csv")


Save = Callable[[Any], Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write an estimator and return where."""

    def write(estimator: Any) -> Path:
        path = tmp_path / f"{len(list(tmp_path.glob('*.joblib')))}.joblib"
        joblib.dump(estimator, path)
        return path

    return write


NUMBERS = ["length", "width"]


def mixed_pipeline(estimator: Any) -> Any:
    encode = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["length", "width"]),
            ("places", OneHotEncoder(handle_unknown="ignore"), ["place"]),
        ]
    )
    return make_pipeline(encode, estimator)


def push(store: Store, path: Path, sample: str, **given: Any) -> Manifest:
    return push_estimator(store=store, path=path, sample=sample, model="flowers", version="v1", **given).manifest


def predictor(store: Store, tmp_path: Path, manifest: Manifest) -> Predictor:
    """What a server loads."""
    files = Cache(tmp_path / "cache").fetch(store, manifest, [manifest.model_file])
    return Predictor.load(manifest, files[manifest.model_file])


def inputs_of(manifest: Manifest, frame: pd.DataFrame) -> Inputs:
    inputs, problems = manifest.features.encode({name: frame[name].to_numpy() for name in manifest.features.names})
    assert problems == []
    return inputs


@pytest.mark.parametrize(
    ("estimator", "target"),
    [
        (RandomForestClassifier(21, random_state=0), "kind"),
        (RandomForestClassifier(21, random_state=0), "code"),
        (RandomForestClassifier(21, random_state=0), "good"),
        (LogisticRegression(max_iter=1000), "kind"),
        (make_pipeline(StandardScaler(), LogisticRegression()), "good"),
        (HistGradientBoostingClassifier(max_iter=20), "code"),
        (
            VotingClassifier(
                [("a", LogisticRegression()), ("b", RandomForestClassifier(5))], voting="soft", flatten_transform=False
            ),
            "kind",
        ),
        (CalibratedClassifierCV(RidgeClassifier(), cv=2), "kind"),
        (GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2), "good"),
        (LinearRegression(), "height"),
        (RandomForestRegressor(10, random_state=0), "height"),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)
def test_a_version_predicts_what_its_estimator_does(  # noqa: PLR0917 - pytest names them
    store: Store, tmp_path: Path, sample: str, save: Save, estimator: Any, target: str
) -> None:
    frame = flowers()
    estimator.fit(frame[NUMBERS], frame[target])
    manifest = push(store, save(estimator), sample, target=target)
    assert manifest == store.verify("flowers", "v1")
    found = predictor(store, tmp_path, manifest).predict(inputs_of(manifest, frame))
    if manifest.classes is None:
        np.testing.assert_allclose(found.values, estimator.predict(frame[NUMBERS]), rtol=1e-4)
        assert set(manifest.metrics) == {"mae", "rmse", "r2"}
    else:
        labels = [manifest.classes[index] for index in found.values]  # noqa: PD011 - not of pandas
        assert labels == estimator.predict(frame[NUMBERS]).tolist()
        assert list(manifest.classes) == sorted(set(frame[target].tolist()))
        assert "log_loss" in manifest.metrics
    assert manifest.features.layout == "tensor"
    assert manifest.recipe.name == "pushed"


def test_a_pipeline_that_takes_strings_gets_an_input_for_each_column(
    store: Store, tmp_path: Path, sample: str, save: Save
) -> None:
    frame = flowers()
    pipeline = mixed_pipeline(LogisticRegression(max_iter=1000)).fit(frame[["length", "width", "place"]], frame["kind"])
    manifest = push(store, save(pipeline), sample, target="kind")
    assert manifest.features.layout == "columns"
    assert [(column.name, column.kind) for column in manifest.features.columns] == [
        ("length", "numeric"),
        ("width", "numeric"),
        ("place", "string"),
    ]
    found = predictor(store, tmp_path, manifest).predict(inputs_of(manifest, frame))
    assert manifest.classes is not None
    labels = [manifest.classes[index] for index in found.values]  # noqa: PD011 - not of pandas
    assert labels == pipeline.predict(frame).tolist()


def test_columns_that_a_pipeline_takes_by_name_may_all_be_numbers(store: Store, sample: str, save: Save) -> None:
    frame = flowers()
    by_name = ColumnTransformer([("numbers", StandardScaler(), ["width", "length"])])
    pipeline = make_pipeline(by_name, LinearRegression()).fit(frame[NUMBERS], frame["height"])
    assert push(store, save(pipeline), sample).features.layout == "columns"


def test_an_estimator_without_names_takes_the_columns_as_they_come(store: Store, tmp_path: Path, save: Save) -> None:
    frame = flowers()
    frame[[*NUMBERS, "kind"]].to_parquet(tmp_path / "rows.parquet")
    path = save(LogisticRegression(max_iter=1000).fit(frame[NUMBERS].to_numpy(), frame["kind"]))
    manifest = push(store, path, str(tmp_path / "rows.parquet"), target="kind")
    assert manifest.features.names == ("length", "width")
    with pytest.raises(DataError, match=r"has 3 columns .* takes 2"):
        push(store, path, str(tmp_path / "rows.parquet"))


def test_without_a_target_there_are_no_metrics(store: Store, sample: str, save: Save) -> None:
    frame = flowers()
    path = save(RandomForestClassifier(5, random_state=0).fit(frame[[*NUMBERS, "wild"]], frame["kind"]))
    manifest = push(store, path, sample)
    assert manifest.metrics == {}
    assert manifest.classes == ("lily", "rose", "tulip")
    assert list(manifest.importances) != []
    card = store.read_file(manifest, CARD_FILE).decode()
    assert "which may have been fitted on them" in card
    assert "mlplat models push 0.joblib --sample" in card
    assert sorted(manifest.files) == ["card.md", "held_out.parquet", "model.joblib", "model.onnx"]
    assert store.read_file(manifest, "model.joblib") == path.read_bytes()


def test_a_sample_without_one_of_the_classes_gives_the_accuracy(store: Store, tmp_path: Path, save: Save) -> None:
    frame = flowers()
    path = save(LogisticRegression(max_iter=1000).fit(frame[NUMBERS], frame["kind"]))
    frame[frame["kind"] != "lily"].to_csv(tmp_path / "two.csv", index=False)
    assert list(push(store, path, str(tmp_path / "two.csv"), target="kind").metrics) == ["accuracy"]


def test_rows_with_a_missing_value_are_left_out(store: Store, tmp_path: Path, save: Save) -> None:
    frame = flowers()
    path = save(LinearRegression().fit(frame[NUMBERS], frame["height"]))
    frame.loc[:4, "width"] = np.nan
    frame.to_csv(tmp_path / "gaps.csv", index=False)
    manifest = push(store, path, str(tmp_path / "gaps.csv"))
    assert manifest.data.rows == ROWS - 5
    _, problems = manifest.features.encode({"length": [1.0], "width": [None]})
    assert "missing value" in str(problems[0])


def test_the_same_again_is_there_already_and_another_is_refused(store: Store, sample: str, save: Save) -> None:
    frame = flowers()
    path = save(LinearRegression().fit(frame[NUMBERS], frame["height"]))
    for published in (True, False):
        done = push_estimator(store=store, path=path, sample=sample, model="flowers", version="v1")
        assert done.published == published
    other = save(LinearRegression().fit(frame[NUMBERS], frame["length"]))
    with pytest.raises(ConflictError, match="made from something else"):
        push(store, other, sample)


class Odd(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Has no converter."""

    def fit(self, table: Any, y: Any) -> "Odd":
        self.classes_, self.n_features_in_ = np.unique(y), table.shape[1]
        self.feature_names_in_ = np.array(table.columns)
        return self

    def predict(self, table: Any) -> Any:
        return np.repeat(self.classes_[:1], len(table))

    def predict_proba(self, table: Any) -> Any:
        return np.tile(np.eye(len(self.classes_))[0], (len(table), 1))


def fitted(estimator: Any, target: Any = "kind", columns: list[str] = NUMBERS) -> Any:
    return estimator.fit(flowers()[columns], flowers()[target])


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (LogisticRegression, UsageError, "The LogisticRegression in .* is not fitted"),
        (lambda: make_pipeline(StandardScaler(), LogisticRegression()), UsageError, "LogisticRegression .* not fitted"),
        (lambda: {"model": 1}, UsageError, "holds dict"),
        (lambda: fitted(StandardScaler()), UsageError, "holds StandardScaler"),
        (lambda: fitted(KMeans(2, n_init=1)), UsageError, "neither a classifier nor a regressor"),
        (lambda: fitted(RidgeClassifier()), ExportError, "has no predict_proba"),
        (
            lambda: fitted(MultiOutputClassifier(LogisticRegression()), ["kind", "place"]),
            ExportError,
            "one class a row",
        ),
        (lambda: fitted(LinearRegression(), ["height", "length"]), ExportError, "more than one thing a row"),
        (lambda: fitted(Odd()), ExportError, "Odd cannot be exported"),
    ],
)
def test_what_cannot_be_a_version_is_refused_in_a_sentence(  # noqa: PLR0917 - pytest names them
    store: Store, sample: str, save: Save, make: Callable[[], Any], error: type[MlplatError], words: str
) -> None:
    with pytest.raises(error, match=words):
        push(store, save(make()), sample)
    assert store.versions("flowers") == []


def test_a_sample_with_other_columns_is_refused(store: Store, tmp_path: Path, sample: str, save: Save) -> None:
    path = save(fitted(LinearRegression(), "height"))
    frame = flowers()
    for change, words in (
        (frame.drop(columns="width"), "lacks the column 'width'"),
        (frame.assign(width="wide"), r"refuses the sample|holds strings|cannot be exported"),
        (frame.head(5), "5 rows without a missing value"),
        (frame.assign(width=[*frame["width"][:-1], "n/a"]), "line 121, column 'width'"),
    ):
        change.to_csv(tmp_path / "other.csv", index=False)
        with pytest.raises(MlplatError, match=words):
            push(store, path, str(tmp_path / "other.csv"))
    with pytest.raises(DataError, match="lacks the column 'truth'"):
        push(store, path, sample, target="truth")
    with pytest.raises(DataError, match=r"column 'kind': found .* expected a number"):
        push(store, path, sample, target="kind")
    classifier = save(fitted(LogisticRegression(max_iter=1000)))
    with pytest.raises(DataError, match=r"column 'place': found .* one of the classes 'lily'"):
        push(store, classifier, sample, target="place")
    with pytest.raises(UsageError, match="makes a classification"):
        push(store, classifier, sample, task="regression")


def test_strings_that_an_estimator_was_given_without_names_are_refused(
    store: Store, tmp_path: Path, save: Save
) -> None:
    frame = flowers()
    pipeline = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(frame[["place"]].to_numpy(), frame["kind"])
    frame[["place"]].to_csv(tmp_path / "places.csv", index=False)
    with pytest.raises(DataError, match="fitted without column names"):
        push(store, save(pipeline), str(tmp_path / "places.csv"))


def test_an_estimator_that_refuses_strings_it_does_not_know_is_refused(store: Store, sample: str, save: Save) -> None:
    frame = flowers()
    encode = ColumnTransformer([("places", OneHotEncoder(), ["place"])], remainder="passthrough")
    pipeline = make_pipeline(encode, LogisticRegression(max_iter=1000)).fit(frame[["place", "length"]], frame["kind"])
    with pytest.raises(ExportError, match=r"refuses a string in 'place' .* handle_unknown='ignore'"):
        push(store, save(pipeline), sample)


def test_an_export_that_differs_is_refused(store: Store, tmp_path: Path, save: Save) -> None:
    """Numbers of 64 bits whose difference is lost in 32."""
    frame = pd.DataFrame({"a": 1e8 + np.arange(100) / 100, "b": np.full(100, 1e8)})
    frame.to_csv(tmp_path / "exact.csv", index=False)
    estimator = LinearRegression(fit_intercept=False).fit(frame, frame["a"])
    estimator.coef_ = np.array([1.0, -1.0])
    with pytest.raises(ExportError, match=r"differs from the estimator in \d+ of 100 rows"):
        push(store, save(estimator), str(tmp_path / "exact.csv"))


def test_a_deleted_version_is_refused_before_anything_is_loaded(store: Store, sample: str, save: Save) -> None:
    frame = flowers()[["length", "width", "kind"]]
    path = save(LogisticRegression(max_iter=1000).fit(frame[["length", "width"]], frame["kind"]))
    push_estimator(store=store, path=path, sample=sample, model="flowers", version="v1")
    store.delete("flowers", "v1", by="ann", reason="old")
    with pytest.raises(DeletedError, match=r"by ann \(old\)\. Its name is not used again"):
        push_estimator(store=store, path=path.with_name("none"), sample=sample, model="flowers", version="v1")


def test_a_file_that_is_no_pickle_or_not_there_is_refused(store: Store, tmp_path: Path, sample: str) -> None:
    (tmp_path / "text").write_text("no pickle")
    with pytest.raises(UsageError, match="cannot be loaded"):
        push(store, tmp_path / "text", sample)
    with pytest.raises(NotFoundError):
        push(store, tmp_path / "none", sample)
    with pytest.raises(UsageError):
        push_estimator(store=store, path=tmp_path / "text", sample=sample, model="../a", version="v1")


def test_golden_samples_and_baseline_are_of_the_sample(store: Store, sample: str, save: Save) -> None:
    manifest = push(store, save(fitted(LinearRegression(), "height")), sample)
    assert manifest.baseline.rows == ROWS
    assert len(manifest.golden.rows) == 14
    assert json.loads(manifest.to_json())["data"]["held_out"] == ROWS
