"""The key that a registry asks for: from the environment, or from a file that is read again when it changes."""

import os
from collections.abc import Mapping
from pathlib import Path

from mlplat import logs
from mlplat.errors import UsageError

KEY = "MLPLAT_STORE_KEY"
FILE = "MLPLAT_STORE_KEY_FILE"


class StoreKey:
    """A key, or none.

    Args:
        key: one that never changes.
        path: of a file whose first line is the key. While it cannot be read (a rotation may remove it for a moment), the
            last key stays.

    Raises:
        UsageError: if the key cannot be one, or the file cannot be read.
    """

    def __init__(self, key: str | None = None, path: Path | None = None) -> None:
        self._path = path
        self._key = None if key is None else checked(key, KEY)
        self._stamp: object = None
        if path is not None:
            try:
                self._read(path)
            except OSError as error:
                raise UsageError(
                    f"The key of the store cannot be read from {path}: {error.strerror or error}.",
                    hint=f"Make the file, or unset {FILE}.",
                ) from error

    @property
    def value(self) -> str | None:
        """The key as it is now."""
        if self._path is not None:
            try:
                self._read(self._path)
            except (OSError, UsageError) as error:
                logs.get().warning("store_key_unreadable", path=str(self._path), error=str(error))
        return self._key

    def _read(self, path: Path) -> None:
        stat = path.stat()
        stamp = stat.st_mtime_ns, stat.st_size, stat.st_ino
        if stamp != self._stamp:
            text = path.read_bytes().decode("utf-8", "replace")
            self._key = checked(text.strip().partition("\n")[0], str(path))
            self._stamp = stamp


def key_from(environ: Mapping[str, str] = os.environ) -> StoreKey:
    """The key that the environment gives.

    Raises:
        UsageError: if it gives two, or one that is none.
    """
    key, file = environ.get(KEY), environ.get(FILE)
    if key is not None and file:
        raise UsageError(f"{KEY} and {FILE} are both set.", hint="Unset one of them.")
    return StoreKey(key, Path(file) if file else None)


def checked(key: str, source: str) -> str:
    """The key without space around it.

    Raises:
        UsageError: if nothing is left, or it cannot be sent.
    """
    key = key.strip()
    if not key:
        raise UsageError(f"{source} holds no key.", hint="Write the key of the registry there.")
    if not (key.isascii() and key.isprintable()):
        raise UsageError(f"{source} holds characters that no key has.", hint="Write the key alone, on one line.")
    return key
