"""The gate moves an alias only to what is better by the margin and beyond the floor."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.errors import UsageError
from mlplat.recipes.iris import Iris
from mlplat.runtime import Predictor
from mlplat.store import open_store
from mlplat.train import Promotion
from mlplat.train.gate import IncomparableError, decide, score

SCORES = st.floats(-1e3, 1e3)


@pytest.mark.parametrize(
    ("lower", "challenger", "champion", "options", "promote", "words"),
    [
        (False, 0.93, 0.92, {}, True, "m 0.93 against the champion's 0.92: better"),
        (False, 0.92, 0.92, {}, False, "m 0.92 against the champion's 0.92: not better"),
        (False, 0.93, 0.92, {"margin": 0.01}, True, "better by 0.01 or more"),
        (False, 0.93, 0.92, {"margin": 0.02}, False, "not better by 0.02 or more"),
        (True, 0.30, 0.35, {"margin": 0.05}, True, "better by 0.05 or more"),
        (True, 0.35, 0.30, {}, False, "not better"),
        (False, 0.93, 0.92, {"floor": 0.95}, False, "m 0.93 is below the floor 0.95"),
        (True, 0.30, 0.35, {"floor": 0.2}, False, "m 0.3 is above the floor 0.2"),
        (False, 0.95, None, {"floor": 0.95}, True, "no champion, the floor is 0.95"),
        (False, 0.1, None, {}, True, "no champion"),
        (False, 0.1, None, {"floor": 0.2}, False, "below the floor"),
        (False, float("nan"), None, {}, False, "is no number"),
        (False, 0.9, float("nan"), {}, False, "not better"),
    ],
)
def test_decisions(  # noqa: PLR0917  # the facts of a case
    lower: bool, challenger: float, champion: float | None, options: dict[str, Any], promote: bool, words: str
) -> None:
    decision = decide(metric="m", lower_is_better=lower, challenger=challenger, champion=champion, **options)
    assert decision.promote is promote
    assert words in decision.reason
    assert decision.champion is champion


@given(challenger=SCORES, champion=SCORES, margin=st.floats(0, 10), lower=st.booleans())
def test_two_versions_never_both_beat_each_other(
    challenger: float, champion: float, margin: float, lower: bool
) -> None:
    there = decide(metric="m", lower_is_better=lower, challenger=challenger, champion=champion, margin=margin)
    back = decide(metric="m", lower_is_better=lower, challenger=champion, champion=challenger, margin=margin)
    assert not (there.promote and back.promote)


@given(challenger=SCORES, champion=SCORES, lower=st.booleans())
def test_a_larger_margin_or_a_floor_never_lets_more_through(challenger: float, champion: float, lower: bool) -> None:
    scores: dict[str, Any] = {"metric": "m", "lower_is_better": lower, "challenger": challenger, "champion": champion}
    free = decide(**scores)
    assert free.promote or not decide(**scores, margin=0.5).promote
    assert free.promote or not decide(**scores, floor=0.0).promote


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"if_absent": True, "if_better": "accuracy"}, "exclude each other"),
        ({"margin": 0.1}, "--margin and --floor need a metric"),
        ({"floor": 0.1}, "--margin and --floor need a metric"),
        ({"if_better": "accuracy", "margin": -1.0}, "margin cannot be -1"),
    ],
)
def test_conditions_that_mean_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Promotion("champion", **options)


def test_an_alias_must_have_a_valid_name() -> None:
    with pytest.raises(UsageError, match=r"cannot name an alias"):
        Promotion("../champion")


def test_a_version_without_a_number_for_a_held_out_row_is_not_scored(trained: Path, tmp_path: Path) -> None:
    """Metrics of what is NaN raise, or are NaN, which nothing is better than."""
    store = open_store(str(trained), create=False)
    manifest = store.manifest("iris", "v2")
    (tmp_path / "model.onnx").write_bytes(store.read_file(manifest, manifest.model_file))
    predictor = Predictor.load(manifest, tmp_path / "model.onnx")
    recipe = Iris.parse({})
    data = recipe.data(None)
    rows = np.arange(len(data))
    assert score(manifest, predictor, recipe, data, rows)["accuracy"] > 0.9
    data.columns["sepal_width"].cells[7] = 3.4e38
    data.columns["petal_width"].cells[7] = -3.4e38
    with pytest.raises(IncomparableError, match="it has no number for 1 of the held-out rows"):
        score(manifest, predictor, recipe, data, rows)
