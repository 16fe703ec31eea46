"""Recipes are found by name, or as module:Class in the current directory."""

import subprocess
import sys
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


SHADOWED = """
import sys
from mlplat.recipes import find_recipe
find_recipe(sys.argv[1])
import colorsys
print(colorsys.__file__)
"""


@pytest.mark.parametrize("name", ["iris", "own_recipe:Mine"])
def test_a_file_in_the_current_directory_stands_for_no_library(tmp_path: Path, name: str) -> None:
    (tmp_path / "own_recipe.py").write_text("from mlplat.recipes.iris import Iris\nclass Mine(Iris):\n    name = ''\n")
    (tmp_path / "colorsys.py").write_text("raise SystemExit('this is no library')\n")
    (tmp_path / "run.py").write_text(SHADOWED)
    command = [sys.executable, "-P", "run.py", name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).parent != tmp_path


def test_a_recipe_of_the_package_leaves_the_search_path_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    find_recipe("iris")
    assert sys.path == before


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
