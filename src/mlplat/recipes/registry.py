"""Recipes by name: those that come with the package, and any `package.module:Class`."""

import importlib
import sys
from pathlib import Path

from mlplat.errors import UsageError
from mlplat.recipes.base import Recipe

_BUILTIN = {
    "iris": "mlplat.recipes.iris:Iris",
    "churn": "mlplat.recipes.churn:Churn",
    "forecast": "mlplat.recipes.forecast:Forecast",
    "tabular": "mlplat.recipes.tabular:Tabular",
}


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    return list(_BUILTIN)


def find_recipe(name: str) -> type[Recipe]:
    """The recipe of a name, or of `package.module:Class` (a file in the current directory, or an installed package).

    Raises:
        UsageError: if there is none, or it is no `Recipe`.
    """
    path = _BUILTIN.get(name, name)
    module_name, colon, class_name = path.partition(":")
    if not colon:
        raise UsageError(
            f"There is no recipe {name!r}.",
            hint=f"Use {', '.join(_BUILTIN)}, or package.module:Class for one of your own.",
        )
    here = str(Path.cwd())
    if name not in _BUILTIN and here not in sys.path:
        sys.path.append(here)  # last, so that no file there stands for a library
    try:
        found = getattr(importlib.import_module(module_name), class_name, None)
    except Exception as error:
        raise UsageError(
            f"The recipe {name!r} cannot be imported: {type(error).__name__}: {error}.",
            hint="Run it from the folder of its file, or install its package.",
        ) from error
    if not (isinstance(found, type) and issubclass(found, Recipe)):
        raise UsageError(f"{name!r} is no recipe.", hint="Name a subclass of mlplat.recipes.Recipe.")
    return found
