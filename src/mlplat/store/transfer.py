"""A version as a plain folder: its files by name, and manifest.json."""

import shutil
from pathlib import Path
from uuid import uuid4

from mlplat.bundle.manifest import Manifest, parse
from mlplat.errors import ConflictError, CorruptError, NotFoundError
from mlplat.objects.files import explain
from mlplat.store.seal import SEAL, is_sealed, seal
from mlplat.store.versions import Store

MANIFEST_FILE = "manifest.json"


def pull(store: Store, model: str, version: str, folder: Path) -> Manifest:
    """Copy a version into a new folder, verified; the folder appears whole or not at all.

    An empty folder that is there (the current one, a mounted volume) stays itself and is filled, the manifest last.

    Raises:
        ConflictError: if the folder exists and is not empty.
    """
    manifest = store.manifest(model, version)
    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConflictError(f"{folder} exists already.", hint="Name a folder that does not exist.")
    there = folder.exists()
    unfinished = (folder if there else folder.parent) / f".{folder.name}-{uuid4().hex}"
    try:
        unfinished.mkdir(parents=True)
        for name in manifest.files:
            store.download(manifest, name, unfinished / name)
        (unfinished / MANIFEST_FILE).write_bytes(seal(manifest))
        if there:
            for name in (*manifest.files, MANIFEST_FILE):
                (unfinished / name).replace(folder / name)
        else:
            unfinished.replace(folder)
    except OSError as error:
        raise explain(error, "write", str(folder)) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return manifest


def push(store: Store, folder: Path, *, model: str | None = None, version: str | None = None) -> Manifest:
    """Publish a folder that `pull` made, under its own name or another; its files must be the ones it describes.

    Raises:
        NotFoundError: if it has no manifest or lacks a file.
        CorruptError: if a file is not the one that the manifest describes.
        ConflictError: if the store has another version of that name.
    """
    source = folder / MANIFEST_FILE
    if not source.is_file():
        raise NotFoundError(f"{folder} has no {MANIFEST_FILE}.", hint="Name a folder that `mlplat models pull` made.")
    data = source.read_bytes()
    manifest = parse(data, source=str(source))
    if SEAL.search(data) and not is_sealed(data):
        raise CorruptError(f"{source} is damaged: its checksum does not match.", hint="Pull the version anew.")
    renamed = {"model": model or manifest.model, "version": version or manifest.version}
    manifest = manifest.model_copy(update=renamed)
    for name in manifest.files:
        if not (folder / name).is_file():
            raise NotFoundError(f"{folder} lacks the file {name!r}, which its manifest names.")
    store.publish(manifest, {name: folder / name for name in manifest.files})
    return manifest
