"""Bodies that were compressed on their way: gzip, deflate and zstd, inflated within a bound."""

import sys
import zlib
from collections.abc import Callable
from typing import Any

from mlplat.errors import RequestError

if sys.version_info >= (3, 14):  # pragma: no cover - one of the two
    from compression import zstd
else:
    from backports import zstd

GZIP = 31
"""zlib's window bits for gzip's format alone."""

WINDOW = {int(zstd.DecompressionParameter.window_log_max): 23}
"""8 MiB: what any client may ask a server to remember while it inflates (RFC 9659)."""

MOST_MEMBERS = 64
"""Each costs a copy of the rest, so a body of millions of empty ones would cost minutes."""


def inflate(body: bytes | bytearray, coding: bytes, most: int) -> bytes:
    """A body as it was before it was compressed.

    Args:
        body: the bytes as they came.
        coding: one of `CODINGS`.
        most: bytes that it may have.

    Raises:
        RequestError: 400 if it is broken or incomplete, 413 if it is larger.
    """
    try:
        inflated = CODINGS[coding](body, most)
    except (zlib.error, zstd.ZstdError, EOFError) as error:
        raise RequestError(
            f"The body cannot be inflated as {coding.decode()}: {error}.",
            status=400,
            code="invalid_encoding",
            hint="Compress it with a window of at most 8 MiB." if "too much memory" in str(error) else "",
        ) from error
    if len(inflated) > most:
        raise RequestError(
            f"The body is larger than {most} bytes once it is inflated.",
            status=413,
            code="body_too_large",
            hint="Split the request, or use batch scoring.",
        )
    return inflated


def _gzip(body: bytes | bytearray, most: int) -> bytes:
    return _members(body, most, lambda: zlib.decompressobj(GZIP))


def _deflate(body: bytes | bytearray, most: int) -> bytes:
    """In the format of zlib, as the name means in HTTP (RFC 9110, section 8.4.1.2)."""
    return _members(body, most, zlib.decompressobj)


def _zstd(body: bytes | bytearray, most: int) -> bytes:
    return _members(body, most, lambda: zstd.ZstdDecompressor(options=WINDOW))


def _members(body: bytes | bytearray, most: int, decoder: Callable[[], Any]) -> bytes:
    """All that is in a body: it may be several compressed ones, one after the other (RFC 1952, section 2.2)."""
    out = bytearray()
    for _ in range(MOST_MEMBERS):
        member = decoder()
        out += member.decompress(body, most + 1 - len(out))
        if len(out) > most:
            return bytes(out)
        if not member.eof:
            raise EOFError("it ends too early")
        body = member.unused_data
        if not body:
            return bytes(out)
    raise EOFError(f"it has more than {MOST_MEMBERS} parts")


CODINGS: dict[bytes, Callable[[bytes | bytearray, int], bytes]] = {
    b"gzip": _gzip,
    b"x-gzip": _gzip,
    b"deflate": _deflate,
    b"zstd": _zstd,
}
