"""Objects in a folder: written to a temporary file, synced, named only when whole, and the folder synced after.

Every step that writes is one call of `os` (by itself or through pathlib), so that tests can record the steps, fail
them, and kill the process at any of them.
"""

import errno
import io
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG
from typing import Any, BinaryIO
from urllib.parse import unquote

from mlplat.errors import MlplatError, NoStoreError, NotFoundError, StoreError, UsageError
from mlplat.objects.base import check_key, is_key
from mlplat.objects.links import place

TEMPORARY = ".tmp-"
"""How the names of unfinished files start, right below the root; `list` shows no hidden name."""

STALE_SECONDS = 86_400
"""An unfinished file that nobody wrote to for this long is of a writer that was killed."""

CHUNK = 1 << 20

HINTS = {
    errno.ENOSPC: "The disk is full: free some space (`mlplat models prune`) or use a larger volume.",
    errno.EDQUOT: "The quota is used up: free some space (`mlplat models prune`) or raise it.",
    errno.EFBIG: "The file is larger than the file system or a limit (`ulimit -f`) allows.",
    errno.EROFS: "The volume is mounted read-only: mount it read-write, or use another store.",
    errno.EACCES: "Give the user that runs this the right to read and write the folder.",
    errno.EPERM: "Give the user that runs this the right to read and write the folder.",
    errno.ENOTDIR: "A part of the path is a file: name a folder.",
    errno.EISDIR: "A folder of that name is there: choose another name, or remove it.",
    errno.ENOENT: "Create the folder, or mount the volume that holds it.",
    errno.ESTALE: "The network file system lost the folder: mount it again.",
}


class FileObjects:
    """Objects in the folder of a plain path or a `file://` URL.

    With `create` the folder is made, stale temporary files are removed, and a file system that cannot keep two writers
    apart is refused. Without it nothing is touched, and a missing folder is an error of each call: it may be mounted
    later.
    """

    def __init__(self, url: str, *, create: bool = True) -> None:
        self.root = folder_of(url)
        self.url = self.root.as_uri()
        if create:
            with self._explained("create"):
                make_folder(self.root)
            self._remove_stale()
            self._try_placing()

    def get(self, key: str) -> bytes:
        """The bytes at `key`. Raises NotFoundError."""
        with self.open_reader(key) as reader, self._explained("read", key):
            return reader.read()

    def download(self, key: str, to: Path) -> None:
        """Copy the object at `key` into the file `to`, in constant memory. Raises NotFoundError."""
        with self.open_reader(key) as reader, self._explained("copy", key), to.open("wb") as target:
            while chunk := reader.read(CHUNK):
                target.write(chunk)

    def size(self, key: str) -> int | None:
        """How many bytes are at `key`; None if it does not exist."""
        found = self._stat(key)
        return None if found is None else found.st_size

    def modified(self, key: str) -> datetime | None:
        """When the object at `key` was written; None if it does not exist."""
        found = self._stat(key)
        return None if found is None else datetime.fromtimestamp(found.st_mtime, UTC)

    def put_if_absent(self, key: str, data: bytes | Path) -> bool:
        """Write a whole object durably unless `key` exists; whether this call wrote it."""
        path = self._inside(key)
        with self._explained("write", key):
            placed = False
            if not os.path.lexists(path):
                with self._temporary() as temporary:
                    write_file(temporary, data)
                    make_folder(path.parent)
                    placed = place(temporary, path)
            if not placed and path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
            # Also when another process placed it: the caller builds on it, and that process may not have come this far.
            self._sync_folders(path.parent)
            return placed

    def list(self, prefix: str) -> Iterator[str]:
        """The keys below the folder `prefix`, at any depth, sorted; hidden files and folders are left out."""
        with self._explained("list", prefix):
            start = self._folder(prefix)
            keys = []
            for folder, names, files in os.walk(start, onerror=self._walk_error):
                names[:] = [name for name in names if not name.startswith(".")]
                relative = Path(folder).relative_to(self.root)
                keys += [(relative / name).as_posix() for name in files]
            return iter(sorted(key for key in keys if is_key(key) and self.size(key) is not None))

    def folders(self, prefix: str) -> Iterator[str]:
        """The names of the folders right below `prefix` ("" for the root), sorted; hidden ones are left out."""
        with self._explained("list", prefix):
            try:
                with os.scandir(self._folder(prefix)) as entries:
                    names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
            except (FileNotFoundError, NotADirectoryError) as error:
                self._walk_error(error)
                names = []
            return iter(sorted(filter(is_key, names)))

    def delete(self, key: str) -> None:
        """Remove the object at `key`, if it is there."""
        path = self._inside(key)
        with self._explained("delete", key), suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()
            sync_folder(path.parent)

    def open_reader(self, key: str) -> BinaryIO:
        """A seekable stream over the object. Raises NotFoundError."""
        path = self._inside(key)
        with self._explained("read", key):
            try:
                return path.open("rb")
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
                self._walk_error(error)
                raise NotFoundError(f"There is no {key!r} in {self.url}.") from error

    @contextmanager
    def open_writer(self, key: str) -> Iterator[BinaryIO]:
        """A stream whose bytes appear at `key`, replacing what is there, whole and durable when the block ends well."""
        path = self._inside(key)
        with self._temporary() as temporary:
            with self._explained("write", key):
                raw = _Output(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), f"{self.url}/{key}")
            stream = io.BufferedWriter(raw, CHUNK)
            try:
                yield stream
                stream.flush()
                with self._explained("write", key):
                    os.fsync(raw.fd)
            finally:
                raw.ended = True
                stream.close()
            with self._explained("write", key):
                make_folder(path.parent)
                temporary.replace(path)
                self._sync_folders(path.parent)

    def _inside(self, key: str) -> Path:
        """The path of `key`, which no symbolic link may lead out of the root."""
        return self._refuse_outside(self.root / check_key(key))

    def _folder(self, prefix: str) -> Path:
        return self._inside(prefix.rstrip("/")) if prefix else self.root

    def _refuse_outside(self, path: Path) -> Path:
        root, real = os.path.realpath(self.root), os.path.realpath(path)
        if real != root and not real.startswith(root.rstrip("/") + "/"):
            raise StoreError(
                f"{path} leads out of the store through a symbolic link.", hint="Put the file itself there."
            )
        return path

    def _stat(self, key: str) -> os.stat_result | None:
        path = self._inside(key)
        with self._explained("read", key):
            try:
                found = path.stat()
            except (FileNotFoundError, NotADirectoryError) as error:
                self._walk_error(error)
                return None
            return found if S_ISREG(found.st_mode) else None

    def _walk_error(self, error: OSError) -> None:
        """Let what vanished or never was be absent, unless the root itself is (an unmounted volume)."""
        if not isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError) or not self.root.is_dir():
            raise error

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        """A name for an unfinished file on the same file system; what still has it in the end is removed."""
        path = self.root / f"{TEMPORARY}{uuid.uuid4().hex}"
        try:
            yield path
        finally:
            with suppress(OSError):
                path.unlink()

    def _sync_folders(self, folder: Path) -> None:
        """Make the names in `folder`, and its own up to the root, durable, whoever made them."""
        for each in (folder, *folder.parents):
            sync_folder(each)
            if each == self.root:
                return

    def _remove_stale(self) -> None:
        """Remove the unfinished files of killed writers; on a read-only store they stay."""
        oldest = time.time() - STALE_SECONDS
        with suppress(OSError), os.scandir(self.root) as entries:
            for entry in entries:
                if entry.name.startswith(TEMPORARY) and entry.stat(follow_symlinks=False).st_mtime < oldest:
                    Path(entry).unlink()

    def _try_placing(self) -> None:
        """Refuse now, not after an hour of training, a file system that cannot place a file only where there is none.

        A store that cannot be written at all is no error yet: it can be read.
        """
        with suppress(OSError), self._temporary() as source, self._temporary() as target:
            os.close(os.open(source, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
            place(source, target)

    @contextmanager
    def _explained(self, doing: str, key: str = "") -> Iterator[None]:
        try:
            yield
        except OSError as error:
            explained = explain(error, doing, f"{self.url}/{key}" if key else self.url)
            if isinstance(error, FileNotFoundError) and not self.root.exists():
                explained = NoStoreError(explained.message, hint=explained.hint)
            raise explained from error


class _Output(io.RawIOBase):
    """The unfinished file below a buffered stream; once `ended`, it takes no more bytes (the buffer's last ones)."""

    def __init__(self, fd: int, url: str) -> None:
        self.fd = fd
        self.url = url
        self.ended = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        if self.ended:
            return len(view)
        try:
            return os.write(self.fd, view)
        except OSError as error:
            raise explain(error, "write", self.url) from error

    def close(self) -> None:
        if not self.closed:
            os.close(self.fd)
        super().close()


def folder_of(url: str) -> Path:
    """The absolute folder that a plain path or a `file://` URL names.

    Raises:
        UsageError: if the URL names another host or no path.
    """
    path = url
    if url.startswith("file://"):
        path = unquote(url.removeprefix("file://").removeprefix("localhost"))
        if not path.startswith("/"):
            raise UsageError(f"{url!r} is not the URL of a folder.", hint="Use file:///absolute/path, or a plain path.")
    if not path or "\0" in path:
        raise UsageError(f"{url!r} is not a folder.", hint="Use a path such as ./store.")
    return Path(path).absolute()


def explain(error: OSError, doing: str, what: str) -> MlplatError:
    """One sentence and a hint for an error of the operating system."""
    reason = (error.strerror or str(error)).lower()
    return StoreError(f"Cannot {doing} {what}: {reason}.", hint=HINTS.get(error.errno or 0, ""))


def write_file(path: Path, data: bytes | Path) -> None:
    """Write a new file and sync it."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        if isinstance(data, Path):
            with data.open("rb") as source:
                while chunk := source.read(CHUNK):
                    write_all(fd, chunk)
        else:
            write_all(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data`; write(2) may take a part."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def make_folder(folder: Path) -> None:
    """Make `folder` and what is missing above it, each synced into the folder above."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with suppress(FileExistsError):  # another process was faster
        folder.mkdir()
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    except OSError as error:
        # Some network and FUSE file systems cannot sync a folder and need not: each call is at the server already.
        if error.errno not in {errno.EINVAL, errno.EOPNOTSUPP}:
            raise
    finally:
        os.close(fd)
