"""The files of a version: kept under their hash, verified whenever they are read."""

import hashlib
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, cast

from mlplat.bundle.manifest import FileEntry, Manifest, sha256_of
from mlplat.errors import CorruptError, NotFoundError
from mlplat.objects import Objects
from mlplat.store import keys


def entry(manifest: Manifest, name: str) -> FileEntry:
    """What the manifest says about a file. Raises NotFoundError, saying which files there are."""
    if name not in manifest.files:
        raise NotFoundError(
            f"{manifest.model!r} {manifest.version!r} has no file {name!r}.",
            hint=f"It has {', '.join(sorted(manifest.files))}.",
        )
    return manifest.files[name]


def read(objects: Objects, manifest: Manifest, name: str) -> bytes:
    """The bytes of a file, verified; see `Store.read_file`."""
    expected = entry(manifest, name)
    try:
        data = objects.get(keys.file(manifest.model, expected.sha256))
    except NotFoundError as error:
        raise missing(manifest, name) from error
    if sha256_of(data) != expected.sha256:
        raise damaged(manifest, name, objects.url)
    return data


def verify(objects: Objects, manifest: Manifest, name: str) -> None:
    """Read a file in constant memory and compare it with its hash; see `Store.verify`."""
    expected = entry(manifest, name)
    try:
        with objects.open_reader(keys.file(manifest.model, expected.sha256)) as stream:
            found = hash_of(stream)
    except NotFoundError as error:
        raise missing(manifest, name) from error
    if found != expected.sha256:
        raise damaged(manifest, name, objects.url)


def download(objects: Objects, manifest: Manifest, name: str, to: Path) -> None:
    """Copy a file to the path `to`, and verify the copy."""
    expected = entry(manifest, name)
    try:
        objects.download(keys.file(manifest.model, expected.sha256), to)
    except NotFoundError as error:
        raise missing(manifest, name) from error
    with to.open("rb") as copy:
        found = hash_of(copy)
    if found != expected.sha256:
        raise damaged(manifest, name, objects.url)


def hash_of(stream: BinaryIO) -> str:
    """The SHA-256 of the rest of a stream, in hexadecimal digits."""
    return hashlib.file_digest(cast("BufferedReader", stream), "sha256").hexdigest()


def missing(manifest: Manifest, name: str) -> CorruptError:
    """The error for a file that the manifest names and the store does not have."""
    return CorruptError(
        f"The file {name!r} of {manifest.model!r} {manifest.version!r} is missing from the store.",
        hint="Restore it, or publish a new version.",
    )


def damaged(manifest: Manifest, name: str, where: str) -> CorruptError:
    """The error for a file whose bytes are not those that were published."""
    return CorruptError(
        f"The file {name!r} of {manifest.model!r} {manifest.version!r} in {where} is damaged: its hash does not match.",
        hint="Restore it, or publish a new version.",
    )
