"""Versions and aliases of models below one URL, and the verified local cache of their files."""

from mlplat.store.aliases import UNCHECKED, Move
from mlplat.store.cache import Cache
from mlplat.store.objectstore import ObjectStore, open_object_store
from mlplat.store.prune import PruneReport, prune
from mlplat.store.rollback import rollback
from mlplat.store.tombstones import Tombstone
from mlplat.store.transfer import pull, push
from mlplat.store.versions import Store, open_store

__all__ = [
    "UNCHECKED",
    "Cache",
    "Move",
    "ObjectStore",
    "PruneReport",
    "Store",
    "Tombstone",
    "open_object_store",
    "open_store",
    "prune",
    "pull",
    "push",
    "rollback",
]
