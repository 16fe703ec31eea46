"""Held-out rows: a row keeps its side when data grows, and every class is on both sides."""

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from mlplat.recipes import Dataset
from mlplat.recipes.split import hold_out, hold_out_last, row_hashes


def frame_of(rows: int, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "x": rng.normal(size=rows),
            "c": rng.choice(np.array(["p", "q", None]), rows),
            "y": rng.choice(["a", "b", "c"], rows),
        }
    )


def dataset(frame: Any) -> Dataset:
    return Dataset.from_frame(frame, target="y", uri="memory")


def test_about_a_fifth_of_each_class_is_held_out() -> None:
    data = dataset(frame_of(3000))
    held_out = hold_out(data)
    shares = [held_out[data.y == code].mean() for code in range(3)]
    assert all(0.16 < share < 0.24 for share in shares)


@given(kept=st.integers(500, 1000))
def test_a_row_keeps_its_side_when_rows_are_appended(kept: int) -> None:
    frame = frame_of(1000)
    assert (hold_out(dataset(frame))[:kept] == hold_out(dataset(frame.iloc[:kept]))).all()


def test_the_order_of_rows_and_columns_does_not_matter() -> None:
    frame = frame_of(200)
    turned = frame.iloc[::-1, ::-1]
    assert (row_hashes(dataset(frame)) == row_hashes(dataset(turned))[::-1]).all()


def test_the_hashes_are_the_same_in_every_release() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.5] * 5, "c": ["p", None] * 5, "y": ["a", "b"] * 5})
    assert row_hashes(dataset(frame)).round(6).tolist()[:2] == [0.404813, 0.909117]


def test_equal_rows_stay_together() -> None:
    frame = frame_of(300)
    doubled = pd.concat([frame, frame], ignore_index=True)
    held_out = hold_out(dataset(doubled))
    assert (held_out[:300] == held_out[300:]).all()


@given(seed=st.integers(0, 10_000), per_class=st.integers(5, 8))
def test_every_class_is_on_both_sides(seed: int, per_class: int) -> None:
    x = np.random.default_rng(seed).normal(size=3 * per_class)
    data = dataset(pd.DataFrame({"x": x, "y": ["a", "b", "c"] * per_class}))
    held_out = hold_out(data)
    assert set(data.y[held_out]) == set(data.y[~held_out]) == {0, 1, 2}


def test_rows_that_are_all_equal_are_split_as_well() -> None:
    held_out = hold_out(dataset(pd.DataFrame({"x": [1.0] * 20, "y": ["a", "b"] * 10})))
    assert 0 < held_out.sum() < 20


def test_the_last_rows_of_a_series_are_held_out() -> None:
    held_out = hold_out_last(dataset(frame_of(50)))
    assert held_out.tolist() == [False] * 40 + [True] * 10
