"""Reading large bodies: in one thread, within bounds of number, bytes and time, so that no one else waits for it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from mlplat.errors import OverloadedError
from mlplat.runtime.batcher import Job
from mlplat.serve.protocols import Question

MOST_READ = 256
"""So many large bodies may wait to be read; most are of less than 128 KiB and take some milliseconds."""


class Reader:
    """Reads bodies in a thread. Belongs to one event loop."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="read")
        self._waiting = 0

    def read(self, job: Job, decode: Callable[[], Question], done: Callable[[asyncio.Future[Question]], None]) -> None:
        """Call `decode` in the thread, unless the job is settled by then, and `done` with what came of it.

        Raises:
            OverloadedError: if too many bodies wait already.
        """
        if self._waiting >= MOST_READ:
            raise OverloadedError(f"{self._waiting} large requests wait to be read already.", hint="Try again later.")
        self._waiting += 1
        reading = asyncio.get_running_loop().run_in_executor(self._thread, _unless_settled, job, decode)
        reading.add_done_callback(partial(self._read, done))

    def _read(self, done: Callable[[asyncio.Future[Question]], None], reading: asyncio.Future[Question]) -> None:
        self._waiting -= 1
        done(reading)


def _unless_settled(job: Job, decode: Callable[[], Question]) -> Question:
    if job.settled:
        raise OverloadedError("Nobody waits for this any more.")
    return decode()
