"""Recipes: how models are made. Subclass `Recipe` to bring your own."""

from mlplat.recipes.base import Recipe
from mlplat.recipes.dataset import Dataset
from mlplat.recipes.inference import infer_features
from mlplat.recipes.params import ParameterHelp, Parameters
from mlplat.recipes.registry import find_recipe, recipe_names
from mlplat.recipes.table import Table, read_table

__all__ = [
    "Dataset",
    "ParameterHelp",
    "Parameters",
    "Recipe",
    "Table",
    "find_recipe",
    "infer_features",
    "read_table",
    "recipe_names",
]
