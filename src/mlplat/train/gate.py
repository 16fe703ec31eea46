"""The gate: whether a new version (the challenger) takes an alias from the one that has it (the champion)."""

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mlplat.bundle import names
from mlplat.bundle.manifest import Manifest
from mlplat.errors import MlplatError, UsageError
from mlplat.recipes import Dataset, Recipe
from mlplat.runtime import Predictor
from mlplat.store import Store

_EPSILON = 1e-9
"""Differences of two scores below this are rounding: 0.93 is better than 0.92 by 0.01."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """Which alias to move to the new version, and when.

    Attributes:
        alias: moved always if nothing else is said.
        if_absent: only if it does not exist yet.
        if_better: only if this metric is better than the champion's.
        margin: by at least so much.
        floor: and only if the metric is at least (for errors: at most) this. Enough where there is no champion.
    """

    alias: str
    if_absent: bool = False
    if_better: str | None = None
    margin: float = 0.0
    floor: float | None = None

    def __post_init__(self) -> None:
        names.check(self.alias, "alias")
        if self.if_absent and self.if_better:
            raise UsageError("--if-absent and --if-better exclude each other.", hint="Give one of them.")
        if self.if_better is None and (self.margin or self.floor is not None):
            raise UsageError("--margin and --floor need a metric.", hint="Add --if-better METRIC.")
        if not (math.isfinite(self.margin) and self.margin >= 0):
            raise UsageError(f"The margin cannot be {self.margin}.", hint="Give a number of at least 0.")


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the alias moves, why in words, and the scores that were compared where there are any."""

    promote: bool
    reason: str
    challenger: float | None = None
    champion: float | None = None


class IncomparableError(Exception):
    """A champion that cannot be scored on the challenger's held-out rows; says why."""


def decide(
    *,
    metric: str,
    lower_is_better: bool,
    challenger: float,
    champion: float | None,
    margin: float = 0.0,
    floor: float | None = None,
) -> Decision:
    """Compare two scores of one metric over the same rows.

    Args:
        metric: its name, for the reason.
        lower_is_better: whether it is an error.
        challenger: the new version's score.
        champion: the alias's; None if there is no champion: then only the floor counts.
        margin: how much better the challenger must be; with 0 it must just be better.
        floor: the worst score that may be promoted.
    """
    sign = -1.0 if lower_is_better else 1.0
    scores = f"{metric} {challenger:.6g}"
    if not math.isfinite(challenger):
        return Decision(promote=False, reason=f"{scores} is no number", challenger=challenger, champion=champion)
    if floor is not None and sign * (challenger - floor) < -_EPSILON:
        side = "above" if lower_is_better else "below"
        return Decision(False, f"{scores} is {side} the floor {floor:g}", challenger, champion)
    if champion is None:
        words = "" if floor is None else f", the floor is {floor:g}"
        return Decision(True, f"{scores}, no champion{words}", challenger)
    gain = sign * (challenger - champion)
    better = gain > _EPSILON and gain >= margin - _EPSILON
    compared = f"{scores} against the champion's {champion:.6g}"
    need = f"better by {margin:g} or more" if margin else "better"
    return Decision(better, f"{compared}: {'' if better else 'not '}{need}", challenger, champion)


def score(
    manifest: Manifest, predictor: Predictor, recipe: Recipe, data: Dataset, held_out: NDArray[Any]
) -> dict[str, float]:
    """The metrics of any version of a model over held-out rows, with the version's own features and classes.

    Args:
        manifest: the version.
        predictor: of that version.
        recipe: whose metrics to use.
        data: the data set of the challenger.
        held_out: which rows.

    Raises:
        IncomparableError: if the version predicts another task or other classes, lacks a column, or has no number for a row.
    """
    if manifest.task != data.task:
        raise IncomparableError(f"it is a {manifest.task}, not a {data.task}")
    if _typed(manifest.classes) != _typed(data.classes):
        ours, theirs = _some(data.classes or ()), _some(manifest.classes or ())
        raise IncomparableError(f"its classes are {theirs}, those of the data {ours}")
    absent = [name for name in manifest.features.names if name not in data.columns]
    if absent:
        raise IncomparableError(f"the data lacks its columns {', '.join(map(repr, absent))}")
    inputs, problems = manifest.features.encode(data.raw(held_out))
    if problems:
        raise IncomparableError(f"it cannot take the held-out {problems[0]}")
    predicted = predictor.predict(inputs)
    if predicted.undefined is not None:
        raise IncomparableError(f"it has no number for {int(predicted.undefined.sum())} of the held-out rows")
    return recipe.metrics(data.task, data.y[held_out], predicted, inputs)


def _typed(labels: tuple[Any, ...] | None) -> list[tuple[type, Any]] | None:
    """Labels that differ where JSON does: 1 is not true."""
    return None if labels is None else [(type(label), label) for label in labels]


def _some(labels: tuple[Any, ...]) -> str:
    return ", ".join(map(repr, labels[:10])) + (" ..." if len(labels) > 10 else "")


def score_stored(
    store: Store, manifest: Manifest, recipe: Recipe, data: Dataset, held_out: NDArray[Any], *, allow_pickle: bool
) -> dict[str, float]:
    """The metrics of a version in the store, from its verified bytes.

    Raises:
        IncomparableError: if it cannot be scored on these rows.
    """
    with tempfile.TemporaryDirectory(prefix="mlplat-gate-") as folder:
        path = Path(folder) / manifest.model_file
        path.write_bytes(store.read_file(manifest, manifest.model_file))
        try:
            predictor = Predictor.load(manifest, path, allow_pickle=allow_pickle)
        except MlplatError as error:
            raise IncomparableError(str(error)) from error
        return score(manifest, predictor, recipe, data, held_out)
