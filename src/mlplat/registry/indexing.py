"""Bringing the catalogue up to date with the store, which others may write, too."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from sqlalchemy import Connection, select

from mlplat import logs
from mlplat.bundle import names
from mlplat.errors import ConflictError, CorruptError, NotFoundError, RequestError, SchemaError
from mlplat.registry import rows
from mlplat.registry.database import Database
from mlplat.registry.entries import Entry, read_entry
from mlplat.registry.tables import models, moves, versions
from mlplat.store import Move, ObjectStore, keys
from mlplat.store.aliases import AliasLog, utc_now
from mlplat.store.prune import sweep

T = TypeVar("T")

LOCK = 6_872_341
"""The advisory lock of PostgreSQL under which one registry looks through the store."""

BATCH = 20
"""Versions, or moves, that are read from the store and then written in one transaction."""

BATCH_BYTES = 4 << 20
"""What the manifests of such a batch may have together, if it is more than one."""


@dataclass
class Changes:
    """What a look at the store changed in the catalogue, and what it could not read."""

    models: int = 0
    versions: int = 0
    moves: int = 0
    removed: int = 0
    unreadable: int = 0

    def __bool__(self) -> bool:
        return bool(self.versions or self.moves or self.removed)

    def add(self, other: "Changes") -> None:
        """Count what another look changed, too."""
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True)
class _Held:
    """The versions and the moves of aliases of one model, in the store or in the catalogue."""

    versions: set[str] = field(default_factory=set)
    tombstones: set[str] = field(default_factory=set)
    moves: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))


def find_version(database: Database, store: ObjectStore, model: str, version: str) -> bool:
    """Look in the store for a version that the catalogue lacks; whether it is in the catalogue now.

    Raises:
        CorruptError, SchemaError: if it is there and cannot be read.
    """
    try:
        entry = read_entry(store, model, version)
    except NotFoundError:
        return False
    put_entry(database, entry)
    return True


def put_entry(database: Database, entry: Entry, *, by: str | None = None) -> bool:
    """Write a version into the catalogue; whether it was not known."""
    with database.write() as connection:
        model_id = rows.make_model(connection, entry.manifest.model, entry.published_at)
        return rows.put_version(connection, model_id, entry, by=by)


def find_model(database: Database, store: ObjectStore, model: str) -> bool:
    """Look in the store for a model that the catalogue lacks; whether it is in the catalogue now."""
    index_model(database, store, model)
    with database.read() as connection:
        return _id_of(connection, model) is not None


def find_alias(database: Database, store: ObjectStore, model: str, alias: str) -> bool:
    """Look in the store for the moves of an alias that the catalogue lacks; whether there are any."""
    log = AliasLog(store.objects, model, alias)
    numbers = set(log.numbers())
    if not numbers:
        return False
    known = _known(database, model).moves[alias]
    for batch in _batches(readable(log, sorted(numbers - known), Changes())):
        put_moves(database, model, batch)
    return True


def put_moves(database: Database, model: str, found: list[Move]) -> None:
    """Write moves into the catalogue."""
    with database.write() as connection:
        rows.put_moves(connection, rows.make_model(connection, model, min(move.at for move in found)), found)


def index_store(
    database: Database, store: ObjectStore, *, again: bool = False, told: Callable[[str, Changes], None] | None = None
) -> Changes:
    """Go through the whole store, model by model, in constant memory.

    A store that holds nothing, where the catalogue knows versions, is taken for a wrong one: nothing is removed then.

    Args:
        database: with the catalogue.
        store: the truth.
        again: read also those versions that are known already, and write their rows anew.
        told: is told about each model.
    """
    total = Changes()
    found = {name for name in store.objects.folders("") if names.is_valid(name)}
    with database.read() as connection:
        known = set(connection.scalars(select(models.c.name).where(models.c.versions > 0)))
    if known and not found:
        logs.get().error("store_is_empty", store=store.url, models=len(known))
        return total
    for model in sorted(found | known):
        try:
            changes = index_model(database, store, model, again=again)
        except (CorruptError, RequestError) as error:  # what only PostgreSQL refuses is a RequestError
            logs.get().warning("model_unreadable", model=model, reason=str(error))
            changes = Changes(unreadable=1)
        total.add(changes)
        if told is not None:
            told(model, changes)
    return total


def index_model(database: Database, store: ObjectStore, model: str, *, again: bool = False) -> Changes:
    """Bring one model up to date, and finish deletions that were killed half-way."""
    there = _held(store, model)
    changes = Changes()
    _finish(store, model, there, changes)
    changes.models = bool(there.versions)
    known = _known(database, model)
    wanted = there.versions if again else there.versions - known.versions
    for batch in _light(_entries(store, model, sorted(wanted, key=keys.natural), changes)):
        with database.write() as connection:
            model_id = rows.make_model(connection, model, min(entry.published_at for entry in batch))
            changes.versions += sum([rows.put_version(connection, model_id, entry, again=again) for entry in batch])
            if again:
                rows.set_terms(connection, model_id)
    gone = [name for name in known.versions - there.versions if store.objects.size(keys.manifest(model, name)) is None]
    for some in _batches(iter(gone)):
        with database.write() as connection:
            model_id = rows.make_model(connection, model, utc_now())
            changes.removed += rows.remove_versions(connection, model_id, some, utc_now())
    for alias in there.moves.keys() | known.moves.keys() if there.versions or known.versions else ():
        _index_alias(database, store, model, alias, there.moves[alias], known.moves[alias], changes)
    return changes


def sweep_store(database: Database, store: ObjectStore, told: Callable[[str], None]) -> int:
    """Remove files of versions that were deleted, or never finished, and are older than a day; how many bytes these had.

    The manifests of a model are read only if it has files that the catalogue knows no version of.
    """
    removed = 0
    for model in filter(names.is_valid, store.objects.folders("")):
        told(model)
        its = select(versions.c.facts).join(models).where(models.c.name == model)
        with database.read() as connection:
            known = {entry["sha256"] for facts in connection.scalars(its) for entry in facts["files"].values()}
        there = {key.rpartition("/")[2] for key in store.objects.list(f"{model}/files")}
        try:
            swept = sweep(store, model) if there - known else {}
        except (CorruptError, NotFoundError, SchemaError) as error:  # NotFoundError: deleted meanwhile
            logs.get().warning("not_swept", model=model, reason=str(error))
            continue
        if swept:
            logs.get().info("swept", model=model, files=len(swept), bytes=sum(swept.values()))
        removed += sum(swept.values())
    return removed


def _index_alias(  # noqa: PLR0917
    database: Database, store: ObjectStore, model: str, alias: str, there: set[int], known: set[int], changes: Changes
) -> None:
    log = AliasLog(store.objects, model, alias)
    for batch in _batches(readable(log, sorted(there - known), changes)):
        put_moves(database, model, batch)
        changes.moves += len(batch)
    gone = [number for number in known - there if store.objects.size(keys.move(model, alias, number)) is None]
    if gone:
        with database.write() as connection:
            rows.remove_moves(connection, rows.make_model(connection, model, utc_now()), alias, gone)
        changes.removed += len(gone)


def _held(store: ObjectStore, model: str) -> _Held:
    """What the store has of a model, by one list."""
    held = _Held()
    for key in store.objects.list(model):
        match key.split("/"):
            case [_, "versions", _] if (version := keys.version_of(key)) is not None:
                held.versions.add(version)
            case [_, "tombstones", _] if (version := keys.version_of(key)) is not None:
                held.tombstones.add(version)
            case [_, "aliases", alias, _] if names.is_valid(alias) and (number := keys.number_of(key)) is not None:
                held.moves[alias].add(number)
    return held


def _known(database: Database, model: str) -> _Held:
    """What the catalogue has of a model."""
    held = _Held()
    with database.read() as connection:
        model_id = _id_of(connection, model)
        held.versions.update(connection.scalars(select(versions.c.version).where(versions.c.model_id == model_id)))
        found = connection.execute(select(moves.c.alias, moves.c.number).where(moves.c.model_id == model_id))
        for alias, number in found:
            held.moves[alias].add(number)
    return held


def _id_of(connection: Connection, model: str) -> int | None:
    found: int | None = connection.scalar(select(models.c.id).where(models.c.name == model))
    return found


def _finish(store: ObjectStore, model: str, held: _Held, changes: Changes) -> None:
    for version in held.versions & held.tombstones:
        try:
            store.delete(model, version, by="registry", reason="")
        except ConflictError:  # an alias names it: it stays, and its tombstone is gone now
            continue
        except CorruptError as error:
            changes.unreadable += 1
            logs.get().warning("deletion_unreadable", model=model, version=version, reason=str(error))
            continue
        held.versions.discard(version)


def _entries(store: ObjectStore, model: str, wanted: list[str], changes: Changes) -> Iterator[Entry]:
    for version in wanted:
        try:
            yield read_entry(store, model, version)
        except NotFoundError:  # deleted meanwhile
            continue
        except (CorruptError, SchemaError) as error:
            changes.unreadable += 1
            logs.get().warning("version_unreadable", model=model, version=version, reason=str(error))


def readable(log: AliasLog, numbers: list[int], changes: Changes) -> Iterator[Move]:
    """Moves of an alias, but those that were removed meanwhile, and those that are damaged, which are counted."""
    for number in numbers:
        try:
            yield log.read(number)
        except NotFoundError:
            continue
        except CorruptError as error:
            changes.unreadable += 1
            logs.get().warning("move_unreadable", model=log.model, alias=log.alias, number=number, reason=str(error))


def _light(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    """Batches that are small in memory, too."""
    batch: list[Entry] = []
    for entry in entries:
        if len(batch) == BATCH or sum(each.bytes for each in batch) + entry.bytes > BATCH_BYTES:
            if batch:
                yield batch
            batch = []
        batch.append(entry)
    if batch:
        yield batch


def _batches(items: Iterator[T]) -> Iterator[list[T]]:
    while batch := list(islice(items, BATCH)):
        yield batch
