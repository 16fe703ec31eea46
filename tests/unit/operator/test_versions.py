"""What is known of a store, of a real one in a folder."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event, Semaphore
from typing import Any

import pytest

from mlplat.operator import versions
from mlplat.operator.status import Reason
from mlplat.operator.versions import AT_ONCE, VersionBook, Wish
from mlplat.operator.view import Found, Missing, Unasked, Unknown
from mlplat.store import ObjectStore, Store, open_store

V1, V9 = Wish("iris", "v1", None), Wish("iris", "v9", None)
CHAMPION = Wish("iris", None, "champion")


class Books:
    """A book of a store, and what it tells to have changed.

    Args:
        open_store: opens the store.
    """

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self.changed: list[Wish] = []
        self.book = VersionBook(open_store, seconds=0.01, changed=self.changed.append)

    def during(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Look things up while a scenario runs."""

        async def both() -> None:
            running = asyncio.create_task(self.book.run())
            try:
                async with asyncio.timeout(30):
                    await scenario()
            finally:
                running.cancel()

        asyncio.run(both())

    async def until(self, wish: Wish, expected: object) -> None:
        while self.book.look(wish) != expected:
            await asyncio.sleep(0.01)


def test_what_is_asked_for_the_first_time_is_not_known_yet_and_told_when_it_is(models: ObjectStore) -> None:
    books = Books(partial(open_store, models.url, create=False))

    async def scenario() -> None:
        assert [books.book.look(wish) for wish in (V1, CHAMPION)] == [Unasked(), Unasked()]
        await books.until(V1, Found("v1"))
        await books.until(CHAMPION, Found("v1"))
        assert set(books.changed) == {V1, CHAMPION}
        models.move("iris", "champion", "v2", reason="test", by="test")
        await books.until(CHAMPION, Found("v2"))

    books.during(scenario)


def test_what_is_missing_is_looked_for_again(models: ObjectStore) -> None:
    books = Books(partial(open_store, models.url, create=False))
    wish = Wish("iris", None, "canary")

    async def scenario() -> None:
        assert books.book.look(V9) == Unasked()
        while not isinstance(found := books.book.look(wish), Missing):
            assert found == Unasked()
            await asyncio.sleep(0.01)
        assert found.reason == Reason.ALIAS_NOT_FOUND
        models.move("iris", "canary", "v2", reason="test", by="test")
        await books.until(wish, Found("v2"))
        missing = books.book.look(V9)
        assert isinstance(missing, Missing)
        assert missing.reason == Reason.VERSION_NOT_FOUND

    books.during(scenario)


def test_a_store_that_goes_away_is_said_of_what_was_not_found_before_only(models: ObjectStore) -> None:
    books = Books(partial(open_store, models.url, create=False))
    folder = Path(models.url.removeprefix("file://"))

    async def scenario() -> None:
        await books.until(CHAMPION, Found("v1"))
        await asyncio.to_thread(folder.rename, folder.with_name("away"))
        while isinstance(found := books.book.look(V1), Unasked):
            await asyncio.sleep(0.01)
        assert isinstance(found, Unknown)
        assert books.book.look(CHAMPION) == Found("v1")

    books.during(scenario)


def test_a_store_that_does_not_answer_is_told_of_until_it_does(
    models: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "LATE_SECONDS", 0.01)
    answers = Event()

    def hanging() -> Store:
        answers.wait()
        return open_store(models.url, create=False)

    books = Books(hanging)

    async def scenario() -> None:
        try:
            await books.until(V1, Unknown("The store has not answered yet."))
            assert books.changed == [V1]
        finally:
            answers.set()
        await books.until(V1, Found("v1"))
        assert books.changed == [V1, V1]

    books.during(scenario)


def test_a_store_that_hangs_takes_no_threads_from_others(models: ObjectStore) -> None:
    answers, asked = Event(), Semaphore(0)

    def hanging() -> Store:
        asked.release()
        answers.wait()
        return open_store(models.url, create=False)

    books = Books(hanging)

    async def scenario() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        try:
            for number in range(2 * AT_ONCE):
                books.book.look(Wish("iris", None, f"a{number}"))
            while not asked.acquire(blocking=False):
                await asyncio.sleep(0.01)
            assert await asyncio.to_thread(lambda: "done") == "done"
        finally:
            answers.set()

    books.during(scenario)


def test_a_store_that_answers_others_is_not_told_of(models: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "LATE_SECONDS", 3600.0)
    answers = Event()

    def busy() -> Store:
        store = open_store(models.url, create=False)
        alias = store.alias

        def later(model: str, name: str) -> Any:
            answers.wait()
            return alias(model, name)

        monkeypatch.setattr(store, "alias", later)
        return store

    books = Books(busy)

    async def scenario() -> None:
        try:
            books.book.look(CHAMPION)
            await books.until(V1, Found("v1"))
            books.book._note_late(CHAMPION)
            assert books.book.look(CHAMPION) == Unasked()
            monkeypatch.setattr(versions, "LATE_SECONDS", 0.0)
            books.book._note_late(CHAMPION)
            assert isinstance(books.book.look(CHAMPION), Unknown)
        finally:
            answers.set()
        await books.until(CHAMPION, Found("v1"))

    books.during(scenario)
