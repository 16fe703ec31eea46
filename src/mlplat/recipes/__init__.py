"""Recipes: how models are made. Subclass `Recipe` to bring your own; all that it takes can be imported from here."""

from mlplat.bundle.features import Features, Inputs
from mlplat.bundle.manifest import Task
from mlplat.bundle.prediction import Prediction
from mlplat.recipes.base import Recipe
from mlplat.recipes.dataset import Dataset
from mlplat.recipes.inference import infer_features
from mlplat.recipes.params import ParameterHelp, Parameters
from mlplat.recipes.registry import find_recipe, recipe_names
from mlplat.recipes.table import Table, read_table

__all__ = [
    "Dataset",
    "Features",
    "Inputs",
    "ParameterHelp",
    "Parameters",
    "Prediction",
    "Recipe",
    "Table",
    "Task",
    "find_recipe",
    "infer_features",
    "read_table",
    "recipe_names",
]
