"""What is to be reconciled: each key once, never twice at the same time, and later again if it failed."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable

from mlplat import logs
from mlplat.operator.informer import Key

FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.5, 60.0


class WorkQueue:
    """Keys that wait to be handled. Belongs to one event loop.

    Args:
        handle: reconciles a key, and says in how many seconds it is to be looked at again, if at all.
    """

    def __init__(self, handle: Callable[[Key], Awaitable[float | None]]) -> None:
        self._handle = handle
        self._waiting: deque[Key] = deque()
        self._known: set[Key] = set()  # those that wait
        self._busy: set[Key] = set()
        self._again: set[Key] = set()  # came while they were busy
        self._failures: dict[Key, int] = {}
        self._later: dict[Key, asyncio.TimerHandle] = {}
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: Key) -> None:
        """Let a key be handled soon."""
        timer = self._later.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._busy:
            self._again.add(key)
        elif key not in self._known:
            self._known.add(key)
            self._waiting.append(key)
            self._arrived.set()

    def add_later(self, key: Key, seconds: float) -> None:
        """Let a key be handled after a time, unless it is sooner for another reason."""
        if key not in self._later and key not in self._known:
            self._later[key] = asyncio.get_running_loop().call_later(seconds, self._due, key)

    async def run(self, workers: int) -> None:
        """Handle keys, so many at once; runs until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work())

    def _due(self, key: Key) -> None:
        self._later.pop(key, None)
        self.add(key)

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            key = self._waiting.popleft()
            self._known.discard(key)
            self._busy.add(key)
            try:
                seconds = await self._handle(key)
                self._failures.pop(key, None)
            except Exception as error:  # noqa: BLE001 - one key that fails must not end the others
                failures = self._failures[key] = self._failures.get(key, 0) + 1
                seconds = min(FIRST_RETRY_SECONDS * 2 ** min(failures, 10), LONGEST_RETRY_SECONDS)
                seconds *= random.uniform(0.5, 1.0)
                said = logs.told(error, 500)
                logs.get().warning("reconcile_failed", key=str(key), error=said, again_in=round(seconds, 1))
            finally:
                self._busy.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)
            elif seconds is not None:
                self.add_later(key, seconds)
