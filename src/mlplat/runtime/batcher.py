"""Micro-batching: the requests of one turn of the event loop share one run of the model."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from mlplat.bundle.features import Inputs
from mlplat.bundle.prediction import Prediction
from mlplat.errors import OverloadedError

T = TypeVar("T")

INLINE_SECONDS = 0.005
"""A run expected to take longer leaves the event loop for a thread, so that health checks are answered meanwhile."""


class _Waiting:
    __slots__ = ("future", "inputs", "rows")

    def __init__(self, inputs: Inputs, rows: int, future: asyncio.Future[Prediction]) -> None:
        self.inputs = inputs
        self.rows = rows
        self.future = future


class Batcher:
    """Collects requests and runs them together. Belongs to one event loop.

    Args:
        predict: encoded rows to predictions; called from the loop or from one thread, never from both at once.
        seconds_per_row: what a run was measured to take, to begin with.
        max_rows: rows of one run; a single larger request still runs whole.
        max_waiting: requests that may wait; one more is refused.
    """

    def __init__(
        self,
        predict: Callable[[Inputs], Prediction],
        *,
        seconds_per_row: float = 0.0,
        max_rows: int = 4096,
        max_waiting: int = 1024,
    ) -> None:
        self._predict = predict
        self._seconds_per_row = seconds_per_row
        self._max_rows = max_rows
        self._max_waiting = max_waiting
        self._waiting: deque[_Waiting] = deque()
        self._busy = False
        self._calls = 0
        self._thread: ThreadPoolExecutor | None = None

    async def predict(self, inputs: Inputs, rows: int) -> Prediction:
        """Predict `rows` encoded rows.

        Raises:
            OverloadedError: if too many requests wait already.
        """
        if len(self._waiting) >= self._max_waiting:
            raise OverloadedError(f"{len(self._waiting)} requests wait already.", hint="Try again in a second.")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(inputs, rows, loop.create_future())
        self._waiting.append(waiting)
        if not self._busy:
            self._busy = True
            loop.call_soon(self._run)
        return await waiting.future

    async def call(self, function: Callable[[], T]) -> T:
        """Run what is no batch, such as a forecast of many steps, in the thread, after what waits there.

        Raises:
            OverloadedError: if too many such calls wait already.
        """
        if self._calls >= self._max_waiting:
            raise OverloadedError(f"{self._calls} requests wait already.", hint="Try again in a second.")
        self._calls += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._started_thread(), function)
        finally:
            self._calls -= 1

    def close(self) -> None:
        """End the thread, once nothing waits any more."""
        if self._thread is not None:
            self._thread.shutdown(wait=False)
            self._thread = None

    def _run(self) -> None:
        batch = self._take()
        if not batch:
            self._busy = False
            return
        rows = sum(waiting.rows for waiting in batch)
        if rows * self._seconds_per_row <= INLINE_SECONDS:
            self._answer(batch, rows)
            self._again()
            return
        loop = asyncio.get_running_loop()
        inputs = _join([waiting.inputs for waiting in batch])
        running = loop.run_in_executor(self._started_thread(), self._timed, inputs, rows)
        running.add_done_callback(lambda done: self._finish(batch, done))

    def _started_thread(self) -> ThreadPoolExecutor:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="predict")
        return self._thread

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        rows = 0
        while self._waiting:
            first = self._waiting[0]
            if first.future.done():  # its client went away, or its deadline passed
                self._waiting.popleft()
                continue
            if batch and rows + first.rows > self._max_rows:
                break
            batch.append(self._waiting.popleft())
            rows += first.rows
        return batch

    def _answer(self, batch: list[_Waiting], rows: int) -> None:
        try:
            prediction = self._timed(_join([waiting.inputs for waiting in batch]), rows)
        except Exception as error:  # noqa: BLE001 - each request gets it
            _fail(batch, error)
        else:
            _share(batch, prediction)

    def _timed(self, inputs: Inputs, rows: int) -> Prediction:
        start = time.perf_counter()
        prediction = self._predict(inputs)
        self._seconds_per_row = 0.8 * self._seconds_per_row + 0.2 * (time.perf_counter() - start) / rows
        return prediction

    def _finish(self, batch: list[_Waiting], done: asyncio.Future[Prediction]) -> None:
        error = done.exception()
        if error is not None:
            _fail(batch, error)
        else:
            _share(batch, done.result())
        self._again()

    def _again(self) -> None:
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._run)
        else:
            self._busy = False


def _join(parts: list[Inputs]) -> Inputs:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _share(batch: list[_Waiting], prediction: Prediction) -> None:
    start = 0
    for waiting in batch:
        if not waiting.future.done():
            waiting.future.set_result(prediction.rows(start, start + waiting.rows))
        start += waiting.rows


def _fail(batch: list[_Waiting], error: BaseException) -> None:
    for waiting in batch:
        if not waiting.future.done():
            waiting.future.set_exception(error)
