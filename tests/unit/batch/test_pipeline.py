import threading
from collections.abc import Generator
from contextlib import closing

import pytest

from mlplat.batch.pipeline import AHEAD, overlap


class BrokenError(Exception):
    """What the tests raise."""


def counting(stop: int, taken: list[int]) -> Generator[int]:
    for number in range(stop):
        taken.append(number)
        yield number


def test_results_come_in_order_whoever_is_faster() -> None:
    gates = [threading.Event() for _ in range(10)]

    def work(number: int) -> int:
        if number % 2 == 0 and number + 1 < len(gates):
            assert gates[number + 1].wait(10)
        gates[number].set()
        return number * number

    assert list(overlap(counting(10, []), work, workers=2)) == [number * number for number in range(10)]


def test_no_more_is_read_than_there_is_room_for() -> None:
    taken: list[int] = []
    with closing(overlap(counting(1000, taken), lambda number: number, workers=3)) as results:
        assert next(results) == 0
        assert len(taken) <= 3 * AHEAD + 1
    assert len(taken) < 1000


def test_an_error_of_the_work_is_raised_after_the_results_before_it() -> None:
    def work(number: int) -> int:
        if number == 5:
            raise BrokenError
        return number

    results = overlap(counting(10, []), work, workers=2)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(BrokenError):
        next(results)


def test_an_error_of_the_items_is_raised_after_the_results_before_it() -> None:
    def items() -> Generator[int]:
        yield 1
        raise BrokenError

    results = overlap(items(), lambda number: number, workers=2)
    assert next(results) == 1
    with pytest.raises(BrokenError):
        next(results)


def test_stopping_early_closes_the_items_and_ends_all_threads() -> None:
    closed = threading.Event()

    def items() -> Generator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    before = set(threading.enumerate())
    with closing(overlap(items(), lambda number: number, workers=2)) as results:
        next(results)
    assert closed.is_set()
    assert set(threading.enumerate()) <= before
