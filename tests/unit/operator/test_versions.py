"""What is known of a store, of a real one in a folder."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from mlplat.operator.status import Reason
from mlplat.operator.versions import VersionBook, Wish
from mlplat.operator.view import Found, Missing, Unasked, Unknown
from mlplat.store import ObjectStore, open_store

V1, V9 = Wish("iris", "v1", None), Wish("iris", "v9", None)
CHAMPION = Wish("iris", None, "champion")


class Books:
    """A book of a store, and what it tells to have changed."""

    def __init__(self, url: str) -> None:
        self.changed: list[Wish] = []
        self.book = VersionBook(lambda: open_store(url, create=False), seconds=0.01, changed=self.changed.append)

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
    books = Books(models.url)

    async def scenario() -> None:
        assert [books.book.look(wish) for wish in (V1, CHAMPION)] == [Unasked(), Unasked()]
        await books.until(V1, Found("v1"))
        await books.until(CHAMPION, Found("v1"))
        assert set(books.changed) == {V1, CHAMPION}
        models.move("iris", "champion", "v2", reason="test", by="test")
        await books.until(CHAMPION, Found("v2"))

    books.during(scenario)


def test_what_is_missing_is_looked_for_again(models: ObjectStore) -> None:
    books = Books(models.url)
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
    books = Books(models.url)
    folder = Path(models.url.removeprefix("file://"))

    async def scenario() -> None:
        await books.until(CHAMPION, Found("v1"))
        await asyncio.to_thread(folder.rename, folder.with_name("away"))
        while isinstance(found := books.book.look(V1), Unasked):
            await asyncio.sleep(0.01)
        assert isinstance(found, Unknown)
        assert books.book.look(CHAMPION) == Found("v1")

    books.during(scenario)
