"""Reading the body of a request within its limits."""

import asyncio
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

from mlplat.errors import RequestError


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How large a body may be, in bytes, and how long it may take to arrive."""

    max_bytes: int
    seconds: float


def check_content_type(request: Request) -> None:
    """Refuse what is not plain JSON; a request that does not say is taken for JSON.

    Raises:
        RequestError: 415.
    """
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise RequestError(
            f"Found the content type {kind!r}, expected application/json.",
            status=415,
            code="unsupported_media_type",
            hint="Send the header 'Content-Type: application/json'.",
        )
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise RequestError(
            f"Found the content encoding {coding[:40]!r}, expected none.", status=415, code="unsupported_encoding"
        )


async def read_body(request: Request, limits: BodyLimits) -> bytes:
    """The whole body; one that is too large is refused before it is read whole.

    Raises:
        RequestError: 413 if it is too large, 408 if it does not arrive in time.
        ClientDisconnect: if the client goes away first.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.max_bytes:
        raise _too_large(limits)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limits.max_bytes:
                    raise _too_large(limits)
                chunks.append(chunk)
    except TimeoutError as error:
        raise RequestError(
            f"The body did not arrive within {limits.seconds:g} s.", status=408, code="body_timeout"
        ) from error
    return b"".join(chunks)


def _too_large(limits: BodyLimits) -> RequestError:
    return RequestError(
        f"The body is larger than {limits.max_bytes} bytes.",
        status=413,
        code="body_too_large",
        hint="Split the request, or use batch scoring.",
    )


__all__ = ["BodyLimits", "ClientDisconnect", "check_content_type", "read_body"]
