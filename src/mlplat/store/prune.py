"""Removing old versions that nobody needs."""

from contextlib import suppress
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from mlplat.bundle.manifest import Manifest
from mlplat.errors import ConflictError, NotFoundError, UsageError
from mlplat.store import keys
from mlplat.store.aliases import Move
from mlplat.store.versions import Store

MONTH = timedelta(days=30)


class PruneReport(BaseModel):
    """What was removed, or with `dry_run` would be: versions, hashes of files, and how many bytes these have."""

    model_config = ConfigDict(frozen=True)

    model: str
    versions: tuple[str, ...]
    kept: tuple[str, ...]
    files: tuple[str, ...]
    bytes: int
    dry_run: bool


def prune(
    store: Store, model: str, *, keep: int | None = None, older_than: timedelta = MONTH, dry_run: bool = True
) -> PruneReport:
    """Remove versions that are older than `older_than` and that no alias names, or named in the last 30 days.

    A version that goes leaves a tombstone. Manifests go first, files later, so a version is there whole or not at all. A file goes if no manifest names it and
    it is older than a day: a younger one may be of a publisher who has not written the manifest yet. A publisher who
    finds an old file renews its date before relying on it, and looks again when the manifest is written; so both must
    stall for long at the worst moment for a file to be lost, and then `verify` and every reader say which.

    Args:
        store: where.
        model: whose versions.
        keep: keep this many of the newest versions besides.
        older_than: how long ago a version must have been made, and put into this store.
        dry_run: only say what would be removed.

    Raises:
        ForbiddenError: if the key of the store is not an admin's; nothing was looked at then.
        NotFoundError: if there is no such model.
        CorruptError, SchemaError: if a manifest cannot be read; then it is unknown which files it names, and nothing is
            removed.
    """
    if keep is not None and keep < 0:
        raise UsageError("The number of versions to keep cannot be negative.")
    if not dry_run:
        store.require(model, "admin")
    deleted = store.deleted(model)
    if not dry_run:
        _finish(store, model, deleted)
    manifests = _manifests(store, model)
    if not manifests and not deleted:
        raise NotFoundError(f"There is no model {model!r} in {store.url}.")
    now = store.clock()
    newest = sorted(manifests.values(), key=lambda m: (m.created_at, keys.natural(m.version)))
    spared = {manifest.version for manifest in newest[len(newest) - (keep or 0) :]} | _named(store, model, now)
    gone = [m for m in newest if m.version not in spared and store.published(m) < now - older_than]
    if not dry_run:
        gone = [manifest for manifest in gone if _remove(store, manifest)]
    removed = {manifest.version for manifest in gone}
    left = [m for m in (manifests if dry_run else _manifests(store, model)).values() if m.version not in removed]
    files = store.sweep(
        model, {entry.sha256 for manifest in left for entry in manifest.files.values()}, dry_run=dry_run
    )
    return PruneReport(
        model=model,
        versions=tuple(m.version for m in gone),
        kept=tuple(sorted((m.version for m in left), key=keys.natural)),
        files=tuple(files),
        bytes=sum(files.values()),
        dry_run=dry_run,
    )


def sweep(store: Store, model: str) -> dict[str, int]:
    """Remove the files that no version of a model names, and that are older than a day; their hashes and sizes.

    Raises:
        CorruptError, SchemaError: if a manifest cannot be read; then it is unknown which files it names, and nothing is
            removed.
    """
    manifests = _manifests(store, model).values()
    return store.sweep(model, {entry.sha256 for each in manifests for entry in each.files.values()}, dry_run=False)


def _manifests(store: Store, model: str) -> dict[str, Manifest]:
    return {version: store.manifest(model, version) for version in store.versions(model)}


def _named(store: Store, model: str, now: datetime) -> set[str]:
    """The versions that an alias names, or stopped naming less than 30 days ago."""
    return {version for alias in store.aliases(model) for version in recently(store.history(model, alias), now - MONTH)}


def recently(history: list[Move], since: datetime) -> set[str]:
    """The versions that an alias named at any time after `since`; the current one always."""
    ends = [move.at for move in history[1:]]
    return {history[-1].version} | {move.version for move, end in zip(history, ends, strict=False) if end >= since}


def _remove(store: Store, manifest: Manifest) -> bool:
    """Delete a version, unless an alias was moved to it at the same moment."""
    try:
        store.delete(manifest.model, manifest.version, by="prune", reason="old, and named by no alias")
    except ConflictError:
        return False
    return True


def _finish(store: Store, model: str, deleted: list[str]) -> None:
    """Remove the manifests of versions whose deletion was killed half-way."""
    for version in set(deleted) & set(store.versions(model)):
        with suppress(ConflictError):
            store.delete(model, version, by="prune", reason="")
