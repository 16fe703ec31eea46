"""Micro-batching: the requests of one turn of the event loop share one run of the model."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from math import ceil

import numpy as np

from mlplat import logs
from mlplat.bundle.features import Inputs, Rows, as_inputs
from mlplat.bundle.prediction import Prediction
from mlplat.errors import OverloadedError
from mlplat.runtime.cost import Cost

Note = Callable[[Inputs, Prediction, float, float], None]

INLINE_SECONDS = 0.005
"""A run expected to take longer leaves the event loop for a thread, so that health checks are answered meanwhile."""

STEP_DRAW = 0.1
"""How much of what a step of a call took goes into the estimate of the next one."""

RUN_SECONDS = 0.1
"""So many rows are joined that a run is expected to take no longer, so that the first of many is soon answered."""


MARGIN = 1.15
"""So much longer than expected all before it may take, and a job is answered in time: others use the processor, too."""


class Job(ABC):
    """A request that waits for its prediction. Exactly one of `answer` and `fail` is called, once, from the loop.

    Attributes:
        inputs: encoded, or rows of numbers for the one tensor.
        rows: how many.
        asked: when it was submitted, in the time of `time.monotonic`.
        waiting: it is in the queue.
        settled: it was answered, it failed, or nobody waits for it any more.
    """

    __slots__ = ("asked", "inputs", "rows", "settled", "timer", "waiting")

    inputs: Inputs | Rows
    rows: int
    asked: float
    waiting: bool
    settled: bool
    timer: asyncio.TimerHandle | None

    @property
    @abstractmethod
    def deadline(self) -> float:
        """Until when it must be answered, in the loop's time."""

    @abstractmethod
    def answer(self, prediction: Prediction, first: int) -> None:
        """Take the prediction of a run; the job's own rows begin at `first`. Raises nothing."""

    @abstractmethod
    def fail(self, error: Exception) -> None:
        """Take the error of a run. Raises nothing."""


class Batcher:
    """Collects jobs and runs them together. Belongs to one event loop.

    A job that is answered or fails may submit the next one of its connection before it returns. So no job is told
    anything while jobs are taken from the queue or handed to the thread; what fails then is told in the next turn.

    Args:
        predict: encoded rows to predictions; called from the loop or from one thread; from both only while
            `call` is used.
        cost: what a run is expected to take.
        max_rows: rows of one run; a single larger job still runs whole.
        max_waiting: jobs that may wait; one more is refused.
        note: is told the inputs and the prediction of each run, the seconds it took, and those that its first job had
            waited; called where it ran.
    """

    def __init__(
        self,
        predict: Callable[[Inputs], Prediction],
        *,
        cost: Cost,
        max_rows: int = 4096,
        max_waiting: int = 1024,
        note: Note | None = None,
    ) -> None:
        self._predict = predict
        self._cost = cost
        self._max_rows = max_rows
        self._most_rows = min(max_rows, cost.rows(RUN_SECONDS))
        self._max_waiting = max_waiting
        self._note = note
        self._queue: deque[Job] = deque()
        self._waiting = 0
        self._rows_waiting = 0
        self._busy = False
        self._here = False  # a run is under way in the loop
        self._runs: deque[tuple[list[Job], float]] = deque()  # in the thread, with their expected seconds
        self._expected: tuple[tuple[int, int, float], float] = (0, 0, 0.0), 0.0  # see `_next_wait`
        self._calls = self._steps = 0
        self._step_seconds = cost.seconds(1)
        self._thread: ThreadPoolExecutor | None = None
        self._closed = False

    @property
    def strained(self) -> bool:
        """Whether the model runs in the thread, so that what comes now has to wait."""
        return bool(self._runs)

    def refusal(self, deadline: float, rows: int | None = None) -> OverloadedError | None:
        """Why `submit` would refuse a job by a deadline, in the loop's time, if it would.

        That is if too many jobs wait already, or it would be answered after its deadline.

        Args:
            deadline: until when it must be answered.
            rows: how many; as many as the others that wait have, if that is not known yet.
        """
        if self._waiting >= self._max_waiting:
            return _full(self._waiting, self._wait(0))
        if self._runs:
            wait = self._next_wait() if rows is None else self._wait(rows)
            if time.monotonic() + wait > deadline:
                return _late(wait)
        return None

    def submit(self, job: Job) -> None:
        """Let a job wait for the next run.

        Raises:
            OverloadedError: if too many jobs wait already, or it would be answered after its deadline.
        """
        if self._runs or self._waiting >= self._max_waiting:
            if not self._runs:  # more may come in one turn than may wait
                self._run_here()
                self._fill()
            refusal = self.refusal(job.deadline, job.rows)
            if refusal is not None:
                raise refusal
        job.asked = time.monotonic()
        job.waiting = True
        self._waiting += 1
        self._rows_waiting += job.rows
        self._queue.append(job)
        if not self._busy:
            self._busy = True
            asyncio.get_running_loop().call_soon(self._run)
        elif self._runs:
            self._arm(job, asyncio.get_running_loop())
            if len(self._runs) == 1:
                self._fill()

    def forget(self, job: Job) -> None:
        """Free the place of a job whose client went away."""
        if not job.settled:
            self._settle(job)
            job.inputs = {}

    def call(self, job: Job, function: Callable[[], Prediction], steps: int) -> None:
        """Answer a job of one row by what is no batch: a forecast of many steps, in the thread, after what waits there.

        Raises:
            OverloadedError: if too many such calls wait already, or it would be answered after its deadline.
        """
        wait = self._wait(0) + (self._steps + steps) * self._step_seconds
        if self._calls >= self._max_waiting:
            raise _full(self._calls, wait)
        if self._calls and time.monotonic() + wait > job.deadline:
            raise _late(wait)
        loop = asyncio.get_running_loop()
        job.asked = time.monotonic()
        called = loop.run_in_executor(self._started_thread(), self._called, job, function, steps)
        self._calls += 1
        self._steps += steps
        self._arm(job, loop)
        called.add_done_callback(partial(self._answered, job, steps))

    def close(self) -> None:
        """End the thread as soon as nothing waits any more."""
        self._closed = True
        self._end_thread()

    def _end_thread(self) -> None:
        if self._closed and self._thread is not None and not self._busy and not self._calls:
            self._thread.shutdown(wait=False)
            self._thread = None

    def _called(self, job: Job, function: Callable[[], Prediction], steps: int) -> Prediction | None:
        """Call in the thread, unless nobody waits for it any more."""
        if job.settled:
            return None
        start = time.monotonic()
        prediction = function()
        seconds = (time.monotonic() - start) / steps
        self._step_seconds += STEP_DRAW * (seconds - self._step_seconds)
        if self._note is not None:
            self._note(as_inputs(job.inputs), prediction.rows(0, 1), seconds, start - job.asked)
        return prediction

    def _answered(self, job: Job, steps: int, done: asyncio.Future[Prediction | None]) -> None:
        self._calls -= 1
        self._steps -= steps
        error = done.exception()
        prediction = None if error is not None else done.result()
        if isinstance(error, Exception):
            self._fail([job], error)
        elif prediction is not None:
            self._share([job], prediction)
        self._end_thread()

    def _wait(self, rows: int) -> float:
        """Seconds until all that waits or runs now, and `rows` more, are expected to be answered, with some to spare."""
        most = max(self._most_rows, rows, self._rows_waiting // (self._waiting or 1))  # of a run, as no job is divided
        full, rest = divmod(self._rows_waiting + rows, most)
        queued = full * self._cost.seconds(most) + self._cost.seconds(rest)
        return MARGIN * (self._run_seconds() + queued)

    def _next_wait(self) -> float:
        """`_wait` for one like those that wait; worked out anew when that is others, as each that is too many asks."""
        state = self._waiting, self._rows_waiting, self._run_seconds()
        if state != self._expected[0]:
            self._expected = state, self._wait(self._rows_waiting // (self._waiting or 1) or 1)
        return self._expected[1]

    def _run_seconds(self) -> float:
        """What the runs in the thread are expected to take."""
        return sum(seconds for _, seconds in self._runs)

    def _run(self) -> None:
        """Run what waits, here or in the thread."""
        try:
            self._run_here()
        finally:
            self._go_on()

    def _run_here(self) -> None:
        """Run what waits, unless that takes long or something runs already. What waits gets an error."""
        if self._here or self._runs:
            return
        self._here = True
        try:
            if not self._takes_long():
                batch, rows = self._take()
                if batch:
                    try:
                        prediction = self._timed(_taken(batch), rows, batch[0].asked)
                    except Exception as error:  # noqa: BLE001 - each request gets it
                        self._fail(batch, error)
                    else:
                        self._share(batch, prediction)
        except Exception as error:  # noqa: BLE001 - a bug
            self._fail_waiting(error)
        finally:
            self._here = False

    def _go_on(self) -> None:
        """See to it that what waits is run."""
        self._fill()
        if self._runs:
            return
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._run)
        else:
            self._busy = False
            self._end_thread()

    def _takes_long(self) -> bool:
        """Whether the next run leaves the loop."""
        queue = self._queue
        while queue and not queue[0].waiting:
            queue.popleft()
        rows = min(self._rows_waiting, self._most_rows)
        return bool(queue) and self._cost.seconds(max(rows, queue[0].rows)) > INLINE_SECONDS

    def _fill(self) -> None:
        """Hand to the thread what takes long; ahead of time what can grow no more, so that it is never idle meanwhile.

        The loop takes long to come back to it when many requests are read, answered and refused. Raises nothing: what
        waits gets the error.
        """
        try:
            while self._waiting and len(self._runs) < 2:
                if self._runs and self._rows_waiting < self._most_rows:
                    return
                if not self._runs and not self._takes_long():
                    return
                batch, rows = self._take()
                if not batch:
                    return
                self._hand_over(batch, rows)
        except Exception as error:  # noqa: BLE001 - a bug
            self._fail_waiting(error)

    def _hand_over(self, batch: list[Job], rows: int) -> None:
        """Let the thread run a batch."""
        loop = asyncio.get_running_loop()
        if not self._runs:
            for job in (*batch, *self._queue):
                self._arm(job, loop)
        try:
            asked = batch[0].asked
            running = loop.run_in_executor(self._started_thread(), self._timed, _taken(batch), rows, asked)
        except Exception as error:  # noqa: BLE001 - each request gets it
            loop.call_soon(self._fail, batch, error)
            return
        self._runs.append((batch, self._cost.seconds(rows)))
        running.add_done_callback(self._finish)

    def _started_thread(self) -> ThreadPoolExecutor:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="predict")
        return self._thread

    def _take(self) -> tuple[list[Job], int]:
        """The jobs of the next run, and their rows; those that it would answer too late are left out, and fail soon."""
        batch: list[Job] = []
        late: list[Job] = []
        rows = 0
        most = self._most_rows
        queue = self._queue
        run = self._cost.seconds(min(self._rows_waiting, most))
        answered = time.monotonic() + MARGIN * (self._run_seconds() + run)
        while queue:
            job = queue[0]
            if job.waiting:
                if job.timer is not None and job.deadline < answered:
                    late.append(job)
                    self._rows_waiting -= job.rows
                elif batch and rows + job.rows > most:
                    break
                else:
                    rows += job.rows
                    batch.append(job)
                job.waiting = False
                self._waiting -= 1
            queue.popleft()
        self._rows_waiting -= rows
        if late:
            asyncio.get_running_loop().call_soon(self._expire, *late)
        return batch, rows

    def _timed(self, inputs: Inputs, rows: int, asked: float) -> Prediction:
        start = time.monotonic()
        prediction = self._predict(inputs)
        seconds = time.monotonic() - start
        self._cost.learn(rows, seconds)
        self._most_rows = min(self._max_rows, self._cost.rows(RUN_SECONDS))
        if self._note is not None:
            self._note(inputs, prediction, seconds, start - asked)
        return prediction

    def _finish(self, done: asyncio.Future[Prediction]) -> None:
        batch, _ = self._runs.popleft()
        try:
            self._fill()
            error = done.exception()
            if isinstance(error, Exception):
                self._fail(batch, error)
            else:
                self._share(batch, done.result())
        finally:
            self._go_on()

    def _share(self, batch: list[Job], prediction: Prediction) -> None:
        first = 0
        for job in batch:
            if not job.settled:
                job.settled = True
                if job.timer is not None:
                    self._settle(job)
                try:
                    job.answer(prediction, first)
                except Exception as error:  # noqa: BLE001 - a bug; but all others are answered, and the next run begins
                    logs.get().error("answer_failed", exc_info=error)
            first += job.rows

    def _fail(self, batch: list[Job], error: Exception) -> None:
        for job in batch:
            if not job.settled:
                self._settle(job)
                _tell(job, error)

    def _fail_waiting(self, error: Exception) -> None:
        """Fail all that waits: an error that is nobody's own would else come again with each turn."""
        batch = [job for job in self._queue if job.waiting]
        for job in batch:
            job.waiting = False
        self._queue.clear()
        self._waiting = self._rows_waiting = 0
        asyncio.get_running_loop().call_soon(self._fail, batch, error)

    def _arm(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        """Let the job fail at its deadline: only where a run leaves the loop does anything wait that long."""
        if job.timer is None and not job.settled:
            job.timer = loop.call_at(job.deadline, self._expire, job)

    def _expire(self, *jobs: Job) -> None:
        for job in jobs:
            if not job.settled:
                self._settle(job)
                wait = self._wait(0)
                message = "There was no prediction before the deadline."
                _tell(job, OverloadedError(message, hint="Try again later.", retry_after=ceil(wait)))

    def _settle(self, job: Job) -> None:
        """Note that a job needs no answer any more."""
        job.settled = True
        if job.waiting:
            job.waiting = False
            self._waiting -= 1
            self._rows_waiting -= job.rows
            if len(self._queue) > 2 * self._max_waiting:  # a run takes long, and many come and go meanwhile
                self._queue = deque(waiting for waiting in self._queue if waiting.waiting)
        if job.timer is not None:
            job.timer.cancel()
            job.timer = None


def _taken(batch: list[Job]) -> Inputs:
    """The inputs of one run, which the jobs do not keep."""
    inputs = _join(batch)
    for job in batch:
        job.inputs = {}
    return inputs


def _join(batch: list[Job]) -> Inputs:
    """The inputs of one run."""
    if len(batch) == 1:
        return as_inputs(batch[0].inputs)
    parts = [job.inputs for job in batch]
    rows = [part for part in parts if isinstance(part, list)]
    if len(rows) == len(parts):  # one array for all, instead of one for each
        return as_inputs(list(chain.from_iterable(rows)))
    arrays = [as_inputs(part) for part in parts]
    return {name: np.concatenate([part[name] for part in arrays]) for name in arrays[0]}


def _tell(job: Job, error: Exception) -> None:
    """Let a job fail."""
    try:
        job.fail(error)
    except Exception as failure:  # noqa: BLE001 - a bug; but all others are told, and the next run begins
        logs.get().error("answer_failed", exc_info=failure)


def _late(wait: float) -> OverloadedError:
    return OverloadedError(
        f"The answer would take about {wait:.1f} s, longer than the deadline.",
        hint="Try again later.",
        retry_after=ceil(wait),
    )


def _full(waiting: int, wait: float) -> OverloadedError:
    return OverloadedError(f"{waiting} requests wait already.", hint="Try again later.", retry_after=ceil(wait))
