"""What every route needs: the database, the store, the keys and the limits."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import BoundedSemaphore, Event

from mlplat.errors import OverloadedError
from mlplat.registry.access import KeyRing
from mlplat.registry.database import Database
from mlplat.registry.metrics import RegistryMetrics
from mlplat.store import ObjectStore

LOOKS = 20
"""How many may look in the store at once for what the catalogue lacks: half of the threads, so that a store which hangs leaves
the others to those who ask the database only."""


@dataclass
class Condition:
    """How the store was when it was last looked at: `ok` or `away`; anyone may see it."""

    store: str = "not looked at yet"


@dataclass(frozen=True)
class Service:
    """One registry.

    Attributes:
        database: the catalogue and what the store cannot hold.
        store: the truth about versions and aliases.
        keys: tells who asks.
        uploads: folder for files that are being uploaded.
        max_upload_bytes: that one upload may have.
        metrics: what is counted.
        prepared: set once the tables are up to date.
        condition: of the store.
    """

    database: Database
    store: ObjectStore
    keys: KeyRing
    uploads: Path
    max_upload_bytes: int
    metrics: RegistryMetrics
    prepared: Event = field(default_factory=Event)
    condition: Condition = field(default_factory=Condition)
    _looks: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(LOOKS))

    @contextmanager
    def looking(self) -> Iterator[None]:
        """While the store is looked into for what the catalogue lacks.

        Raises:
            OverloadedError: if `LOOKS` others are at it.
        """
        if not self._looks.acquire(blocking=False):
            raise OverloadedError(
                f"The catalogue does not know it, and {LOOKS} others wait for the store to say more.", retry_after=2
            )
        try:
            yield
        finally:
            self._looks.release()
