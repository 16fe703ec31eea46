"""API keys: from a file, a folder of files (a mounted Secret), or a list; read again when they change."""

import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path

from mlplat import logs
from mlplat.errors import UsageError


class KeyRing:
    """The keys that are accepted now. Without a list and without a path, everyone is let in.

    Args:
        keys: keys that never change.
        path: a file with one key a line, or a folder of such files. A file that vanishes leaves the last keys in
            force (a rotation may remove it for a moment); one that is empty leaves none, so that all are refused.

    Attributes:
        required: whether a key is asked for.
        generation: another object as soon as other keys are accepted: who was let in under this one still is.

    Raises:
        UsageError: if there is nothing at the path, or no key at all.
    """

    def __init__(self, keys: Iterable[str] = (), path: Path | None = None) -> None:
        given = list(keys)
        self._fixed = _digests(given)
        if given and not self._fixed:
            raise UsageError("The list of API keys holds none.", hint="Give a key, or leave the option out.")
        self._path = path
        self._stamp: object = None
        self._digests = self._fixed
        self._accepted: set[str] = set()
        self.generation = object()
        self.required = path is not None or bool(self._fixed)
        if path is not None:
            if not path.exists():
                raise UsageError(f"There are no API keys at {path}.", hint="Make the file, or leave the option out.")
            read_keys(path)  # what cannot be read is refused here, and only logged once it serves
            self.look()
            if not self._digests:
                raise UsageError(f"{path} holds no API key.", hint="Write one key a line.")

    def accepts(self, key: str | None) -> bool:
        """Whether `key` is one of the keys; compared in constant time."""
        if not self.required:
            return True
        if not key:
            return False
        if key in self._accepted:
            return True
        digest = _digest(key)
        found = False
        for known in self._digests:  # all of them, so that time tells nothing
            found |= hmac.compare_digest(digest, known)
        if found:
            self._accepted.add(key)
        return found

    def look(self) -> None:
        """Read the keys again if they have changed; called every second."""
        if self._path is None:
            return
        try:
            files = _key_files(self._path)
            stamp = [(str(file), file.stat().st_mtime_ns, file.stat().st_size, file.stat().st_ino) for file in files]
            if stamp == self._stamp:
                return
            keys = [key for file in files for key in _keys_in(file)]
        except (OSError, UnicodeDecodeError) as error:
            logs.get().warning("api_keys_unreadable", path=str(self._path), error=str(error))
            return
        self._digests = self._fixed + _digests(keys)
        self._accepted = set()
        self.generation = object()
        if self._stamp is not None:
            logs.get().info("api_keys_changed", path=str(self._path), keys=len(self._digests))
        self._stamp = stamp


def read_keys(path: Path) -> list[str]:
    """The API keys at a path: a file with one key a line, or a folder of such files.

    Raises:
        UsageError: if they cannot be read.
    """
    try:
        return [key for file in _key_files(path) for key in _keys_in(file)]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read API keys from {path}: {error}.", hint="Write one key a line.") from error


def _keys_in(file: Path) -> list[str]:
    return [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def _key_files(path: Path) -> list[Path]:
    """The key files at `path`; in a folder, all but hidden ones (Kubernetes keeps its own bookkeeping in `..data`)."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if not file.name.startswith(".") and file.is_file())


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _digests(keys: Iterable[str]) -> list[bytes]:
    return [_digest(key.strip()) for key in keys if key.strip()]
