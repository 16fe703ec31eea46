"""Parameters are read leniently from text, and refused by name with the allowed ones."""

import pytest

from mlplat.errors import UsageError
from mlplat.recipes import Recipe, find_recipe, recipe_names


def parse(name: str, **params: object) -> Recipe:
    return find_recipe(name).parse(params)


def test_text_becomes_the_type_of_the_parameter() -> None:
    given = {"n_estimators": "20", "max_depth": "none", "max_features": "0.5"}
    assert parse("iris", **given).explicit() == {"n_estimators": 20, "max_depth": None, "max_features": 0.5}


def test_only_given_parameters_are_explicit_and_text_or_value_make_no_difference() -> None:
    assert parse("iris").explicit() == {}
    assert parse("churn", rows="200").explicit() == parse("churn", rows=200).explicit() == {"rows": 200}


def test_lists_are_read_with_commas() -> None:
    tabular = parse("tabular", target="y", drop="a, b", estimator="mlp", hidden_layer_sizes="8,4")
    assert tabular.explicit() == {
        "target": "y",
        "drop": ["a", "b"],
        "estimator": "mlp",
        "hidden_layer_sizes": [8, 4],
    }


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("iris", {"n_estimator": "3"}, r"random_forest' has no parameter 'n_estimator'. Allowed: estimator, max_depth"),
        ("forecast", {"a": "1", "b": "2"}, r"recipe 'forecast' has no parameters 'a', 'b'. Allowed: window, value,"),
        ("iris", {"n_estimators": "many"}, r"parameter 'n_estimators' of the estimator .* cannot be 'many'.*integer"),
        ("forecast", {"window": "0"}, r"parameter 'window' of the recipe 'forecast' cannot be '0'.*greater than"),
        ("tabular", {}, r"recipe 'tabular' needs the parameter 'target'. Add --param target=..."),
        (
            "iris",
            {"estimator": "forest"},
            r"no estimator 'forest'. Choose one of: random_forest, .*logistic_regression",
        ),
        ("iris", {"estimator": "ridge"}, r"no estimator 'ridge'"),
        ("tabular", {"target": "y", "task": "ranking"}, r"'task' .* cannot be 'ranking'.*'classification' or"),
        ("iris", {"estimator": "logistic_regression", "n_estimators": "5"}, r"no parameter 'n_estimators'"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(name: str, params: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(name, **params)


@pytest.mark.parametrize("name", recipe_names())
def test_every_parameter_is_described_for_help(name: str) -> None:
    lines = find_recipe(name).describe()
    assert lines
    assert all(line.name and line.type and line.default and line.description for line in lines)


def test_the_help_names_type_default_and_the_estimator_it_belongs_to() -> None:
    lines = {(line.of, line.name): line for line in find_recipe("tabular").describe()}
    assert lines["", "target"].default == "required"
    assert lines["", "task"].type == "one of classification, regression or none"
    assert lines["random_forest", "n_estimators"].default == "100"
    assert lines["mlp", "hidden_layer_sizes"].default == "100"
    assert lines["ridge", "alpha"].type == "number"
