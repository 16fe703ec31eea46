"""Publishing a version: its files first, then the manifest, the only commit point."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mlplat.bundle import names
from mlplat.bundle.manifest import FileEntry, Manifest
from mlplat.errors import ConflictError, CorruptError, DeletedError, UsageError
from mlplat.objects import Objects
from mlplat.objects.files import CHUNK
from mlplat.store import keys, tombstones
from mlplat.store.content import hash_of
from mlplat.store.seal import seal

GRACE = timedelta(days=1)
"""Prune leaves a file without a version alone for this long: its publisher may still be at work."""


def publish(objects: Objects, manifest: Manifest, files: Mapping[str, Path]) -> None:
    """Write a version; see `Store.publish`.

    Doing it twice is doing it once: the bytes of the manifest hold the id of its writer, so what is there is either
    ours (a reply was lost, or the process before us was killed after the last step) or another's.
    """
    for name, what in ((manifest.model, "model"), (manifest.version, "version")):
        names.check(name, what)
    check_files(manifest, files)
    key, data = keys.manifest(manifest.model, manifest.version), seal(manifest)
    tombstones.refuse(objects, manifest.model, manifest.version)
    if objects.size(key) is None:
        for name, path in files.items():
            _put_file(objects, manifest.model, manifest.files[name], path)
        if objects.put_if_absent(key, data):
            _complete(objects, manifest, files)
            _refuse_deleted(objects, manifest)
            return
    if objects.get(key) != data:
        raise another(manifest)
    _complete(objects, manifest, files)


def _refuse_deleted(objects: Objects, manifest: Manifest) -> None:
    """Take back a manifest that a stalled publisher wrote after another one's, which was deleted meanwhile."""
    try:
        tombstones.refuse(objects, manifest.model, manifest.version)
    except DeletedError:
        objects.delete(keys.manifest(manifest.model, manifest.version))
        raise


def another(manifest: Manifest) -> ConflictError:
    """The error for a version whose name is taken."""
    return ConflictError(
        f"{manifest.model!r} has a version {manifest.version!r} already, which someone else or an earlier run "
        "published; nothing was overwritten.",
        hint="Choose a new version.",
    )


def check_files(manifest: Manifest, files: Mapping[str, Path]) -> None:
    """Refuse files that are not those of the manifest.

    Raises:
        UsageError: if one is missing, or not named there.
        CorruptError: if one has other bytes.
    """
    if files.keys() != manifest.files.keys():
        differing = ", ".join(sorted(files.keys() ^ manifest.files.keys()))
        raise UsageError(f"The files and the manifest of {manifest.model!r} {manifest.version!r} differ: {differing}.")
    for name, path in files.items():
        with path.open("rb") as stream:
            found = hash_of(stream)
        if found != manifest.files[name].sha256 or path.stat().st_size != manifest.files[name].bytes:
            raise CorruptError(f"{path} is not the file {name!r} that the manifest describes: its hash differs.")


def _put_file(objects: Objects, model: str, entry: FileEntry, path: Path) -> None:
    """Put a file under its hash; one that is there must be whole, and young enough that prune lets it be."""
    key = keys.file(model, entry.sha256)
    if objects.put_if_absent(key, path):
        return
    modified = objects.modified(key)
    fresh = modified is not None and datetime.now(UTC) - modified < GRACE / 2
    if fresh and _is_whole(objects, key, entry):
        return
    # Equal bytes under a key that names them: replacing them harms no reader, heals damage, and renews the date.
    with objects.open_writer(key) as target, path.open("rb") as source:
        while chunk := source.read(CHUNK):
            target.write(chunk)


def _is_whole(objects: Objects, key: str, entry: FileEntry) -> bool:
    with objects.open_reader(key) as stream:
        return hash_of(stream) == entry.sha256


def _complete(objects: Objects, manifest: Manifest, files: Mapping[str, Path]) -> None:
    """Put again what a prune may have removed between our look at a file and our manifest."""
    for name, path in files.items():
        key = keys.file(manifest.model, manifest.files[name].sha256)
        if objects.size(key) != manifest.files[name].bytes:
            _put_file(objects, manifest.model, manifest.files[name], path)
