"""Micro-batching: who shares a run, and that each gets its own answer."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlplat.bundle.features import TENSOR, Inputs
from mlplat.bundle.prediction import Prediction
from mlplat.errors import OverloadedError
from mlplat.runtime.batcher import Batcher, Job
from mlplat.runtime.cost import Cost


def rows(*values: float) -> Inputs:
    return {TENSOR: np.asarray(values, dtype=np.float32).reshape(-1, 1)}


class Asked(Job):
    """A job that keeps what it got."""

    def __init__(self, inputs: Inputs, count: int, *, seconds: float = 60.0) -> None:
        loop = asyncio.get_running_loop()
        self.inputs, self.rows = inputs, count
        self.waiting = self.settled = False
        self.timer = None
        self._deadline = loop.time() + seconds
        self.got: asyncio.Future[Prediction] = loop.create_future()

    @property
    def deadline(self) -> float:
        return self._deadline

    def answer(self, prediction: Prediction, first: int) -> None:
        self.got.set_result(prediction.rows(first, first + self.rows))

    def fail(self, error: Exception) -> None:
        self.got.set_exception(error)


def ask(batcher: Batcher, *values: float, seconds: float = 60.0) -> Asked:
    job = Asked(rows(*values), len(values), seconds=seconds)
    batcher.submit(job)
    return job


def doubling(runs: list[int]) -> Callable[[Inputs], Prediction]:
    def predict(inputs: Inputs) -> Prediction:
        runs.append(len(inputs[TENSOR]))
        return Prediction(inputs[TENSOR][:, 0] * 2, np.concatenate([inputs[TENSOR], inputs[TENSOR]], axis=1))

    return predict


def test_requests_of_one_turn_share_one_run_and_each_gets_its_own() -> None:
    runs: list[int] = []

    async def scenario() -> list[Prediction]:
        batcher = Batcher(doubling(runs), cost=Cost(0, 0))
        asked = [ask(batcher, 1), ask(batcher, 2, 3), ask(batcher, 4)]
        return [await job.got for job in asked]

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
        batcher = Batcher(doubling(runs), cost=Cost(0, 0), max_rows=3)
        for job in [ask(batcher, *range(n)) for n in (2, 2, 5, 1)]:
            await job.got

    asyncio.run(scenario())
    assert runs == [2, 2, 5, 1]


def test_a_slow_model_runs_few_rows_at_once() -> None:
    runs: list[int] = []

    async def scenario() -> None:
        batcher = Batcher(doubling(runs), cost=Cost(0, 0.03))
        for job in [ask(batcher, n) for n in range(7)]:
            await job.got
        batcher.close()

    asyncio.run(scenario())
    assert runs[0] == 3


class Held:
    """A model that is slow until it is let go."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.threads: list[str] = []

    def __call__(self, inputs: Inputs) -> Prediction:
        self.threads.append(threading.current_thread().name)
        assert self.release.wait(30)
        return Prediction(inputs[TENSOR][:, 0])

    async def started(self) -> None:
        while not self.threads:  # the loop is free to poll
            await asyncio.sleep(0.001)


def test_a_slow_model_runs_in_a_thread_while_the_loop_goes_on() -> None:
    held = Held()

    async def scenario() -> list[Prediction]:
        batcher = Batcher(held, cost=Cost(1, 1))
        first = ask(batcher, 1)
        await held.started()
        second = ask(batcher, 2)
        held.release.set()
        answers = [await first.got, await second.got]
        batcher.close()
        return answers

    assert [answer.values.tolist() for answer in asyncio.run(scenario())] == [[1], [2]]
    assert held.threads[0].startswith("predict")


def test_the_deadline_ends_the_wait_of_what_runs_and_of_what_waits() -> None:
    held = Held()

    async def scenario() -> None:
        batcher = Batcher(held, cost=Cost(0.01, 0.01))
        first = ask(batcher, 1, seconds=0.2)
        await held.started()
        second = ask(batcher, 2, seconds=0.2)
        for job in (first, second):
            with pytest.raises(OverloadedError, match="before the deadline"):
                await job.got
        third = ask(batcher, 3)
        held.release.set()
        assert (await third.got).values.tolist() == [3]
        batcher.close()

    asyncio.run(scenario())


def test_a_request_that_could_only_be_answered_too_late_is_refused_at_once() -> None:
    held = Held()

    async def scenario() -> None:
        batcher = Batcher(held, cost=Cost(1, 10))
        first = ask(batcher, 1, seconds=25)
        await held.started()
        with pytest.raises(OverloadedError, match="longer than the deadline") as caught:
            ask(batcher, 2, seconds=20)
        assert caught.value.retry_after >= 11
        held.release.set()
        await first.got
        batcher.close()

    asyncio.run(scenario())


def test_calls_are_bounded_like_batches_and_run_in_the_thread() -> None:
    threads: list[str] = []

    def forecast() -> Prediction:
        threads.append(threading.current_thread().name)
        return Prediction(np.zeros(3, dtype=np.float32))

    def call(batcher: Batcher) -> Asked:
        job = Asked(rows(1), 3)
        batcher.call(job, forecast, 3)
        return job

    async def scenario() -> None:
        batcher = Batcher(doubling([]), cost=Cost(0, 0), max_waiting=2)
        first, second = call(batcher), call(batcher)
        with pytest.raises(OverloadedError):
            call(batcher)
        assert len(await first.got) == len(await second.got) == 3
        await call(batcher).got
        batcher.close()

    asyncio.run(scenario())
    assert all(thread.startswith("predict") for thread in threads)


def test_too_many_waiting_requests_are_refused_and_the_others_answered() -> None:
    held = Held()

    async def scenario() -> None:
        batcher = Batcher(held, cost=Cost(0.05, 0), max_waiting=2)
        jobs = [ask(batcher, 0)]
        await held.started()
        jobs += [ask(batcher, 1), ask(batcher, 2)]
        with pytest.raises(OverloadedError, match="2 requests wait already"):
            ask(batcher, 3)
        held.release.set()
        for job in jobs:
            await job.got
        batcher.close()

    asyncio.run(scenario())


def test_more_in_one_turn_than_may_wait_are_all_answered() -> None:
    runs: list[int] = []

    async def scenario() -> list[float]:
        batcher = Batcher(doubling(runs), cost=Cost(0, 0), max_waiting=2)
        return [(await job.got).values.item() for job in [ask(batcher, value) for value in range(7)]]

    assert asyncio.run(scenario()) == [0, 2, 4, 6, 8, 10, 12]
    assert runs == [2, 2, 2, 1]


def test_where_the_next_run_takes_long_the_thread_has_it_before_any_is_refused() -> None:
    held = Held()

    async def scenario() -> None:
        batcher = Batcher(held, cost=Cost(0.05, 0), max_waiting=2)
        jobs = [ask(batcher, value) for value in range(4)]  # two of them with the thread
        with pytest.raises(OverloadedError, match="2 requests wait already"):
            ask(batcher, 4)
        held.release.set()
        assert [(await job.got).values.item() for job in jobs] == [0, 1, 2, 3]
        batcher.close()

    asyncio.run(scenario())
    assert held.threads[0].startswith("predict")


def test_those_who_ask_again_as_they_are_answered_begin_no_run_within_that() -> None:
    told: list[object] = []

    async def scenario() -> None:
        batcher = Batcher(doubling([]), cost=Cost(0, 0), max_waiting=2)
        again: list[Asked] = []

        class Again(Asked):
            def answer(self, prediction: Prediction, first: int) -> None:
                told.append(prediction.values[first])
                for value in (3, 4):
                    try:
                        again.append(ask(batcher, value))
                    except OverloadedError as error:
                        told.append(error.message)

        for value in (1, 2):
            batcher.submit(Again(rows(value), 1))
        with pytest.raises(OverloadedError):  # as those who ask again are first
            ask(batcher, 5)
        assert told == [2, 4, "2 requests wait already.", "2 requests wait already."]
        assert [(await asyncio.wait_for(job.got, 10)).values.item() for job in again] == [6, 8]

    asyncio.run(scenario())


def test_a_request_whose_client_left_is_not_run_and_frees_its_place() -> None:
    runs: list[int] = []

    async def scenario() -> None:
        batcher = Batcher(doubling(runs), cost=Cost(0, 0), max_waiting=2)
        gone, stays = ask(batcher, 1, 2, 3), ask(batcher, 4)
        batcher.forget(gone)
        batcher.forget(gone)
        another = ask(batcher, 5)
        await stays.got
        await another.got
        assert not gone.got.done()

    asyncio.run(scenario())
    assert runs == [2]


def test_clients_that_come_and_go_leave_nothing_behind() -> None:
    held = Held()

    async def scenario() -> None:
        batcher = Batcher(held, cost=Cost(1, 0), max_waiting=3)
        first = ask(batcher, 1)
        await held.started()
        for _ in range(100):
            batcher.forget(ask(batcher, 2))
        assert len(batcher._queue) <= 7
        held.release.set()
        await first.got
        await ask(batcher, 3).got
        batcher.close()

    asyncio.run(scenario())


def test_what_waits_when_it_is_closed_is_answered_and_the_thread_ends() -> None:
    held = Held()

    async def scenario() -> None:
        batcher = Batcher(held, cost=Cost(1, 1), max_rows=1)
        first, second = ask(batcher, 1), ask(batcher, 2)
        await held.started()
        batcher.close()
        held.release.set()
        assert (await first.got).values.tolist() == [1]
        assert (await second.got).values.tolist() == [2]
        assert batcher._thread is None

    asyncio.run(scenario())


@pytest.mark.parametrize("cost", [0.0, 1.0])
def test_a_failing_run_fails_its_requests_and_the_next_run_works(cost: float) -> None:
    broken = [True]

    def predict(inputs: Inputs) -> Prediction:
        if broken.pop():
            raise RuntimeError("out of memory")
        return Prediction(inputs[TENSOR][:, 0])

    async def scenario() -> Prediction:
        batcher = Batcher(predict, cost=Cost(cost, cost))
        with pytest.raises(RuntimeError, match="out of memory"):
            await ask(batcher, 1).got
        broken.append(False)
        answer = await ask(batcher, 2).got
        batcher.close()
        return answer

    assert asyncio.run(scenario()).values.tolist() == [2]


def test_each_run_is_noted() -> None:
    noted: list[tuple[int, int, bool]] = []

    async def scenario() -> None:
        batcher = Batcher(
            doubling([]),
            cost=Cost(0, 0),
            note=lambda inputs, prediction, seconds, waited: noted.append(
                (len(inputs[TENSOR]), len(prediction), seconds > 0 and waited >= 0)
            ),
        )
        jobs = [ask(batcher, 1), ask(batcher, 2, 3)]
        for job in jobs:
            await job.got

    asyncio.run(scenario())
    assert noted == [(3, 3, True)]


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=20),
    max_rows=st.integers(1, 8),
    slow=st.booleans(),
)
def test_any_mix_of_requests_gets_the_answers_of_its_own_rows(sizes: list[int], max_rows: int, slow: bool) -> None:
    async def scenario() -> list[Prediction]:
        batcher = Batcher(doubling([]), max_rows=max_rows, cost=Cost(0.006 if slow else 0, 0))
        asked = [ask(batcher, *(100 * i + j for j in range(n))) for i, n in enumerate(sizes)]
        answers = [await job.got for job in asked]
        batcher.close()
        return answers

    answers = asyncio.run(scenario())
    for i, (size, answer) in enumerate(zip(sizes, answers, strict=True)):
        assert answer.values.tolist() == [2 * (100 * i + j) for j in range(size)]


@pytest.mark.parametrize("cost", [0.0, 1.0], ids=["in the loop", "in the thread"])
def test_a_job_that_cannot_be_answered_holds_up_no_other(cost: float) -> None:
    class Broken(Asked):
        def answer(self, prediction: Prediction, first: int) -> None:
            raise RuntimeError("a bug")

    async def scenario() -> None:
        batcher = Batcher(doubling([]), cost=Cost(0, cost))
        batcher.submit(Broken(rows(1), 1))
        assert (await ask(batcher, 2).got).values.tolist() == [4]
        assert (await ask(batcher, 3).got).values.tolist() == [6]
        batcher.close()

    asyncio.run(scenario())


def test_inputs_that_do_not_fit_together_fail_and_hold_up_no_other() -> None:
    async def scenario() -> None:
        batcher = Batcher(doubling([]), cost=Cost(0, 0))
        odd = Asked({TENSOR: np.zeros((1, 2), dtype=np.float32)}, 1)
        batcher.submit(odd)
        asked = ask(batcher, 1)
        for job in (odd, asked):
            with pytest.raises(ValueError, match="dimensions"):
                await job.got
        assert (await ask(batcher, 3).got).values.tolist() == [6]

    asyncio.run(scenario())


def test_calls_whose_clients_left_are_not_made_and_late_ones_are_refused() -> None:
    held = Held()
    made: list[str] = []

    async def scenario() -> None:
        batcher = Batcher(held, cost=Cost(0.5, 0))
        first, gone, last = (Asked(rows(1), 1, seconds=30) for _ in range(3))
        batcher.call(first, lambda: held(rows(1)), 2)
        await held.started()

        def make(name: str) -> Prediction:
            made.append(name)
            return Prediction(np.zeros(1))

        for job, name in ((gone, "gone"), (last, "last")):
            batcher.call(job, partial(make, name), 2)
        batcher.forget(gone)
        with pytest.raises(OverloadedError, match="longer than the deadline") as caught:
            batcher.call(Asked(rows(1), 1, seconds=1), lambda: Prediction(np.zeros(1)), 2)
        assert caught.value.retry_after >= 2
        held.release.set()
        await last.got
        batcher.close()

    asyncio.run(scenario())
    assert made == ["last"]


def test_a_call_is_noted_by_its_first_step() -> None:
    noted: list[tuple[int, int]] = []

    async def scenario() -> None:
        batcher = Batcher(
            doubling([]),
            cost=Cost(0, 0),
            note=lambda inputs, prediction, *_: noted.append((len(inputs[TENSOR]), len(prediction))),
        )
        job = Asked(rows(1), 5)
        batcher.call(job, lambda: Prediction(np.zeros(5)), 5)
        await job.got
        batcher.close()

    asyncio.run(scenario())
    assert noted == [(1, 1)]


@pytest.mark.parametrize("cost", [0.0, 1.0], ids=["in the loop", "in the thread"])
def test_a_job_that_is_answered_keeps_no_inputs(cost: float) -> None:
    """A connection keeps its last one until the next, and there are thousands of connections."""

    async def scenario() -> None:
        batcher = Batcher(doubling([]), cost=Cost(0, cost))
        job = ask(batcher, 1, 2)
        await job.got
        assert job.inputs == {}
        batcher.close()

    asyncio.run(scenario())


def test_a_full_run_is_with_the_thread_before_it_is_idle_and_others_may_still_join() -> None:
    held = Held()

    async def scenario() -> None:
        batcher = Batcher(held, cost=Cost(0, 0.05))  # two rows fill a run
        asked = [ask(batcher, 1)]
        await held.started()
        asked += [ask(batcher, 2), ask(batcher, 3), ask(batcher, 4)]
        assert [len(jobs) for jobs, _ in batcher._runs] == [1, 2]
        assert not asked[2].waiting
        assert asked[3].waiting  # a run ahead is enough
        held.release.set()
        assert [(await job.got).values.tolist() for job in asked] == [[1], [2], [3], [4]]
        batcher.close()

    asyncio.run(scenario())


def test_what_a_run_would_answer_too_late_is_not_run() -> None:
    runs: list[int] = []

    async def scenario() -> None:
        batcher = Batcher(doubling(runs), cost=Cost(0, 1))
        *asked, late = [ask(batcher, value) for value in (1, 2, 3)]
        await asyncio.sleep(0)  # one runs, and one is with the thread
        assert batcher.strained
        late._deadline = 0.0
        with pytest.raises(OverloadedError, match="before the deadline"):
            await late.got
        assert [(await job.got).values.tolist() for job in asked] == [[2], [4]]
        batcher.close()

    asyncio.run(scenario())
    assert runs == [1, 1]


def test_before_its_rows_are_known_a_job_is_taken_to_be_like_those_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlplat.runtime.batcher.RUN_SECONDS", 100.0)
    held = Held()

    async def scenario() -> None:
        batcher = Batcher(held, cost=Cost(0, 1))
        first = ask(batcher, 1)
        await held.started()
        second = ask(batcher, *range(8))
        now = asyncio.get_running_loop().time()
        for _ in range(2):
            assert batcher.refusal(now + 30) is None
            assert batcher.refusal(now + 15) is not None
        assert batcher.refusal(now + 15, rows=1) is None
        batcher.forget(second)
        assert batcher.refusal(now + 15) is None
        held.release.set()
        await first.got
        batcher.close()

    asyncio.run(scenario())


def test_what_waits_is_expected_to_take_what_its_runs_do() -> None:
    cost = Cost(0, 0.001)
    cost.learn(128, 0.5)  # while others used the processor: what is far beyond it would seem to take for ever
    assert cost.seconds(1000) > 6
    held = Held()

    async def scenario() -> None:
        batcher = Batcher(held, cost=cost)
        asked = [ask(batcher, *range(50)) for _ in range(20)]
        await held.started()
        now = asyncio.get_running_loop().time()
        assert batcher.refusal(now + 1) is not None
        assert batcher.refusal(now + 3) is None
        held.release.set()
        await asyncio.gather(*(job.got for job in asked))
        batcher.close()

    asyncio.run(scenario())


def test_a_large_request_is_expected_to_run_whole() -> None:
    async def scenario() -> None:
        held = Held()
        batcher = Batcher(held, cost=Cost(0.15, 0.0002))  # one row takes longer than a run should
        asked = [ask(batcher, 1)]
        await held.started()
        now = asyncio.get_running_loop().time()
        assert batcher.refusal(now + 2, 500) is None
        asked += [ask(batcher, *range(500)) for _ in range(3)]
        assert batcher.refusal(now + 4, 500) is None
        assert batcher.refusal(now + 4) is None
        assert batcher.refusal(now + 0.5) is not None
        held.release.set()
        await asyncio.gather(*(job.got for job in asked))
        batcher.close()

    asyncio.run(scenario())


class Certain(Cost):
    """One that learns nothing."""

    def learn(self, rows: int, seconds: float) -> None:
        pass


def test_what_was_expected_of_a_long_run_is_not_of_a_short_one() -> None:
    async def scenario() -> None:
        held = Held()
        batcher = Batcher(held, cost=Certain(0, 1))
        for values, seconds in ((range(30), 40), (range(2), 10)):
            asked = ask(batcher, *values)
            await held.started()
            now = asyncio.get_running_loop().time()
            assert batcher.refusal(now + seconds) is None
            assert batcher.refusal(now + seconds / 4) is not None
            held.release.set()
            await asked.got
            held.release.clear()
            held.threads.clear()
        batcher.close()

    asyncio.run(scenario())


class Followed(Asked):
    """A job of a connection with others behind it, which are submitted as soon as it has failed."""

    def __init__(self, batcher: Batcher, followers: int) -> None:
        super().__init__(rows(0), 1)
        self.batcher = batcher
        self.to_follow = followers
        self.followers: list[Asked] = []

    def fail(self, error: Exception) -> None:
        super().fail(error)
        self.followers = [ask(self.batcher, 10 + number) for number in range(self.to_follow)]


@pytest.mark.parametrize("followers", [0, 1, 2, 3, 7])
def test_requests_that_follow_a_late_one_are_all_answered(followers: int) -> None:
    held = Held()

    async def scenario() -> None:
        batcher = Batcher(held, cost=Cost(0, 0.05))  # two rows fill a run
        first = ask(batcher, 1)
        await held.started()
        late = Followed(batcher, followers)
        batcher.submit(late)
        late._deadline = 0.0
        others = [ask(batcher, 2), ask(batcher, 3), ask(batcher, 4)]  # with the thread, and so late is found out
        with pytest.raises(OverloadedError, match="before the deadline"):
            await asyncio.wait_for(late.got, 10)
        assert len(late.followers) == followers
        held.release.set()
        asked = [first, *others, *late.followers]
        answers = await asyncio.wait_for(asyncio.gather(*(job.got for job in asked)), 10)
        assert [answer.values.tolist() for answer in answers[:4]] == [[1], [2], [3], [4]]
        assert [answer.values.tolist() for answer in answers[4:]] == [[10 + number] for number in range(followers)]
        assert (batcher._waiting, batcher._rows_waiting) == (0, 0)
        batcher.close()

    asyncio.run(scenario())


def test_a_late_request_whose_client_leaves_meanwhile_is_not_answered() -> None:
    held = Held()

    async def scenario() -> None:
        batcher = Batcher(held, cost=Cost(0, 0.05))
        first = ask(batcher, 1)
        await held.started()
        late = ask(batcher, 2)
        late._deadline = 0.0
        others = [ask(batcher, 3), ask(batcher, 4)]
        batcher.forget(late)
        held.release.set()
        await asyncio.gather(*(job.got for job in (first, *others)))
        assert not late.got.done()
        assert (batcher._waiting, batcher._rows_waiting) == (0, 0)
        batcher.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("by_timer", [True, False], ids=["by its timer", "by a run"])
def test_a_late_request_that_cannot_be_told_holds_up_no_other(by_timer: bool) -> None:
    held = Held()
    told: list[Exception] = []
    unhandled: list[dict[str, Any]] = []

    class Broken(Asked):
        def fail(self, error: Exception) -> None:
            told.append(error)
            raise RuntimeError("a bug")

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        batcher = Batcher(held, cost=Cost(0, 0.05))
        first = ask(batcher, 1)
        await held.started()
        late = Broken(rows(2), 1, seconds=0.2 if by_timer else 60)
        batcher.submit(late)
        if not by_timer:
            late._deadline = 0.0
        others = [ask(batcher, 3), ask(batcher, 4)] if not by_timer else []
        while not told:
            await asyncio.sleep(0.001)
        held.release.set()
        others.append(ask(batcher, 5))
        for job in (first, *others):
            await asyncio.wait_for(job.got, 10)
        batcher.close()

    asyncio.run(scenario())
    assert [type(error) for error in told] == [OverloadedError]
    assert not unhandled


class BrokenCost(Cost):
    """Raises in the event loop, while it is told to."""

    broken = False

    def seconds(self, rows: int) -> float:
        if self.broken and threading.current_thread() is threading.main_thread():
            raise IndexError("list index out of range")
        return super().seconds(rows)


@pytest.mark.parametrize("cost", [0.0, 0.05], ids=["in the loop", "in the thread"])
def test_an_error_of_the_batcher_itself_fails_what_waits_and_no_other(cost: float) -> None:
    held = Held()

    async def scenario() -> None:
        costs = BrokenCost(0, cost)
        batcher = Batcher(held, cost=costs)
        if cost:
            first = ask(batcher, 1)
            await held.started()
        waits = ask(batcher, 2)
        costs.broken = True
        held.release.set()
        if cost:
            assert (await asyncio.wait_for(first.got, 10)).values.tolist() == [1]
        with pytest.raises(IndexError):
            await asyncio.wait_for(waits.got, 10)
        assert (batcher._waiting, batcher._rows_waiting) == (0, 0)
        with pytest.raises(IndexError):
            await asyncio.wait_for(ask(batcher, 3).got, 10)
        costs.broken = False
        assert (await asyncio.wait_for(ask(batcher, 4).got, 10)).values.tolist() == [4]
        batcher.close()
        assert batcher._thread is None

    asyncio.run(scenario())


class Reluctant(ThreadPoolExecutor):
    """Has no thread for the first that asks."""

    asked = 0

    def submit(self, *args: Any, **named: Any) -> Future[Any]:
        self.asked += 1
        if self.asked == 1:
            raise RuntimeError("can't start new thread")
        return super().submit(*args, **named)


def test_a_run_that_finds_no_thread_fails_and_the_next_one_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlplat.runtime.batcher.ThreadPoolExecutor", Reluctant)

    async def scenario() -> None:
        batcher = Batcher(doubling([]), cost=Cost(0, 0.1))
        first = ask(batcher, 1)
        with pytest.raises(RuntimeError, match="new thread"):
            await asyncio.wait_for(first.got, 10)
        assert (await asyncio.wait_for(ask(batcher, 2).got, 10)).values.tolist() == [4]
        batcher.close()

    asyncio.run(scenario())


def test_a_call_that_finds_no_thread_keeps_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlplat.runtime.batcher.ThreadPoolExecutor", Reluctant)

    async def scenario() -> None:
        batcher = Batcher(doubling([]), cost=Cost(0, 0), max_waiting=1)
        refused, job = Asked(rows(1), 1), Asked(rows(1), 1)
        with pytest.raises(RuntimeError, match="new thread"):
            batcher.call(refused, lambda: Prediction(np.zeros(1)), 1)
        assert refused.timer is None
        batcher.call(job, lambda: Prediction(np.zeros(1)), 1)
        await asyncio.wait_for(job.got, 10)
        batcher.close()

    asyncio.run(scenario())
