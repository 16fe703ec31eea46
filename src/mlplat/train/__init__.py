"""Training: fit a recipe, export it, compare the export, publish it, and decide whether it takes over."""

from mlplat.train.gate import Decision, Promotion
from mlplat.train.progress import Reporter, reporter
from mlplat.train.run import TrainResult, train

__all__ = ["Decision", "Promotion", "Reporter", "TrainResult", "reporter", "train"]
