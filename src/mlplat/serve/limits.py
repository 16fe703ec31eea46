"""What one connection may take, and what is answered to one that takes more or speaks no HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass

import httptools

from mlplat import logs
from mlplat.errors import MlplatError, RequestError
from mlplat.serve.service import FAILED

LINGER_SECONDS = 2.0
"""So long a connection that ends is still read, so that the client sees the answer and not a reset."""

MOMENT_SECONDS = 0.1
"""So long an idle connection is kept when the server ends, as a request may have arrived that was not read yet."""

CHUNK_OVERHEAD = 64
"""Bytes of framing that a chunk of a body may have on average; more is no honest client."""

PART_BYTES = 2048
"""What has come is parsed in such parts, so that the requests of one read are not all made at once."""

MOST_AT_ONCE = 32
"""So many requests of one connection may be answered before it is others' turn."""

MOST_PIECES_AT_ONCE = 256
"""So many chunks of bodies of one connection may be read before it is others' turn."""

UNREAD_BYTES = 64 * 1024
"""So much may wait unparsed, so that one who leaves is noticed; with more, a connection is not read."""

SPARE_CONNECTIONS = 100
"""Beyond the most connections, so many are still taken, for probes and to say no."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bytes and seconds that one connection may take.

    Attributes:
        head_bytes: of a request's line and headers.
        body_bytes: of a body.
        receive_seconds: within which a request must arrive, and an answer be taken.
        keep_alive_seconds: that an idle connection is kept.
        connections: that may be open at once.
    """

    head_bytes: int = 16 * 1024
    body_bytes: int = 16 * 1024 * 1024
    receive_seconds: float = 10.0
    keep_alive_seconds: float = 75.0
    connections: int = 8192

    def check_head(self, url: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Refuse a head that is too large.

        Raises:
            RequestError: 431.
        """
        if len(url) + sum(len(name) + len(value) + 4 for name, value in headers) > self.head_bytes:
            raise self.large_head()

    def large_head(self) -> RequestError:
        """The error of a head that is too large."""
        return RequestError(
            f"The request's headers are larger than {self.head_bytes} bytes.", status=431, code="headers_too_large"
        )

    def large_body(self) -> RequestError:
        """The error of a body that is too large."""
        return RequestError(
            f"The body is larger than {self.body_bytes} bytes.",
            status=413,
            code="body_too_large",
            hint="Split the request, or use batch scoring.",
        )

    def late(self) -> RequestError:
        """The error of a request that does not arrive."""
        return RequestError(
            f"The request did not arrive within {self.receive_seconds:g} s.", status=408, code="request_timeout"
        )


def check_http(version: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuse what the parser takes and RFC 9112 has a server refuse.

    Raises:
        RequestError: 400 for another version of HTTP, a host that is not named once (section 3.2), or a transfer coding
            besides chunks (section 6.1), of which nobody can tell where the body ends. No 5xx, as it is the client's doing.
    """
    if version not in {"1.0", "1.1"}:
        raise RequestError("Found another version of HTTP, expected 1.1.", status=400, code="not_http")
    hosts = 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding" and value.strip().lower() != b"chunked":
            raise RequestError(
                f"Found the transfer coding {value[:40].decode('latin-1')!r}, expected chunked.",
                status=400,
                code="not_http",
            )
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        raise RequestError(f"Found {hosts} Host headers, expected one.", status=400, code="not_http")


def refusal_by(error: httptools.HttpParserError) -> MlplatError:
    """What is answered where the parser stopped; an error of our own is in its context."""
    if isinstance(error, httptools.HttpParserCallbackError):
        logs.get().error("request_failed", exc_info=error.__context__ or error)
        return FAILED
    return RequestError(f"This is not HTTP: {error}.", status=400, code="not_http")
