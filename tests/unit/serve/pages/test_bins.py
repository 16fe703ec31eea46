"""Bins in words."""

import numpy as np
import pytest

from mlplat.bundle.features import BooleanColumn, CategoryColumn, DateColumn, NumericColumn
from mlplat.serve.pages.bins import MOST_BARS, bars, day, edge_names, feature_bins, filled, prediction_bins
from mlplat.web.svg import Bar

NUMBER = NumericColumn(name="x")


def next_to(value: float) -> float:
    return float(np.nextafter(np.float32(value), np.float32(np.inf)))


def test_numbers_are_ranges_that_are_open_outside() -> None:
    assert feature_bins(NUMBER, (1.0, 2.5)) == ["below 1", "1 to 2.5", "2.5 and more"]


def test_a_bin_of_one_value_is_called_by_it() -> None:
    edges = (3.0, next_to(3.0), 5.0, next_to(5.0))
    assert feature_bins(NUMBER, edges) == ["below 3", "3", "3 to 5", "5", "above 5"]


def test_a_histogram_without_edges_has_one_bin() -> None:
    assert feature_bins(NUMBER, ()) == ["all"]


def test_dates_are_written_as_dates() -> None:
    assert feature_bins(DateColumn(name="d"), (0.0, 365.0)) == [
        "below 1970-01-01",
        "1970-01-01 to 1971-01-01",
        "1971-01-01 and more",
    ]
    assert edge_names(DateColumn(name="d"), (-1.5,)) == ["1969-12-30"]


def test_a_day_that_no_calendar_has_is_a_number() -> None:
    assert day(1e12) == "1e+12"
    assert day(1e9) == "1e+09"


def test_booleans_are_false_and_true() -> None:
    assert feature_bins(BooleanColumn(name="b"), (0.5,)) == ["false", "true"]


def test_booleans_of_versions_that_were_cut_at_deciles_are_ranges() -> None:
    assert feature_bins(BooleanColumn(name="b"), (0.0, 1.0)) == ["below 0", "0 to 1", "1 and more"]


def test_categories_come_between_unknown_and_missing() -> None:
    column = CategoryColumn(name="c", categories=("a", "b"))
    assert feature_bins(column, (-0.5, 0.5, 1.5)) == ["(unknown)", "a", "b", "(missing)"]


def test_predicted_classes_have_their_names() -> None:
    assert prediction_bins((True, False), (0.5,)) == ["true", "false"]
    assert prediction_bins(None, (0.5,)) == ["below 0.5", "0.5 and more"]


def test_counts_become_shares() -> None:
    assert bars(["a", "b"], (1, 3), (0, 0)) == [Bar("a", 0.25, 0.0), Bar("b", 0.75, 0.0)]
    assert bars(["a"], (0,), None) == [Bar("a", 0.0, None)]


@pytest.mark.parametrize("live", [None, 0.02])
def test_of_many_categories_the_most_frequent_are_shown_and_the_rest_as_one(live: float | None) -> None:
    every = [Bar(f"c{i}", 0.02 if i else 0.5, live) for i in range(20)] + [Bar("never", 0.0, live and 0.0)]
    shown = filled(every)
    assert len(shown) == MOST_BARS
    assert shown[0].name == "c0"
    assert shown[-1].name == "(9 others)"
    assert shown[-1].baseline == pytest.approx(0.18)
    assert shown[-1].live == (None if live is None else pytest.approx(0.18))
