"""Connections that are not read for a moment, as their last request was too much."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

CALM_SECONDS = 0.2
"""So long a connection is not read then, so that refusing does not cost what serving needs."""

TICK_SECONDS = 0.01


class Calm:
    """Calls back after a moment; with one timer for all, which costs a fraction of one for each."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, Callable[[], None]]] = deque()

    def wait(self, then: Callable[[], None]) -> None:
        """Call `then` in a moment."""
        if not self._waiting:
            asyncio.get_running_loop().call_later(CALM_SECONDS, self._end)
        self._waiting.append((time.monotonic() + CALM_SECONDS, then))

    def _end(self) -> None:
        waiting, now = self._waiting, time.monotonic() + TICK_SECONDS / 2
        while waiting and waiting[0][0] <= now:
            waiting.popleft()[1]()
        if waiting:
            asyncio.get_running_loop().call_later(max(TICK_SECONDS, waiting[0][0] - now), self._end)
