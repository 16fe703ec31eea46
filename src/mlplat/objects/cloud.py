"""Objects in a bucket of S3, Google Cloud Storage or Azure, through obstore."""

import io
import os
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    GenericError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore, S3Store

from mlplat.errors import MlplatError, NotFoundError, StoreError, UsageError
from mlplat.objects.base import check_key, is_key

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

TIMEOUT = timedelta(seconds=15)
"""For one request: a part of 5 MiB at 0.35 MB/s."""

RETRY = timedelta(seconds=15)
"""No request is asked again after this; so a lost network is an error after 30 s at the latest."""

ATTEMPTS = 3
PART = 5 << 20
"""The size of the parts in which large objects are written, the smallest that S3 takes."""

WHOLE = 8 << 20
"""A file up to this size is written by one request, which a condition can guard."""

BUFFER = 4 << 20

HINTS = {
    "denied": "Give these credentials the right to list, read, write and delete here, and check the region.",
    "unknown": "Set the credentials of the cloud (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
    "GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY) or a workload identity.",
    "bucket": "Create the bucket first, and check its name and the endpoint.",
    "network": "Check the network, the endpoint (AWS_ENDPOINT_URL) and the credentials, and try again.",
}
NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "bucket does not exist")


class CloudObjects:
    """Objects below `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `az://CONTAINER/PREFIX`.

    Nothing is asked of the cloud before the first call.

    Args:
        url: where the objects are.
        timeout: for one request.
        retry: how long a failed request is asked again.
    """

    def __init__(self, url: str, *, timeout: timedelta = TIMEOUT, retry: timedelta = RETRY) -> None:
        self.url = url.rstrip("/")
        self._retry = retry.total_seconds()
        client: ClientConfig = {"timeout": timeout, "connect_timeout": min(timeout, timedelta(seconds=5))}
        again: RetryConfig = {
            "max_retries": ATTEMPTS,
            "retry_timeout": retry,
            "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2)},
        }
        self._store = open_bucket(self.url, client, again)

    def get(self, key: str) -> bytes:
        """The bytes at `key`. Raises NotFoundError."""
        with self.open_reader(key) as reader:
            return reader.read()

    def download(self, key: str, to: Path) -> None:
        """Copy the object at `key` into the file `to`, in constant memory. Raises NotFoundError."""
        with self.open_reader(key) as reader, to.open("wb") as target:
            while chunk := reader.read(BUFFER):
                target.write(chunk)

    def size(self, key: str) -> int | None:
        """How many bytes are at `key`; None if it does not exist."""
        try:
            return int(self._head(key)["size"])
        except NotFoundError:
            return None

    def modified(self, key: str) -> datetime | None:
        """When the object at `key` was written; None if it does not exist."""
        try:
            return cast("datetime", self._head(key)["last_modified"])
        except NotFoundError:
            return None

    def put_if_absent(self, key: str, data: bytes | Path) -> bool:
        """Write a whole object durably unless `key` exists; whether this call wrote it.

        obstore guards only writes of one request by a condition. A larger file is written in parts after a look, so two
        writers at once may both write it: under a key that names its content, that is the same twice.
        """
        check_key(key)
        if isinstance(data, bytes):
            return self._create(key, data)
        if data.stat().st_size <= WHOLE:
            return self._create(key, data.read_bytes())
        if self.size(key) is not None:
            return False
        with self._explained("write", key):
            obstore.put(self._store, key, data, mode="overwrite", chunk_size=PART, max_concurrency=1)
        return True

    def _create(self, key: str, data: bytes) -> bool:
        """Put under a condition. obstore does not repeat it when the reply is lost; here it may, as at most one wins."""
        ends = time.monotonic() + self._retry
        attempt = 0
        with self._explained("write", key):
            while True:
                attempt += 1
                try:
                    obstore.put(self._store, key, data, mode="create", use_multipart=False)
                except (AlreadyExistsError, PreconditionError):
                    return False
                except GenericError:
                    if attempt == ATTEMPTS or time.monotonic() >= ends:
                        raise
                    time.sleep(random.uniform(0.05, 0.2) * attempt)
                else:
                    return True

    def list(self, prefix: str) -> Iterator[str]:
        """The keys below the folder `prefix`, at any depth, sorted; hidden ones are left out."""
        folder = _folder(prefix)
        with self._explained("list", prefix):
            found = [meta["path"] for chunk in obstore.list(self._store, folder, chunk_size=1000) for meta in chunk]
        return iter(sorted(filter(is_key, found)))

    def folders(self, prefix: str) -> Iterator[str]:
        """The names of the folders right below `prefix` ("" for the root), sorted; hidden ones are left out."""
        folder = _folder(prefix)
        with self._explained("list", prefix):
            found = obstore.list_with_delimiter(self._store, folder)["common_prefixes"]
        return iter(sorted(filter(is_key, (each.rstrip("/").rpartition("/")[2] for each in found))))

    def delete(self, key: str) -> None:
        """Remove the object at `key`, if it is there."""
        try:
            with self._explained("delete", check_key(key)):
                obstore.delete(self._store, key)
        except NotFoundError:  # S3 does not say, the others do
            return

    def open_reader(self, key: str) -> BinaryIO:
        """A seekable stream over the object. Raises NotFoundError."""
        meta = self._head(key)
        return io.BufferedReader(_Input(self, key, int(meta["size"]), meta["e_tag"]), BUFFER)

    @contextmanager
    def open_writer(self, key: str) -> Iterator[BinaryIO]:
        """A stream whose bytes appear at `key`, replacing what is there, whole and durable when the block ends well."""
        with self._explained("write", check_key(key)):
            target = obstore.open_writer(self._store, key, buffer_size=PART, max_concurrency=1)
        output = _Output(self, key, target)
        try:
            yield cast("BinaryIO", output)
        except BaseException as error:
            with suppress(BaseError, OSError):  # without a network the parts stay until the bucket's own clean-up
                target.__exit__(type(error), error, error.__traceback__)  # ends the upload without an object
            raise
        with self._explained("write", key):
            target.close()

    def _head(self, key: str) -> dict[str, Any]:
        with self._explained("read", check_key(key)):
            return cast("dict[str, Any]", obstore.head(self._store, key))

    def read_range(self, key: str, start: int, length: int, e_tag: str | None) -> bytes:
        """Some bytes of an object, which must still be the one that has `e_tag`."""
        with self._explained("read", key):
            options: Any = {"range": (start, start + length), "if_match": e_tag}
            return bytes(obstore.get(self._store, key, options=options).bytes())

    @contextmanager
    def _explained(self, doing: str, key: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:  # obstore's streams raise OSError
            raise explain(error, doing, f"{self.url}/{key}".rstrip("/")) from error


class _Input(io.RawIOBase):
    """An object below a buffered reader: each read is a request for a range."""

    def __init__(self, objects: CloudObjects, key: str, size: int, e_tag: str | None) -> None:
        self._objects = objects
        self._key = key
        self._size = size
        self._e_tag = e_tag
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError("negative seek position")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        length = min(len(view), self._size - self._at, BUFFER)
        if length <= 0:
            return 0
        data = self._objects.read_range(self._key, self._at, length, self._e_tag)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


class _Output(io.RawIOBase):
    """The upload of an object, which obstore buffers."""

    def __init__(self, objects: CloudObjects, key: str, target: Any) -> None:
        self._objects = objects
        self._key = key
        self._target = target
        self._at = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        with self._objects._explained("write", self._key):  # noqa: SLF001
            self._target.write(view)
        self._at += len(view)
        return len(view)


def open_bucket(url: str, client: "ClientConfig", again: "RetryConfig") -> "ObjectStore":
    """The bucket of a URL, with credentials and endpoint from the environment.

    Raises:
        UsageError: if the URL names no bucket, or the environment cannot be meant.
    """
    scheme, _, path = url.partition("://")
    bucket, _, prefix = path.partition("/")
    if not bucket or (prefix and not is_key(prefix)):
        raise UsageError(f"{url!r} does not name a bucket.", hint=f"Use {scheme}://BUCKET or {scheme}://BUCKET/FOLDER.")
    endpoints = {"s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"), "az": ("AZURE_ENDPOINT",)}
    endpoint = next(filter(None, map(os.environ.get, endpoints.get(scheme, ()))), "")
    if endpoint.startswith("http://"):
        client = {**client, "allow_http": True}
    where: Any = {"prefix": prefix or None, "client_options": client, "retry_config": again}
    try:
        if scheme == "s3":
            return S3Store(bucket, **where)
        return GCSStore(bucket, **where) if scheme == "gs" else AzureStore(bucket, **where)
    except BaseError as error:
        raise UsageError(f"{url} cannot be used: {reason_of(error)}.", hint=HINTS["unknown"]) from error


def explain(error: Exception, doing: str, what: str) -> MlplatError:
    """One sentence and a hint for an error of obstore."""
    missing = isinstance(error, FileNotFoundError)
    if any(word in str(error) for word in NO_BUCKET) or (missing and doing == "write"):
        return StoreError(f"Cannot {doing} {what}: there is no such bucket.", hint=HINTS["bucket"])
    if missing:
        return NotFoundError(f"There is no {what}.")
    if isinstance(error, PermissionDeniedError):
        return StoreError(f"Cannot {doing} {what}: permission denied ({reason_of(error)}).", hint=HINTS["denied"])
    if isinstance(error, UnauthenticatedError):
        return StoreError(f"Cannot {doing} {what}: not authenticated ({reason_of(error)}).", hint=HINTS["unknown"])
    if isinstance(error, PreconditionError):
        return StoreError(f"Cannot {doing} {what}: it was replaced while it was read.", hint="Try again.")
    return StoreError(f"Cannot {doing} {what}: {reason_of(error)}.", hint=HINTS["network"])


def reason_of(error: Exception) -> str:
    """The part of obstore's long message that says what happened, as one line without a full stop."""
    text = str(error)
    code = re.search(r"<Code>(\w+)</Code>", text)
    line = text.strip().splitlines()[0].partition(": <?xml")[0].rpartition(" - ")[2]
    return code[1] if code else line.strip().rstrip(".:")[:200]


def _folder(prefix: str) -> str | None:
    return check_key(prefix.rstrip("/")) if prefix else None
