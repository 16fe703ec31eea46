"""A scikit-learn `Pipeline` with a `ColumnTransformer` over columns of strings, exported as it is.

The recipe leaves strings to the pipeline (`strings=True`): the exported model has one input per column, and clients
send the same names and values as ever. From this folder:

    mlplat train --recipe strings_pipeline:Tickets --model tickets --version v1
    mlplat train --recipe strings_pipeline:Tickets --model tickets --version v2 --data tickets.csv   # target: urgent
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlplat.recipes import Dataset, Features, Recipe, Task, infer_features, read_table


class Tickets(Recipe):
    """Whether a support ticket is urgent, from where it came, what it is about, and its length."""

    def data(self, source: str | None) -> Dataset:
        """A file with a column `urgent`, or 1,000 generated tickets."""
        if source is not None:
            return Dataset.from_table(read_table(source), target="urgent")
        return Dataset.from_frame(generate_tickets(1000, seed=1), target="urgent", uri="generated:tickets")

    def features(self, data: Dataset, training: NDArray[np.bool_]) -> Features:
        """Strings stay strings."""
        return infer_features(data, training, strings=True)

    def estimator(self, features: Features, task: Task) -> BaseEstimator:
        """One-hot strings and standardised numbers into logistic regression; a new string counts for nothing."""
        strings = [column.name for column in features.columns if column.kind == "string"]
        numbers = [column.name for column in features.columns if column.kind != "string"]
        columns = ColumnTransformer(
            [
                ("strings", OneHotEncoder(handle_unknown="ignore", sparse_output=False), strings),
                ("numbers", StandardScaler(), numbers),
            ]
        )
        return Pipeline([("columns", columns), ("model", LogisticRegression(max_iter=1000))])


def generate_tickets(rows: int, seed: int) -> pd.DataFrame:
    """Tickets about outages, from large customers, and short ones are urgent more often; one channel in ten is missing."""
    rng = np.random.default_rng(seed)
    channel = rng.choice(np.array(["mail", "phone", "chat", None], dtype=object), rows, p=[0.4, 0.3, 0.2, 0.1])
    topic = rng.choice(["billing", "outage", "question", "größe"], rows)
    words = rng.integers(5, 400, rows).astype(float)
    odds = -1.0 + 2.5 * (topic == "outage") + 1.0 * (channel == "phone") - 0.005 * (words - 200)
    urgent = rng.random(rows) < 1 / (1 + np.exp(-odds))
    return pd.DataFrame({"channel": channel, "topic": topic, "words": words, "urgent": urgent})
