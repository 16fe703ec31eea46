"""Connections that are not read for a moment, as their last request was too much."""

import asyncio
import heapq
import time
from collections.abc import Callable
from itertools import count

from mlplat import logs

CALM_SECONDS = 0.2
"""So long a connection is not read then, so that refusing does not cost what serving needs."""

REFUSALS_A_SECOND = 2500
"""The more connections are calm, the longer each is, so that no more requests are refused than so many a second: each takes
about 40 us, as measured, of what could be used to predict."""

LONGEST_SECONDS = 1.0
"""So long it is at most: what was refused was told to come back after a second or more (Retry-After)."""

MANY = 100
"""So many refusals within a second are no longer those of single clients that are in a hurry."""

TICK_SECONDS = 0.01


class Calm:
    """Calls back after a moment; with one timer for all, which costs a fraction of one for each.

    Attributes:
        longest: seconds that the moment is at most.

    Args:
        deadline: seconds within which requests are answered; a quarter of it is the most that a connection is calm.
    """

    def __init__(self, deadline: float) -> None:
        self.longest = min(LONGEST_SECONDS, deadline / 4)
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._ending = False
        self._refused = 0
        self._until = 0.0

    def count(self) -> bool:
        """Count a refusal; whether there are many."""
        now = time.monotonic()
        if now >= self._until:
            self._until, self._refused = now + 1.0, 0
        self._refused += 1
        return self._refused > MANY

    def wait(self, then: Callable[[], None]) -> None:
        """Call `then` in a moment."""
        seconds = min(self.longest, max(CALM_SECONDS, len(self._waiting) / REFUSALS_A_SECOND))
        if not self._waiting and not self._ending:
            asyncio.get_running_loop().call_later(seconds, self._end)
        heapq.heappush(self._waiting, (time.monotonic() + seconds, next(self._numbers), then))

    def _end(self) -> None:
        waiting, now = self._waiting, time.monotonic() + TICK_SECONDS / 2
        self._ending = True  # what is called may wait again, and needs no timer of its own
        try:
            while waiting and waiting[0][0] <= now:
                then = heapq.heappop(waiting)[2]
                try:
                    then()
                except Exception as error:  # noqa: BLE001 - a bug; but all others are called
                    logs.get().error("calm_failed", exc_info=error)
        finally:
            self._ending = False
            if waiting:
                asyncio.get_running_loop().call_later(max(TICK_SECONDS, waiting[0][0] - now), self._end)
