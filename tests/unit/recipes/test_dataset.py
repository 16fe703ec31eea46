"""A data set: targets become classes or numbers, what names only its row is left out, faults are named."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlplat.errors import DataError
from mlplat.recipes import Dataset, read_table
from mlplat.recipes.inference import encode, infer_features


def table_of(folder: Path, **columns: Any) -> Dataset:
    task = columns.pop("task", None)
    options = columns.pop("options", {})
    pd.DataFrame(columns).to_csv(folder / "data.csv", index=False)
    return Dataset.from_table(read_table(folder / "data.csv"), target="y", task=task, **options)


X = [float(i % 7) for i in range(20)]
Y = ["a", "b"] * 10


@pytest.mark.parametrize(
    ("target", "task", "classes"),
    [
        (["b", "a"] * 10, "classification", ("a", "b")),
        ([True, False] * 10, "classification", (False, True)),
        ([3, 1, 2, 1] * 5, "classification", (1, 2, 3)),
        ([i * 10 for i in range(30)], "regression", None),
        ([0.5, 1.5] * 10, "regression", None),
    ],
)
def test_the_task_is_inferred_from_the_target(
    tmp_path: Path, target: list[object], task: str, classes: tuple[object, ...] | None
) -> None:
    data = table_of(tmp_path, x=[i % 7 for i in range(len(target))], y=target)
    assert (data.task, data.classes) == (task, classes)
    assert data.labels.tolist() == target
    assert classes is None or [type(c) for c in data.classes or ()] == [type(c) for c in classes]


def test_the_task_can_be_said(tmp_path: Path) -> None:
    assert table_of(tmp_path, x=X, y=[1, 2] * 10, task="regression").task == "regression"
    halves = table_of(tmp_path, x=X, y=[0.5, 1.5] * 10, task="classification")
    assert halves.classes == (0.5, 1.5)


def test_a_regression_of_words_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 2, column 'y': found \"a\", expected a number, to train a regression"):
        table_of(tmp_path, x=X, y=Y, task="regression")


def test_a_missing_target_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 4, column 'y': found a missing value, expected a target .*1 lack it"):
        table_of(tmp_path, x=X, y=["a", "b", None, *Y[3:]])


def test_an_absent_target_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lacks the column 'y'; found the columns 'x', 'z'"):
        table_of(tmp_path, x=X, z=X)


def test_one_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="column 'y' has the one class 'a' in all 20 rows, expected two or more"):
        table_of(tmp_path, x=X, y=["a"] * 20)


def test_too_few_rows_of_a_class_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has 2 rows of the class 'c', expected at least 5 of each of its 3 classes"):
        table_of(tmp_path, x=X, y=["c", "c", *Y[2:]])


def test_too_few_rows_for_a_regression_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has 3 rows, expected at least 10"):
        table_of(tmp_path, x=[1, 2, 1], y=[0.5, 1.5, 2.5])


def test_a_column_without_values_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="column 'x' has no values at all"):
        table_of(tmp_path, x=[None] * 20, y=Y)


def test_no_feature_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no column to predict 'y' from"):
        table_of(tmp_path, y=Y)


def test_an_infinite_feature_or_target_is_named_with_its_line(tmp_path: Path) -> None:
    data = table_of(tmp_path, x=[*X[:5], float("inf"), *X[6:]], y=Y)
    features = infer_features(data, np.ones(20, dtype=bool))
    with pytest.raises(DataError, match=r"line 7, column 'x': found inf, expected a finite number"):
        encode(features, data, np.arange(20))
    with pytest.raises(DataError, match=r"line 2, column 'y': found -inf, expected a finite number"):
        table_of(tmp_path, x=X, y=[float("-inf"), *X[1:]])


@pytest.mark.parametrize(
    "values",
    [
        [f"customer {i}" for i in range(20)],
        list(range(100, 120)),
    ],
)
def test_a_column_that_only_names_its_row_is_left_out_with_a_word(tmp_path: Path, values: list[object]) -> None:
    data = table_of(tmp_path, x=X, who=values, y=Y)
    assert list(data.columns) == ["x"]
    assert "id-like" in data.left_out["who"]


def test_a_column_called_id_with_different_integers_is_left_out(tmp_path: Path) -> None:
    numbers = [int(n) for n in np.random.default_rng(0).permutation(1000)[:20]]
    data = table_of(tmp_path, x=X, customer_id=numbers, amount=numbers, humid=numbers, y=Y)
    assert list(data.left_out) == ["customer_id"]


def test_different_decimals_are_no_ids(tmp_path: Path) -> None:
    data = table_of(tmp_path, x=[i + 0.5 for i in range(20)], y=Y)
    assert not data.left_out


def test_columns_can_be_dropped_and_taken_as_categories(tmp_path: Path) -> None:
    options = {"drop": ["x"], "categories": ["zip"]}
    data = table_of(tmp_path, x=X, zip=[[10115, 80331][i % 2] for i in range(20)], y=Y, options=options)
    assert data.columns["zip"].cells.tolist()[:2] == ["10115", "80331"]
    assert data.left_out == {"x": "asked for"}
    with pytest.raises(DataError, match="lacks the column 'nothing'"):
        table_of(tmp_path, x=X, y=Y, options={"drop": ["nothing"]})


def test_features_are_learnt_from_the_training_rows_only(tmp_path: Path) -> None:
    data = table_of(
        tmp_path,
        n=[1.0, None, 3.0] + [5.0] * 17,
        b=[True, None, True] + [False] * 17,
        c=["p", None, "q"] + ["r"] * 17,
        d=["1970-01-02", None, "1970-01-04"] + ["2026-01-01"] * 17,
        y=Y,
    )
    training = np.arange(20) < 3
    columns = {c.name: c.model_dump(exclude={"name", "kind"}) for c in infer_features(data, training).columns}
    assert columns == {
        "n": {"fill": 2.0},
        "b": {"fill": 1},
        "c": {"categories": ("p", "q"), "missing": True},
        "d": {"fill": 2.0},
    }
    strings = infer_features(data, training, strings=True)
    assert strings.layout == "columns"
    assert [c.kind for c in strings.columns] == ["numeric", "boolean", "string", "date"]


def test_rare_categories_beyond_a_hundred_are_unknown(tmp_path: Path) -> None:
    values = [f"c{i:03}" for i in range(150)] * 2 + ["c149"] * 300
    data = table_of(tmp_path, c=values, y=["a", "b"] * 300)
    (column,) = infer_features(data, np.ones(600, dtype=bool)).columns
    assert column.kind == "category"
    assert len(column.categories) == 100
    assert column.categories[-1] == "c149"


def test_a_frame_becomes_a_data_set_with_all_its_columns() -> None:
    frame = pd.DataFrame({"x": range(20), "y": Y})
    data = Dataset.from_frame(frame, target="y", uri="memory")
    assert (list(data.columns), data.table.uri, data.table.where(3)) == (["x"], "memory", "row 4")
    assert data.table.sha256 == Dataset.from_frame(frame, target="y", uri="other").table.sha256
