"""A local copy of what the store holds: every file is verified each time before it is handed out."""

import fcntl
import os
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from mlplat.bundle import names
from mlplat.bundle.manifest import Manifest, sha256_of
from mlplat.errors import MlplatError, StoreError
from mlplat.objects.files import explain
from mlplat.store import content, keys
from mlplat.store.seal import seal
from mlplat.store.versions import Store, read_manifest

GIGABYTE = 1 << 30
TEMPORARY = ".tmp-"
ATTEMPTS = 5
"""How often a file is fetched that is damaged or removed, by whoever, before it can be locked."""


class Cache:
    """Files by their hash in `files/`, manifests by store, model and version in `manifests/`.

    Any number of processes may share the folder, and be killed at any time: a file gets its name when it is whole, and
    is locked (shared) by the processes that use it, so that none removes what another was given. The kernel ends a lock
    with its process.

    Args:
        folder: made if it does not exist.
        max_bytes: of all files; above it those that were not used for longest go. What one call of `fetch` returns
            stays, even if it is larger than this.
    """

    def __init__(self, folder: Path, *, max_bytes: int = 10 * GIGABYTE) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._files = folder / "files"
        self._held: dict[str, int] = {}
        weakref.finalize(self, _release, self._held)
        with self._explained():
            self._files.mkdir(parents=True, exist_ok=True)
            self._remove_unfinished()

    def manifest(self, store: Store, model: str, version: str) -> Manifest:
        """The manifest of a version: the store's, and the copy kept here only while the store cannot be reached.

        Raises:
            StoreError: if the store cannot be reached and there is no copy.
            NotFoundError, CorruptError, SchemaError: as `Store.manifest`.
        """
        key = keys.manifest(names.check(model, "model"), names.check(version, "version"))
        copy = self.folder / "manifests" / sha256_of(store.url.encode())[:16] / key
        try:
            manifest = store.manifest(model, version)
        except StoreError:
            if not copy.is_file():
                raise
            with self._explained():
                return read_manifest(copy.read_bytes(), model, version, source=str(copy))
        data = seal(manifest)
        with self._explained():
            if not copy.is_file() or copy.read_bytes() != data:
                copy.parent.mkdir(parents=True, exist_ok=True)
                with self._unfinished() as path:
                    path.write_bytes(data)
                    path.replace(copy)
        return manifest

    def fetch(self, store: Store, manifest: Manifest, names: Iterable[str] | None = None) -> dict[str, Path]:
        """Local copies of files of a version, each verified now; only those that are missing or damaged are fetched.

        Args:
            store: where to fetch from; not asked if all files are here.
            manifest: of the version.
            names: of the files; all of them if None.

        Returns:
            A path for each name. The files stay at least until the next call, or the end of this object.

        Raises:
            CorruptError: naming a file that is damaged in the store.
            StoreError: if a file is not here and the store cannot be reached, or the cache cannot be written.
        """
        wanted = {name: content.entry(manifest, name) for name in (manifest.files if names is None else names)}
        held: dict[str, int] = {}
        with self._explained():
            try:
                for name, entry in wanted.items():
                    if entry.sha256 not in held:
                        held[entry.sha256] = self._hold(store, manifest, name)
            except BaseException:
                _release(held)
                raise
            before = dict(self._held)
            self._held.clear()
            self._held.update(held)
            _release(before)
            self._shrink(0)
        return {name: self._files / entry.sha256 for name, entry in wanted.items()}

    def _hold(self, store: Store, manifest: Manifest, name: str) -> int:
        """A descriptor of a verified file, locked so that no process removes it."""
        entry = manifest.files[name]
        path = self._files / entry.sha256
        for _ in range(ATTEMPTS):
            held = _lock_shared(path)
            if held is not None and _hash_of(held) == entry.sha256:
                os.utime(held)
                return held
            if held is not None:
                os.close(held)
            self._shrink(entry.bytes)
            with self._unfinished() as unfinished:
                store.download(manifest, name, unfinished)
                unfinished.replace(path)
        raise content.damaged(manifest, name, f"the cache {self.folder}")

    def _shrink(self, needed: int) -> None:
        """Remove files, those used longest ago first, until `needed` bytes have room; those in use stay."""
        self._remove_unfinished()
        found = []
        for path in self._files.iterdir():
            with suppress(FileNotFoundError):  # another process was faster
                stat = path.stat()
                found.append((stat.st_mtime_ns, stat.st_size, path))
        total = needed + sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self._max_bytes:
                return
            if _remove_unused(path):
                total -= size

    def _remove_unfinished(self) -> None:
        """Remove what killed processes left: unfinished files that nobody has locked."""
        for path in self.folder.glob(f"{TEMPORARY}*"):
            _remove_unused(path)

    @contextmanager
    def _unfinished(self) -> Iterator[Path]:
        """A new file, locked by this process, to be renamed when it is whole; else it is removed."""
        while True:
            path = self.folder / f"{TEMPORARY}{uuid4().hex}"
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.fstat(fd).st_nlink:
                break
            os.close(fd)  # another process took it for a killed one's between the two lines
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)
            os.close(fd)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except MlplatError:
            raise
        except OSError as error:
            raise explain(error, "use the cache", str(self.folder)) from error


def _lock_shared(path: Path) -> int | None:
    """A descriptor of the file that `path` names, with a shared lock; None if there is none."""
    while True:
        try:
            fd = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        fcntl.flock(fd, fcntl.LOCK_SH)
        if os.fstat(fd).st_nlink:
            return fd
        os.close(fd)  # removed between the two lines; look again


def _remove_unused(path: Path) -> bool:
    """Remove a file unless a process has locked it; whether it is gone."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def _hash_of(fd: int) -> str:
    with open(fd, "rb", closefd=False) as stream:
        return content.hash_of(stream)


def _release(held: dict[str, int]) -> None:
    """Close descriptors, and so end their locks."""
    while held:
        os.close(held.popitem()[1])
