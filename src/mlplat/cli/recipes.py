"""`mlplat recipes`."""

from dataclasses import asdict
from typing import Annotated

import typer

from mlplat.cli.app import app
from mlplat.cli.options import command
from mlplat.cli.show import ListSettings, print_rows


@command(app, ListSettings, name="recipes", epilog="Example: mlplat recipes iris")
def recipes(
    settings: ListSettings,
    recipe: Annotated[str | None, typer.Argument(help="A recipe, to list its parameters; else all recipes.")] = None,
) -> None:
    """List the recipes, or the parameters of one, which `mlplat train --param NAME=VALUE` sets."""
    from mlplat.recipes import find_recipe, recipe_names

    if recipe is not None:
        rows = [asdict(parameter) for parameter in find_recipe(recipe).describe()]
        print_rows(rows, settings.output, empty=f"The recipe {recipe} has no parameters.")
        return
    described = [
        {"recipe": name, "description": (find_recipe(name).__doc__ or "").splitlines()[0]} for name in recipe_names()
    ]
    print_rows([*described], settings.output)
