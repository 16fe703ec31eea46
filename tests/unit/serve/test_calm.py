"""Connections that are not read for a moment."""

import asyncio
import time
from functools import partial
from typing import Any

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


def test_the_more_there_are_the_longer_but_never_longer_than_a_share_of_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)

    async def scenario(deadline: float, number: int) -> float:
        waiting = Calm(deadline)
        for _ in range(number):
            waiting.wait(lambda: None)
        return max(until for until, _, _ in waiting._waiting) - 1000.0

    def longest(deadline: float, number: int) -> float:
        return asyncio.run(scenario(deadline, number))

    assert longest(30, 10) == pytest.approx(calm.CALM_SECONDS)
    assert longest(30, calm.REFUSALS_A_SECOND // 2 + 1) == pytest.approx(0.5)
    assert longest(30, 2 * calm.REFUSALS_A_SECOND) == pytest.approx(calm.LONGEST_SECONDS)
    assert longest(0.4, 100) == pytest.approx(0.1)


def test_many_refusals_are_told_from_few() -> None:
    waiting = Calm(30)
    assert not any(waiting.count() for _ in range(calm.MANY))
    assert waiting.count()


def test_one_that_raises_holds_up_no_other() -> None:
    called: list[int] = []
    unhandled: list[dict[str, Any]] = []

    def broken() -> None:
        raise RuntimeError("a bug")

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        waiting = Calm(deadline=0.2)
        for number in range(3):
            waiting.wait(broken)
            waiting.wait(partial(called.append, number))
        await asyncio.sleep(0.02)  # so that this one is not due with the others
        waiting.wait(partial(called.append, 3))
        async with asyncio.timeout(10):
            while len(called) < 4:
                await asyncio.sleep(0.01)
            waiting.wait(partial(called.append, 4))
            while len(called) < 5:
                await asyncio.sleep(0.01)

    asyncio.run(scenario())
    assert called == [0, 1, 2, 3, 4]
    assert not unhandled


def test_one_that_is_calm_again_at_once_needs_no_more_timers(monkeypatch: pytest.MonkeyPatch) -> None:
    timers: list[object] = []
    rounds = 10

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        call_later = loop.call_later

        def counted(*args: Any) -> asyncio.TimerHandle:
            timers.append(args)
            return call_later(*args)

        monkeypatch.setattr(loop, "call_later", counted)
        waiting = Calm(deadline=0.2)
        done = loop.create_future()
        left = rounds

        def again() -> None:
            nonlocal left
            left -= 1
            if left:
                waiting.wait(again)
            else:
                done.set_result(None)

        waiting.wait(again)
        await done

    asyncio.run(scenario())
    assert len(timers) < 2 * rounds
