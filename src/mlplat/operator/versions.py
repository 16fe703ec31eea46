"""What the store has of what is asked for: looked up in threads, kept, and looked up again while it may change."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mlplat import logs
from mlplat.errors import MlplatError, NotFoundError
from mlplat.operator.spec import Spec
from mlplat.operator.status import Reason
from mlplat.operator.view import Found, Lookup, Missing, Unasked, Unknown
from mlplat.store import Store

AT_ONCE = 8
"""So many questions to the store are under way at once."""

LATE_SECONDS = 10.0
"""When nothing was answered for so long, this is told of what waits for its first answer; before, that it is about to be asked."""


@dataclass(frozen=True)
class Wish:
    """A version of a model, or whatever an alias names."""

    model: str
    version: str | None
    alias: str | None

    @classmethod
    def of(cls, spec: Spec) -> "Wish":
        """What a spec asks for."""
        return cls(spec.model_name, spec.model_version, spec.alias)


class VersionBook:
    """Answers at once with what is known, and finds out what is not.

    Args:
        open_store: opens the store; called in a thread, again after it failed.
        seconds: between looks at what may change: aliases, and versions that are missing.
        changed: is told each wish of which something else is known now.
    """

    def __init__(self, open_store: Callable[[], Store], *, seconds: float, changed: Callable[[Wish], None]) -> None:
        self._open_store = open_store
        self._seconds = seconds
        self._changed = changed
        self._store: Store | None = None
        self._known: dict[Wish, Lookup] = {}
        self._asked: set[Wish] = set()
        self._new = asyncio.Event()
        self._answered = float("-inf")  # when, by the loop's clock
        self._threads = ThreadPoolExecutor(AT_ONCE, "store")  # its own: a store that hangs holds up nothing else

    def look(self, wish: Wish) -> Lookup:
        """What is known of a wish; it is asked for from now on."""
        if wish not in self._asked:
            self._asked.add(wish)
            self._new.set()
            asyncio.get_running_loop().call_later(LATE_SECONDS, self._note_late, wish)
        return self._known.get(wish, Unasked())

    def forget(self, wishes: set[Wish]) -> None:
        """Ask no more for any but these."""
        self._asked &= wishes
        self._known = {wish: lookup for wish, lookup in self._known.items() if wish in wishes}

    async def run(self) -> None:
        """Look up what is new at once, and what may change every so often; runs until it is cancelled."""
        try:
            while True:
                self._new.clear()
                due = [wish for wish in self._asked if not self._settled(wish)]
                await asyncio.gather(*(self._ask(wish) for wish in due))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._seconds):
                        await self._new.wait()
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _settled(self, wish: Wish) -> bool:
        """Whether what is known stays so: a version never changes."""
        return wish.alias is None and isinstance(self._known.get(wish), Found)

    async def _ask(self, wish: Wish) -> None:
        lookup = await asyncio.get_running_loop().run_in_executor(self._threads, self._look_up, wish)
        self._answered = asyncio.get_running_loop().time()
        self._note(wish, lookup)

    def _note_late(self, wish: Wish) -> None:
        if wish not in self._asked or wish in self._known:
            return
        loop = asyncio.get_running_loop()
        patience = self._answered + LATE_SECONDS
        if loop.time() < patience:  # it answers others, one after the other
            loop.call_at(patience, self._note_late, wish)
        else:
            self._note(wish, Unknown("The store has not answered yet."))

    def _note(self, wish: Wish, lookup: Lookup) -> None:
        before = self._known.get(wish)
        if isinstance(lookup, Unknown) and isinstance(before, Found):
            return  # the store is away: what was there is there still
        self._known[wish] = lookup
        if lookup != before:
            self._changed(wish)

    def _look_up(self, wish: Wish) -> Lookup:
        """Ask the store."""
        try:
            if self._store is None:
                self._store = self._open_store()
            if wish.alias is not None:
                try:
                    version = self._store.alias(wish.model, wish.alias).version
                except NotFoundError as error:
                    return Missing(Reason.ALIAS_NOT_FOUND, str(error))
            else:
                version = str(wish.version)
            self._store.manifest(wish.model, version)
        except NotFoundError as error:
            return Missing(Reason.VERSION_NOT_FOUND, str(error))
        except MlplatError as error:
            logs.get().warning("store_unreachable", model=wish.model, error=str(error)[:300])
            return Unknown(f"The store cannot be asked: {error}")
        return Found(version)
