"""The columns that hold a model's answers in a file."""

from collections.abc import Sequence

from mlplat.bundle.manifest import Label

PREDICTION = "prediction"
PROBABILITY = "probability_"
VERSION = "model_version"


def answer_columns(classes: Sequence[Label] | None) -> list[str]:
    """The columns that batch scoring adds to a file; no feature can have such a name."""
    return [PREDICTION, *(f"{PROBABILITY}{label_text(label)}" for label in classes or ()), VERSION]


def label_text(label: Label) -> str:
    """A class as a key of an answer or in a column's name: `true`, `1`, `setosa`."""
    return str(label).lower() if isinstance(label, bool) else str(label)
