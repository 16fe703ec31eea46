"""The baseline: each value is counted once, in the bin that its edges say."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from mlplat.bundle.baseline import Baseline, Histogram, column_edges, decile_edges
from mlplat.bundle.features import BooleanColumn, CategoryColumn, NumericColumn

VALUES = st_numpy.arrays(np.float32, st.integers(1, 50), elements=st.floats(-1e6, 1e6, width=32))


@given(values=VALUES)
def test_every_value_is_counted_once(values: Any) -> None:
    histogram = Histogram.of(values, decile_edges(values))
    assert sum(histogram.counts) == len(values)
    assert len(histogram.counts) == len(histogram.edges) + 1 <= 10


@given(values=VALUES)
def test_a_bin_holds_what_is_at_least_its_lower_and_less_than_its_upper_edge(values: Any) -> None:
    histogram = Histogram.of(values, decile_edges(values))
    edges = [-np.inf, *histogram.edges, np.inf]
    wanted = [int(((values >= low) & (values < high)).sum()) for low, high in pairwise(edges)]
    assert list(histogram.counts) == wanted


def test_a_category_has_a_bin_for_unknown_each_category_and_missing() -> None:
    column = CategoryColumn(name="c", categories=("a", "b"), missing=True)
    codes = np.array([-1, 0, 0, 1, 2, 2, 2], dtype=np.float32)
    assert Histogram.of(codes, column_edges(column, codes)).counts == (1, 2, 1, 3)


def test_a_constant_column_has_a_bin_for_the_constant() -> None:
    values = np.full(5, 3.0, dtype=np.float32)
    histogram = Histogram.of(values, column_edges(NumericColumn(name="x"), values))
    assert histogram.counts == (0, 5, 0)
    assert histogram.count(np.array([2.9, 3.0, 3.1], dtype=np.float32)) == (1, 1, 1)


def test_the_largest_float_can_be_the_constant() -> None:
    values = np.full(5, np.finfo(np.float32).max, dtype=np.float32)
    assert Histogram.of(values, decile_edges(values)).counts == (0, 5)


def index(histogram: Histogram, values: Any) -> float:
    return histogram.stability_index(histogram.count(values))


def test_counts_must_fit_the_edges() -> None:
    with pytest.raises(ValueError, match="one count more than edges"):
        Histogram(edges=(1.0,), counts=(1,))


def test_a_baseline_survives_json() -> None:
    histogram = Histogram(edges=(0.5,), counts=(1, 2))
    baseline = Baseline(rows=3, features={"x": histogram}, predictions=histogram)
    assert Baseline.model_validate_json(baseline.model_dump_json()) == baseline


def test_values_as_in_training_have_an_index_near_0_and_others_a_large_one() -> None:
    rng = np.random.default_rng(0)
    training = rng.normal(size=5000)
    histogram = Histogram.of(training, decile_edges(training))
    assert index(histogram, training) == 0
    assert index(histogram, rng.normal(size=2000)) < 0.02
    assert 0.1 < index(histogram, rng.normal(0.5, size=2000)) < 0.5
    assert index(histogram, np.full(2000, 9.0)) > 1


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_booleans_are_cut_between_false_and_true_however_rare_one_is(share: float) -> None:
    values = (np.arange(1000) < 1000 * share).astype(np.float32)
    histogram = Histogram.of(values, column_edges(BooleanColumn(name="b"), values))
    assert histogram == Histogram(edges=(0.5,), counts=(round(1000 * (1 - share)), round(1000 * share)))


def test_a_number_that_is_nearly_always_0_drifts_when_it_no_longer_is() -> None:
    values = np.where(np.arange(1000) < 950, 0, 7).astype(np.float32)
    histogram = Histogram.of(values, column_edges(NumericColumn(name="x"), values))
    assert histogram.counts == (0, 950, 50)
    assert index(histogram, values) == 0
    assert index(histogram, np.where(np.arange(1000) < 500, 0, 7)) > 0.25


def test_the_index_is_the_formula_of_the_book() -> None:
    histogram = Histogram(edges=(0.5,), counts=(60, 40))
    values = np.array([0.0] * 30 + [1.0] * 70)
    expected = (0.3 - 0.6) * np.log(0.3 / 0.6) + (0.7 - 0.4) * np.log(0.7 / 0.4)
    assert index(histogram, values) == pytest.approx(expected)


def test_an_empty_bin_gives_a_finite_index() -> None:
    histogram = Histogram(edges=(0.5,), counts=(100, 0))
    assert 0 < index(histogram, np.ones(10)) < 100
