"""What is to be reconciled: once, not twice at a time, again after a failure."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from mlplat.operator import queue
from mlplat.operator.informer import Key
from mlplat.operator.queue import WorkQueue


def key(name: str) -> Key:
    return "ml", name


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_a_key_that_was_added_twice_is_handled_once() -> None:
    async def scenario() -> None:
        handled: list[Key] = []

        async def handle(one: Key) -> None:
            handled.append(one)

        work = WorkQueue(handle)
        work.add(key("a"))
        work.add(key("a"))
        work.add(key("b"))
        assert len(work) == 2
        running = asyncio.create_task(work.run(2))
        await until(lambda: len(handled) == 2)
        assert sorted(handled) == [key("a"), key("b")]
        running.cancel()

    run(scenario)


def test_a_key_that_comes_while_it_is_handled_waits_until_then() -> None:
    async def scenario() -> None:
        at_once, most, count = 0, 0, 0
        gate = asyncio.Event()

        async def handle(_: Key) -> None:
            nonlocal at_once, most, count
            at_once += 1
            most = max(most, at_once)
            count += 1
            await gate.wait()
            at_once -= 1

        work = WorkQueue(handle)
        running = asyncio.create_task(work.run(4))
        work.add(key("a"))
        await until(lambda: count == 1)
        work.add(key("a"))
        work.add(key("a"))
        gate.set()
        await until(lambda: count == 2)
        assert most == 1
        running.cancel()

    run(scenario)


def test_one_that_fails_is_tried_again_and_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "FIRST_RETRY_SECONDS", 0.001)

    async def scenario() -> None:
        tries, others = 0, 0

        async def handle(one: Key) -> None:
            nonlocal tries, others
            if one == key("bad"):
                tries += 1
                if tries < 4:
                    raise ValueError("no")
            else:
                others += 1

        work = WorkQueue(handle)
        running = asyncio.create_task(work.run(1))
        work.add(key("bad"))
        work.add(key("good"))
        await until(lambda: tries == 4 and others == 1)
        running.cancel()

    run(scenario)


def test_one_that_asks_for_it_is_handled_again_later() -> None:
    async def scenario() -> None:
        count = 0

        async def handle(_: Key) -> float | None:
            nonlocal count
            count += 1
            return 0.01 if count < 3 else None

        work = WorkQueue(handle)
        running = asyncio.create_task(work.run(1))
        work.add(key("a"))
        await until(lambda: count == 3)
        running.cancel()

    run(scenario)
