"""The interface of all object backends, and the choice of one by URL."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from mlplat.errors import UsageError


class Objects(Protocol):
    """Immutable objects under keys ("iris/versions/v1.json") below one URL.

    All methods raise `StoreError` if the backend cannot be reached, read or written, and `UsageError` for what
    `check_key` refuses.
    """

    url: str

    def get(self, key: str) -> bytes:
        """The bytes at `key`. Raises NotFoundError."""
        ...

    def download(self, key: str, to: Path) -> None:
        """Copy the object at `key` into the new file `to`, in constant memory. Raises NotFoundError."""
        ...

    def size(self, key: str) -> int | None:
        """How many bytes are at `key`; None if it does not exist."""
        ...

    def modified(self, key: str) -> datetime | None:
        """When the object at `key` was written, by the backend's clock; None if it does not exist."""
        ...

    def put_if_absent(self, key: str, data: bytes | Path) -> bool:
        """Write a whole object (bytes, or the file at a path) durably unless `key` exists; whether this call wrote it.

        A reader sees all of it or none. A lost reply may make this call's own write look like another's: read back
        what must be told apart. Of two writers of one key at once, one writes, with one exception: a large file that
        a cloud takes only in parts is written by both, which is right for keys that name their content.
        """
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """The keys below the folder `prefix` ("iris/versions"), at any depth, sorted."""
        ...

    def folders(self, prefix: str) -> Iterator[str]:
        """The names of the folders right below `prefix` ("" for the root), sorted."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object at `key`, if it is there."""
        ...

    def open_reader(self, key: str) -> BinaryIO:
        """A seekable stream over the object. Raises NotFoundError."""
        ...

    def open_writer(self, key: str) -> AbstractContextManager[BinaryIO]:
        """A stream whose bytes appear at `key`, replacing what is there, whole and durable when the block ends well.

        Nothing appears if the block raises.
        """
        ...


def is_key(key: str) -> bool:
    """Whether `key` stays below the URL on every backend: parts between slashes, none empty or starting with a dot."""
    return (
        all(part and not part.startswith(".") for part in key.split("/"))
        and "\\" not in key
        and key.isprintable()  # no NUL, no line break, and no lone surrogate, which no cloud takes
    )


def check_key(key: str) -> str:
    """Return `key`, or refuse it.

    Raises:
        UsageError: if it is absolute, or a part of it is empty, hidden, "." or "..", or it holds a backslash or
            something that cannot be printed.
    """
    if not is_key(key):
        raise UsageError(
            f"{key!r} cannot name an object.",
            hint="Use parts between single slashes that do not start with a dot, as in 'data/2026/rows.csv'.",
        )
    return key


def open_objects(url: str, *, create: bool = True) -> Objects:
    """The backend for a plain path, `file://`, `s3://`, `gs://` or `az://` URL.

    Credentials and endpoints of clouds come from their usual environment variables (`AWS_ACCESS_KEY_ID`,
    `AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_CREDENTIALS`, `AZURE_STORAGE_ACCOUNT_NAME`, ...).

    Args:
        url: where the objects are.
        create: make the folder of a path if it is missing.

    Raises:
        UsageError: if the URL has another scheme.
        StoreError: if it cannot be used.
    """
    scheme, _, _ = url.partition("://")
    if "://" not in url or scheme == "file":
        from mlplat.objects.files import FileObjects

        return FileObjects(url, create=create)
    if scheme in {"s3", "gs", "az"}:
        from mlplat.objects.cloud import CloudObjects

        return CloudObjects(url)
    raise UsageError(f"{url!r} has an unknown scheme.", hint="Use a path, file://, s3://, gs:// or az://.")
