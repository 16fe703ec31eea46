"""Reading, working and writing at the same time, in order and within bounds."""

from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 2
"""How many items there may be for each worker, between the reader and whoever takes the results."""


def overlap(items: Generator[T], work: Callable[[T], R], *, workers: int) -> Generator[R]:
    """Yield `work(item)` for each item, in order.

    One thread takes the items, `workers` threads work on them, and the caller's takes the results. An exception of the
    items or the work is raised in its turn. All threads have ended when this generator has; close it to stop early.
    """
    results: SimpleQueue[Future[R] | BaseException | None] = SimpleQueue()
    room = Semaphore(AHEAD * workers)
    stopped = Event()

    def read() -> None:
        try:
            while room.acquire() and not stopped.is_set():
                results.put(pool.submit(work, next(items)))
        except StopIteration:
            results.put(None)
        except BaseException as error:  # noqa: BLE001 (raised again by the thread that takes the results)
            results.put(error)
        finally:
            items.close()

    with ThreadPoolExecutor(workers, thread_name_prefix="score") as pool:
        reader = Thread(target=read, name="read", daemon=True)
        reader.start()
        try:
            while (result := results.get()) is not None:
                if isinstance(result, BaseException):
                    raise result
                yield result.result()
                room.release()
        finally:
            stopped.set()
            room.release()
            reader.join()
            pool.shutdown(cancel_futures=True)
