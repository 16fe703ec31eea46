"""Recipes are found by name, or as module:Class in the current directory."""

from pathlib import Path

import pytest

from mlplat.errors import UsageError
from mlplat.recipes import Recipe, find_recipe, recipe_names


def test_the_four_recipes_of_the_package_are_found_by_name() -> None:
    assert recipe_names() == ["iris", "churn", "forecast", "tabular"]
    assert [find_recipe(name).label() for name in recipe_names()] == recipe_names()


def test_a_file_in_the_current_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_recipe.py").write_text(
        "from mlplat.recipes.iris import Iris\nclass Mine(Iris):\n    name = ''\nnumber = 5\n"
    )
    monkeypatch.chdir(tmp_path)
    found = find_recipe("own_recipe:Mine")
    assert issubclass(found, Recipe)
    assert found.label() == "own_recipe:Mine"
    with pytest.raises(UsageError, match="'own_recipe:number' is no recipe"):
        find_recipe("own_recipe:number")
    with pytest.raises(UsageError, match="'own_recipe:Nothing' is no recipe"):
        find_recipe("own_recipe:Nothing")


def test_an_installed_module_is_found() -> None:
    assert find_recipe("mlplat.recipes.iris:Iris") is find_recipe("iris")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        UsageError, match=r"no recipe 'irs'. Use iris, churn, forecast, tabular, or package.module:Class"
    ):
        find_recipe("irs")


def test_a_module_that_fails_to_import_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_recipe.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"cannot be imported: ZeroDivisionError: division by zero"):
        find_recipe("broken_recipe:Mine")
    with pytest.raises(UsageError, match=r"cannot be imported: ModuleNotFoundError"):
        find_recipe("no_such_module:Mine")
