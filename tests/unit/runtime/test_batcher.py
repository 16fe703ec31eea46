"""Micro-batching: who shares a run, and that each gets its own answer."""

import asyncio
import threading
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlplat.bundle.features import TENSOR, Inputs
from mlplat.bundle.prediction import Prediction
from mlplat.errors import OverloadedError
from mlplat.runtime.batcher import Batcher


def rows(*values: float) -> Inputs:
    return {TENSOR: np.asarray(values, dtype=np.float32).reshape(-1, 1)}


def doubling(runs: list[int]) -> Callable[[Inputs], Prediction]:
    def predict(inputs: Inputs) -> Prediction:
        runs.append(len(inputs[TENSOR]))
        return Prediction(inputs[TENSOR][:, 0] * 2, np.concatenate([inputs[TENSOR], inputs[TENSOR]], axis=1))

    return predict


def test_requests_of_one_turn_share_one_run_and_each_gets_its_own() -> None:
    runs: list[int] = []

    async def scenario() -> list[Prediction]:
        batcher = Batcher(doubling(runs))
        asked = (batcher.predict(rows(1), 1), batcher.predict(rows(2, 3), 2), batcher.predict(rows(4), 1))
        return list(await asyncio.gather(*asked))

    answers = asyncio.run(scenario())
    assert [answer.values.tolist() for answer in answers] == [[2], [4, 6], [8]]
    assert [answer.probabilities.tolist() for answer in answers if answer.probabilities is not None] == [
        [[1, 1]],
        [[2, 2], [3, 3]],
        [[4, 4]],
    ]
    assert runs == [4]


def test_a_run_is_bounded_but_a_large_request_runs_whole() -> None:
    runs: list[int] = []

    async def scenario() -> None:
        batcher = Batcher(doubling(runs), max_rows=3)
        await asyncio.gather(*(batcher.predict(rows(*range(n)), n) for n in (2, 2, 5, 1)))

    asyncio.run(scenario())
    assert runs == [2, 2, 5, 1]


def test_a_slow_model_runs_in_a_thread_while_the_loop_goes_on() -> None:
    release = threading.Event()
    threads: list[str] = []

    def predict(inputs: Inputs) -> Prediction:
        threads.append(threading.current_thread().name)
        assert release.wait(30)
        return Prediction(inputs[TENSOR][:, 0])

    async def scenario() -> list[Prediction]:
        batcher = Batcher(predict, seconds_per_row=1.0)
        first = asyncio.create_task(batcher.predict(rows(1), 1))
        while not threads:  # the loop is free to poll
            await asyncio.sleep(0.001)
        second = asyncio.create_task(batcher.predict(rows(2), 1))
        await asyncio.sleep(0)
        release.set()
        answers = [await first, await second]
        batcher.close()
        return answers

    assert [answer.values.tolist() for answer in asyncio.run(scenario())] == [[1], [2]]
    assert threads[0].startswith("predict")


def test_calls_are_bounded_like_batches_and_run_in_the_thread() -> None:
    async def scenario() -> list[str | BaseException]:
        batcher = Batcher(doubling([]), max_waiting=2)
        calls = (batcher.call(lambda: threading.current_thread().name) for _ in range(4))
        answers = await asyncio.gather(*calls, return_exceptions=True)
        answers.append(await batcher.call(lambda: "again"))
        batcher.close()
        return answers

    first, second, third, fourth, fifth = asyncio.run(scenario())
    assert isinstance(first, str)
    assert first.startswith("predict")
    assert first == second
    assert isinstance(third, OverloadedError)
    assert isinstance(fourth, OverloadedError)
    assert fifth == "again"


def test_too_many_waiting_requests_are_refused_and_the_others_answered() -> None:
    async def scenario() -> list[Prediction | BaseException]:
        batcher = Batcher(doubling([]), max_waiting=2)
        return await asyncio.gather(*(batcher.predict(rows(i), 1) for i in range(4)), return_exceptions=True)

    answers = asyncio.run(scenario())
    assert [isinstance(answer, OverloadedError) for answer in answers] == [False, False, True, True]


def test_a_request_whose_client_left_is_not_run() -> None:
    runs: list[int] = []

    async def scenario() -> None:
        batcher = Batcher(doubling(runs))
        gone = asyncio.create_task(batcher.predict(rows(1, 2, 3), 3))
        stays = asyncio.create_task(batcher.predict(rows(4), 1))
        await asyncio.sleep(0)
        gone.cancel()
        await stays

    asyncio.run(scenario())
    assert runs == [1]


@pytest.mark.parametrize("seconds_per_row", [0.0, 1.0])
def test_a_failing_run_fails_its_requests_and_the_next_run_works(seconds_per_row: float) -> None:
    broken = [True]

    def predict(inputs: Inputs) -> Prediction:
        if broken.pop():
            raise RuntimeError("out of memory")
        return Prediction(inputs[TENSOR][:, 0])

    async def scenario() -> Prediction:
        batcher = Batcher(predict, seconds_per_row=seconds_per_row)
        with pytest.raises(RuntimeError, match="out of memory"):
            await batcher.predict(rows(1), 1)
        broken.append(False)
        answer = await batcher.predict(rows(2), 1)
        batcher.close()
        return answer

    assert asyncio.run(scenario()).values.tolist() == [2]


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=20),
    max_rows=st.integers(1, 8),
    slow=st.booleans(),
)
def test_any_mix_of_requests_gets_the_answers_of_its_own_rows(sizes: list[int], max_rows: int, slow: bool) -> None:
    async def scenario() -> list[Prediction]:
        batcher = Batcher(doubling([]), max_rows=max_rows, seconds_per_row=1.0 if slow else 0.0)
        answers = await asyncio.gather(
            *(batcher.predict(rows(*(100 * i + j for j in range(n))), n) for i, n in enumerate(sizes))
        )
        batcher.close()
        return answers

    answers = asyncio.run(scenario())
    for i, (size, answer) in enumerate(zip(sizes, answers, strict=True)):
        assert answer.values.tolist() == [2 * (100 * i + j) for j in range(size)]
