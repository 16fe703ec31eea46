"""Connections that are not read for a moment."""

import asyncio
from functools import partial

import pytest

from mlplat.serve import calm
from mlplat.serve.calm import Calm


def test_each_is_called_back_once_in_its_turn() -> None:
    called: list[int] = []

    async def scenario() -> None:
        waiting = Calm(deadline=0.2)
        for number in range(5):
            waiting.wait(partial(called.append, number))
        assert not called
        while len(called) < 5:
            await asyncio.sleep(0.01)
        waiting.wait(lambda: called.append(5))  # it begins anew
        while len(called) < 6:
            await asyncio.sleep(0.01)

    asyncio.run(scenario())
    assert called == [0, 1, 2, 3, 4, 5]


def test_the_more_there_are_the_longer_but_never_longer_than_a_share_of_the_deadline() -> None:
    async def scenario(deadline: float, number: int) -> float:
        waiting = Calm(deadline)
        for _ in range(number):
            waiting.wait(lambda: None)
        return max(until for until, _, _ in waiting._waiting) - asyncio.get_running_loop().time()

    def longest(deadline: float, number: int) -> float:
        return asyncio.run(scenario(deadline, number))

    assert longest(30, 10) == pytest.approx(calm.CALM_SECONDS, abs=0.05)
    assert longest(30, calm.REFUSALS_A_SECOND // 2) == pytest.approx(0.5, abs=0.05)
    assert longest(30, 2 * calm.REFUSALS_A_SECOND) == pytest.approx(calm.LONGEST_SECONDS, abs=0.05)
    assert longest(0.4, 100) == pytest.approx(0.1, abs=0.05)


def test_many_refusals_are_told_from_few() -> None:
    waiting = Calm(30)
    assert not any(waiting.count() for _ in range(calm.MANY))
    assert waiting.count()
