"""The recipes of the package give the data, the features and the estimator that their words promise."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier

from mlplat.errors import DataError, UsageError
from mlplat.recipes import find_recipe
from mlplat.recipes.churn import generate_churn
from mlplat.recipes.forecast import generate_series


def test_iris_has_four_lengths_and_three_named_classes() -> None:
    recipe = find_recipe("iris").parse({})
    data = recipe.data(None)
    assert list(data.columns) == ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    assert data.classes == ("setosa", "versicolor", "virginica")
    features = recipe.features(data, ~recipe.hold_out(data))
    estimator = recipe.estimator(features, data.task)
    assert isinstance(estimator, RandomForestClassifier)
    assert estimator.n_estimators == 100
    with pytest.raises(UsageError, match=r"brings its own data. For a file of your own use the recipe 'tabular'"):
        recipe.data("iris.csv")


def test_churn_is_generated_the_same_each_time_with_both_classes_in_sensible_shares() -> None:
    first, again = (find_recipe("churn").parse({}).data(None) for _ in range(2))
    assert list(first.columns) == ["age", "monthly_charges", "tenure_months", "support_calls"]
    assert first.classes == ("no", "yes")
    assert first.table.sha256 == again.table.sha256
    assert first.table.uri == "generated:churn?rows=5000&seed=7"
    assert len(first) == 5000
    assert 0.15 < first.y.mean() < 0.35
    assert not generate_churn(100, 1).equals(generate_churn(100, 2))


def test_churn_reads_a_users_file_with_more_columns_and_its_own_labels(tmp_path: Path) -> None:
    frame = generate_churn(200, 1).rename(columns={"churn": "left"})
    frame["left"] = frame["left"] == "yes"
    frame["note"] = "x"
    frame.to_csv(tmp_path / "customers.csv", index=False)
    data = find_recipe("churn").parse({"target": "left"}).data(str(tmp_path / "customers.csv"))
    assert data.classes == (False, True)
    assert data.left_out == {"note": "not a feature of this recipe"}


def test_churn_names_the_columns_that_a_file_lacks_and_cells_that_are_no_numbers(tmp_path: Path) -> None:
    recipe, path = find_recipe("churn").parse({}), tmp_path / "customers.csv"
    frame = generate_churn(200, 1)
    frame.drop(columns=["age", "tenure_months"]).to_csv(path, index=False)
    with pytest.raises(DataError, match="lacks the columns 'age', 'tenure_months'"):
        recipe.data(str(path))
    frame.assign(age="young").to_csv(path, index=False)
    with pytest.raises(DataError, match=r"line 2, column 'age': found \"young\", expected a number"):
        recipe.data(str(path))
    frame.assign(churn=["no", "yes", "maybe", "no"] * 50).to_csv(path, index=False)
    with pytest.raises(DataError, match="column 'churn' has 3 classes, expected two"):
        recipe.data(str(path))


def test_forecast_rows_are_windows_with_the_next_value_as_the_target() -> None:
    data = find_recipe("forecast").parse({"window": "3", "points": "100"}).data(None)
    series = generate_series(100, 7)
    assert list(data.columns) == ["lag_3", "lag_2", "lag_1"]
    assert [float(column.cells[0]) for column in data.columns.values()] == series[:3].tolist()
    assert data.y.tolist() == series[3:].tolist()
    assert (data.task, data.target, len(data)) == ("forecast", "value", 97)


def test_forecast_holds_out_the_last_part_in_time() -> None:
    recipe = find_recipe("forecast").parse({"points": "124"})
    held_out = recipe.hold_out(recipe.data(None))
    assert held_out.tolist() == [False] * 80 + [True] * 20


def test_forecast_reads_the_value_column_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "series.csv"
    pd.DataFrame({"at": range(60), "sales": np.arange(60.0)}).to_csv(path, index=False)
    recipe = find_recipe("forecast").parse({"window": "5", "value": "sales"})
    data = recipe.data(str(path))
    assert data.y.tolist() == list(range(5, 60))
    assert data.left_out == {"at": "not the series"}
    with pytest.raises(DataError, match="lacks the column 'value'; found the columns 'at', 'sales'"):
        find_recipe("forecast").parse({}).data(str(path))
    with pytest.raises(DataError, match="has 60 values, expected at least 110 for a window of 100"):
        find_recipe("forecast").parse({"window": "100", "value": "sales"}).data(str(path))


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["1"] * 30 + [""] + ["2"] * 9, "line 32, column 'value': found a missing value, expected a finite number"),
        (["1"] * 30 + ["inf"] + ["2"] * 9, "line 32, column 'value': found inf, expected a finite number"),
        (["low"] * 40, "line 2, column 'value': found \"low\", expected a number"),
    ],
)
def test_forecast_names_the_line_of_a_value_that_is_no_number(tmp_path: Path, cells: list[str], message: str) -> None:
    path = tmp_path / "series.csv"
    path.write_text("\n".join(["value,at", *(f"{cell},0" for cell in cells)]))
    with pytest.raises(DataError, match=message):
        find_recipe("forecast").parse({}).data(str(path))


def test_tabular_needs_data() -> None:
    with pytest.raises(UsageError, match=r"needs data. Add --data"):
        find_recipe("tabular").parse({"target": "y"}).data(None)


def test_an_estimator_of_the_other_task_is_refused_with_those_that_do(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    pd.DataFrame({"x": [i % 7 for i in range(20)], "y": ["a", "b"] * 10}).to_csv(path, index=False)
    recipe = find_recipe("tabular").parse({"target": "y", "estimator": "ridge"})
    data = recipe.data(str(path))
    features = recipe.features(data, ~recipe.hold_out(data))
    with pytest.raises(UsageError, match=r"'ridge' does no classification. Choose one of: random_forest"):
        recipe.estimator(features, data.task)
