"""What every route needs: the database, the store, the keys and the limits."""

from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from mlplat.registry.access import KeyRing
from mlplat.registry.database import Database
from mlplat.registry.metrics import RegistryMetrics
from mlplat.store import ObjectStore


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
