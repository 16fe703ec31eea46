"""What was answered lately: how often each class, or how the numbers are spread."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mlplat.bundle.answers import label_text
from mlplat.bundle.manifest import Label

MOST_OUTPUTS = 50
"""So many classes, the model's first, are counted apart, so that no model fills a metrics store."""

OTHER = "other"
"""The classes beyond them, together."""

QUANTILES = tuple(step / 20 for step in range(21))


@dataclass(frozen=True, slots=True)
class Recent:
    """The latest answers of one version.

    Attributes:
        rows: how many these are; rows for which the model had no number are none.
        outputs: of a classifier, how many rows were answered with each class.
        quantiles: of a model of numbers, the value that each share of the answers does not exceed; empty without rows.
    """

    rows: int
    outputs: dict[str, int]
    quantiles: dict[float, float]

    @classmethod
    def of(cls, classes: Sequence[Label] | None, values: NDArray[Any]) -> Self:
        """What `values` [rows] are: indices into `classes`, or numbers where there are none. Takes under a millisecond."""
        if classes is None:
            numbers = values[np.isfinite(values)].astype(np.float64)
            quantiles = np.quantile(numbers, QUANTILES).tolist() if len(numbers) else []
            return cls(len(numbers), {}, dict(zip(QUANTILES, quantiles, strict=bool(quantiles))))
        known = values[(values >= 0) & (values < len(classes))]
        outputs: Counter[str] = Counter()
        for index, rows in enumerate(np.bincount(known, minlength=len(classes)).tolist()):
            outputs[label_text(classes[index]) if index < MOST_OUTPUTS else OTHER] += rows
        return cls(len(known), dict(outputs), {})
