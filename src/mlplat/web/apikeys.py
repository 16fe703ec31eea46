"""The key that a request brings, and what is said of it."""

import base64
import contextlib
from collections.abc import Mapping

from mlplat.errors import RequestError

SECURITY = {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "password": {"type": "http", "scheme": "basic", "description": "The key as the password, for browsers."},
}
"""The ways to send it, as an OpenAPI document has them."""


def sent_key(headers: Mapping[bytes, bytes]) -> str | None:
    """The key in X-API-Key, as a bearer token, or as the password of a browser; None if there is none."""
    key = headers.get(b"x-api-key")
    if key is not None:
        return key.decode("utf-8", "surrogateescape").strip()
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    match scheme.lower():
        case b"bearer":
            return token.decode("utf-8", "surrogateescape").strip()
        case b"basic":
            with contextlib.suppress(ValueError):
                password = base64.b64decode(token.strip(), validate=True).partition(b":")[2]
                return password.decode("utf-8", "surrogateescape")
    return None


def unauthorized() -> RequestError:
    """The error of a request without a right key."""
    return RequestError(
        "The API key is missing or wrong.",
        status=401,
        code="unauthorized",
        hint="Send it as 'X-API-Key: KEY' or 'Authorization: Bearer KEY'.",
    )
