"""Requests to a registry: with the key, tried anew for a few seconds, and never believed without a look.

Every request is repeated if its answer is lost, so it must be one that may be: one that the registry does once, however often
it arrives, or that says on what condition.
"""

import hashlib
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, IncompleteRead, RemoteDisconnected
from typing import Any, BinaryIO

import msgspec
import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from mlplat.errors import MlplatError, StoreError, UsageError
from mlplat.store.meter import metered
from mlplat.store.multipart import Multipart
from mlplat.store.proxies import connections_to
from mlplat.store.replies import AwayError, error_of, no_registry
from mlplat.store.storekey import StoreKey

PATIENCE_SECONDS = 6.0
"""A request that fails is tried anew for so long; a registry whose store is away asks for 5 s."""

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
TIMEOUT = urllib3.Timeout(connect=5.0, read=15.0)
UPLOAD_TIMEOUT = urllib3.Timeout(connect=60.0, read=600.0)
"""For each block that is sent, and for the registry to write a version into its store."""

UPLOADS = 3
"""How often a version is sent before an upload that is cut is an error."""

REPLY_BYTES = 32 << 20
"""What an answer in JSON may have; a manifest has 16 MiB at most."""

NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")
"""What OpenSSL calls an answer that is not TLS, depending on its release and on the answer."""

REPLY_SECONDS = 60.0
ERROR_BYTES = 1 << 16
BLOCK = 1 << 18


class Client:
    """Asks a registry.

    Args:
        url: of the registry, `http(s)://HOST[:PORT][/PREFIX]`.
        key: sent with each request.
    """

    def __init__(self, url: str, key: StoreKey) -> None:
        self.url = url
        self._key = key
        self._pool = connections_to(url)

    def ask(
        self, method: str, path: str, *, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> "Reply":
        """What the registry answers.

        Args:
            method: of the request.
            path: below the URL.
            body: sent as JSON.
            headers: sent besides.

        Raises:
            MlplatError: as the registry says, see `replies`; an AwayError after some tries if it cannot be reached.
        """
        sent = dict(headers or {})
        data = None
        if body is not None:
            data, sent["Content-Type"] = msgspec.json.encode(body), "application/json"
        patience = Patience()
        while True:
            try:
                with self._open(method, path, sent, data) as response:
                    return self._whole(response)
            except AwayError as error:
                patience.wait(error)

    def download(self, path: str, sink: "Sink", *, size: int, etag: str) -> None:
        """Copy a file into a sink; what breaks off goes on from there, for as long as it gets on.

        Args:
            path: of the file.
            sink: empty.
            size: of the file.
            etag: of the file, with its quotes.

        Raises:
            MlplatError: as `ask`; a StoreError if the answer has another size.
        """
        patience = Patience()
        while True:
            start = sink.size
            try:
                self._go_on(path, sink, size, etag)
            except AwayError as error:
                if sink.size > start:
                    patience = Patience()
                patience.wait(error)
            else:
                return

    def upload(self, path: str, body: Multipart) -> "Reply":
        """Send a version, once.

        Raises:
            MlplatError: as the registry says; AwayError if it cannot be reached, or the connection is cut.
        """
        headers = {"Content-Type": body.content_type, "Content-Length": str(body.length)}
        with self._open("POST", path, headers, body, UPLOAD_TIMEOUT) as response:
            return self._whole(response)

    def _go_on(self, path: str, sink: "Sink", size: int, etag: str) -> None:
        at = sink.size
        if at and at == size:
            return
        headers = {"Range": f"bytes={at}-", "If-Range": etag} if at else {}
        with self._open("GET", path, headers) as response:
            if response.status != 206:
                sink.restart()
            elif not response.headers.get("Content-Range", "").startswith(f"bytes {at}-"):
                raise no_registry(self.url, "it sends another part of a file than the one that was asked for")
            blocks = self._blocks(response, size - sink.size)
            for block in metered(blocks, "downloading", total=size, start=sink.size):
                sink.write(block)
        if sink.size != size:
            raise no_registry(self.url, f"it sends {sink.size} bytes of a file that has {size}")

    @contextmanager
    def _open(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Any = None,
        timeout: urllib3.Timeout | None = None,
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """The answer of one request, if it is one of success; the connection is used again once it was read."""
        key = self._key.value
        response = self._send(method, path, headers, body, timeout, key)
        if response.status == 401 and self._key.value != key:  # it was changed at this moment
            response.close()
            response = self._send(method, path, headers, body, timeout, self._key.value)
        try:
            self._require_success(response, keyless=key is None)
            yield response
        except BaseException:
            response.close()
            raise
        response.release_conn()

    def _require_success(self, response: urllib3.BaseHTTPResponse, *, keyless: bool) -> None:
        if not 200 <= response.status < 300:
            said = b"".join(self._blocks(response, ERROR_BYTES, REPLY_SECONDS, cut=True))
            raise error_of(self.url, response.status, response.headers, said, keyless=keyless)

    def _send(  # noqa: PLR0917
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Any,
        timeout: urllib3.Timeout | None,
        key: str | None,
    ) -> urllib3.BaseHTTPResponse:
        sent = {"Accept": "*/*", **headers} | ({} if key is None else {"Authorization": f"Bearer {key}"})
        try:
            return self._pool.request(
                method,
                self.url + path,
                body=body,
                headers=sent,
                timeout=timeout or TIMEOUT,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except (HTTPError, HTTPException, OSError, ValueError) as error:
            raise self._unreachable(error) from error

    def _whole(self, response: urllib3.BaseHTTPResponse) -> "Reply":
        body = b"".join(self._blocks(response, REPLY_BYTES, REPLY_SECONDS))
        return Reply(body, response.headers.get("ETag", "").removeprefix("W/").strip('"'))

    def _blocks(
        self, response: urllib3.BaseHTTPResponse, most: int, seconds: float | None = None, *, cut: bool = False
    ) -> Iterator[bytes]:
        """The body of an answer, which may have `most` bytes, and take so long; else it is refused, or `cut` there."""
        ends = None if seconds is None else time.monotonic() + seconds
        while True:
            try:
                block = response.read1(BLOCK)
            except (HTTPError, HTTPException, OSError, ValueError) as error:
                raise self._unreachable(error) from error
            if not block:
                return
            if len(block) > most:
                if cut:
                    yield block[:most]
                    return
                raise no_registry(self.url, "its answer has no end in sight")
            most -= len(block)
            yield block
            if ends is not None and time.monotonic() > ends:
                raise AwayError(f"The registry {self.url} takes more than {seconds:g} s for an answer.")

    def _unreachable(self, error: Exception) -> MlplatError:
        text = f"The registry {self.url} cannot be reached: {reason_of(error)}."
        if isinstance(error, SSLError) and any(each in str(error) for each in NO_TLS):
            text = f"The registry {self.url} cannot be reached: what answers there does not speak TLS."
            return StoreError(text, hint="Perhaps its URL begins with http://.")
        if isinstance(error, SSLError):
            return StoreError(text, hint="Check the certificate; SSL_CERT_FILE names those that are trusted.")
        return AwayError(text, hint="Check the network and the URL of the store.")


@dataclass(frozen=True, slots=True)
class Reply:
    """The body of an answer, and its ETag without quotes."""

    body: bytes
    etag: str


class Patience:
    """How long a request that fails is tried anew."""

    def __init__(self) -> None:
        self._until = time.monotonic() + PATIENCE_SECONDS
        self._pause = FIRST_PAUSE_SECONDS

    def wait(self, error: AwayError) -> None:
        """Wait before the next try, as long as the registry asks for; raise `error` where that is too long."""
        pause = error.after if error.after is not None else self._pause * random.uniform(0.5, 1.0)
        if time.monotonic() + pause > self._until:
            raise error
        time.sleep(pause)
        self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)


class Sink:
    """Where the bytes of a file go: they are counted and hashed, and written to a stream if there is one."""

    def __init__(self, out: BinaryIO | None = None) -> None:
        self._out = out
        self.restart()

    def restart(self) -> None:
        """Forget what came so far."""
        self.size = 0
        self._hash = hashlib.sha256()
        if self._out is not None:
            self._out.seek(0)
            self._out.truncate()

    def write(self, block: bytes) -> None:
        """Take the next bytes."""
        self.size += len(block)
        self._hash.update(block)
        if self._out is not None:
            self._out.write(block)

    @property
    def sha256(self) -> str:
        """The hash of all bytes, in hexadecimal digits."""
        return self._hash.hexdigest()


def checked_url(url: str) -> str:
    """The URL of a registry, without a slash at its end.

    Raises:
        UsageError: if it holds a password, a query, or no host.
    """
    try:
        parts = urllib3.util.parse_url(url)
    except HTTPError as error:
        raise UsageError("The URL of the store is none.", hint="Use http(s)://HOST[:PORT][/PREFIX].") from error
    if parts.auth is not None:
        raise UsageError(
            f"The URL of the registry at {parts.host} holds a user or a password, which logs would show.",
            hint="Set MLPLAT_STORE_KEY, or MLPLAT_STORE_KEY_FILE to a file that holds the key.",
        )
    if not parts.host or parts.query is not None or parts.fragment is not None:
        raise UsageError(f"{url!r} is not the URL of a registry.", hint="Use http(s)://HOST[:PORT][/PREFIX].")
    return f"{parts.scheme}://{parts.netloc}{(parts.path or '').rstrip('/')}"


def reason_of(error: BaseException) -> str:
    """Why a connection failed, in a few words."""
    if isinstance(error, ProxyError):
        return f"its proxy says: {reason_of(error.original_error)}"
    if isinstance(error, NameResolutionError):
        return "no such host"
    if isinstance(error, ProtocolError):
        cause = error.args[-1]
        cut = not isinstance(cause, HTTPException) or isinstance(cause, RemoteDisconnected | IncompleteRead)
        return "the connection was cut" if cut else "its answer is no HTTP"
    seen: BaseException | None = error
    while seen is not None and not isinstance(error, SSLError):
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror.lower()
        seen = seen.__cause__
    if isinstance(error, ConnectTimeoutError | ReadTimeoutError | TimeoutError):
        return "it does not answer in time"
    return (str(error) or type(error).__name__).partition("\n")[0].rstrip(".")[:200]
