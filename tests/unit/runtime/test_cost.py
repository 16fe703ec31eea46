"""What a run is expected to take."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.runtime.cost import Cost


def test_two_runs_tell_the_start_from_the_rows() -> None:
    cost = Cost.of(0.002, 101, 0.012)
    assert cost.seconds(1) == pytest.approx(0.002)
    assert cost.seconds(1001) == pytest.approx(0.102)


def test_no_rows_take_no_time() -> None:
    assert Cost(1, 1).seconds(0) == 0


def test_a_run_of_more_rows_that_was_no_slower_costs_nothing_a_row() -> None:
    assert Cost.of(0.002, 64, 0.001).seconds(1000) == pytest.approx(0.002, rel=1e-3)


@given(st.floats(0, 1), st.floats(1e-6, 1), st.floats(1e-3, 10))
def test_the_rows_of_a_time_take_that_time(start: float, row: float, seconds: float) -> None:
    cost = Cost(start, row)
    rows = cost.rows(seconds)
    assert rows == 1 or cost.seconds(rows) <= seconds * 1.0001
    assert cost.seconds(rows + 1) > seconds * 0.9999


def test_a_machine_that_became_slower_is_learnt() -> None:
    cost = Cost(0.001, 0.001)
    for _ in range(100):
        cost.learn(1, 0.02)
    assert cost.seconds(1) == pytest.approx(0.02, rel=0.01)


def test_one_odd_run_does_not_count_for_more_than_ten() -> None:
    cost = Cost(0.001, 0)
    cost.learn(1, 3600)
    assert cost.seconds(1) <= 0.002
