"""What a run is expected to take."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

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


MODELS: dict[str, Callable[[int], float]] = {
    "slow to start": lambda rows: 0.3 + 1e-6 * rows,
    "slow a row": lambda rows: 0.002 * rows,
    "both": lambda rows: 0.01 + 0.001 * rows,
    "fast": lambda rows: 1e-5 + 1e-6 * rows,
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("first", [1, 4])
def test_whatever_sizes_come_each_is_expected_to_take_what_it_takes(name: str, first: int) -> None:
    model = MODELS[name]
    cost = Cost.of(model(1), 4, model(4)) if first == 4 else Cost(0.0, model(1))
    for _ in range(60):
        for rows in (1000, 1000, 1000, 1, 3, 17):
            cost.learn(rows, model(rows))
    for rows in (1, 3, 17, 1000):
        assert cost.seconds(rows) == pytest.approx(model(rows), rel=0.05)


def test_many_large_runs_do_not_make_a_small_one_look_fast() -> None:
    """A model that is slow to start: its small runs must not come back to the event loop."""
    cost = Cost.of(0.3, 4, 0.3)
    for _ in range(200):
        cost.learn(1000, 0.301)
    assert cost.seconds(1) > 0.25


def test_a_large_run_of_a_model_that_is_slow_to_start_is_not_refused_for_its_rows() -> None:
    assert Cost.of(0.3, 4, 0.3).seconds(1000) < 1


def test_a_machine_that_became_slower_is_learnt() -> None:
    cost = Cost(0.001, 0.001)
    for _ in range(100):
        cost.learn(1, 0.02)
    assert cost.seconds(1) == pytest.approx(0.02, rel=0.01)


def test_one_odd_run_does_not_count_for_more_than_ten() -> None:
    cost = Cost(0.001, 0)
    cost.learn(1, 3600)
    assert cost.seconds(1) <= 0.002


@given(st.lists(st.tuples(st.integers(1, 10_000), st.floats(1e-6, 10)), max_size=60))
def test_more_rows_are_never_expected_to_take_less(runs: list[tuple[int, float]]) -> None:
    cost = Cost(0.001, 0.001)
    for rows, seconds in runs:
        cost.learn(rows, seconds)
        sizes, _ = cost._known
        assert len(sizes) <= 16
        assert list(sizes) == sorted(sizes)
    expected = [cost.seconds(rows) for rows in (1, 7, 100, 5000, 20_000)]
    assert expected == sorted(expected)
    assert expected[0] > 0
    assert cost.seconds(cost.rows(expected[2])) <= expected[2] * 1.001


def test_who_reads_while_a_run_is_learnt_finds_what_was_known_before_or_after_it() -> None:
    """A run is learnt in a thread, between any two instructions of which the event loop may read."""
    sizes = (1, 2, 3, 5, 40, 100, 500, 3000, 6000)
    cost = Cost(1e-3, 1e-5)
    seen: list[tuple[float, ...]] = []

    def read() -> tuple[float, ...]:
        return (*map(cost.seconds, sizes), *map(cost.rows, (0.0005, 0.01, 0.1)))

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code is not Cost.learn.__code__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            seen.append(read())
        return trace

    for rows, seconds in ((3, 0.002), (3000, 0.005), (40, 0.2), (600, 0.001), (3, 0.004), (17, 1e-6)):
        before = read()
        seen.clear()
        tracing = sys.gettrace()
        sys.settrace(trace)
        try:
            cost.learn(rows, seconds)
        finally:
            sys.settrace(tracing)
        assert len(seen) > 50
        assert set(seen) <= {before, read()}
