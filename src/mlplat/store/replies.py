"""What a registry answers when it does not do what it was asked for, as the errors that every store raises."""

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import msgspec

from mlplat.errors import (
    ConflictError,
    CorruptError,
    DeletedError,
    ForbiddenError,
    GoneError,
    MlplatError,
    MovedError,
    NotFoundError,
    SchemaError,
    StoreError,
    UsageError,
)
from mlplat.store.storekey import FILE, KEY

LONGEST_SENTENCE = 1000
NO_ROUTE = "There is nothing at "
"""How a registry, and any other server of this package, says that it knows no such path."""

TRY_LATER = frozenset({408, 425, 429, 502, 503, 504})
CHECK_URL = "Check the URL of the store."


class AwayError(StoreError):
    """A registry that cannot answer now; the same request may do later.

    Args:
        message: one sentence.
        after: seconds after which the registry wants to be asked again; None if it did not say.
    """

    def __init__(self, message: str, *, hint: str = "", after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.after = after


class UnknownPathError(StoreError):
    """A registry that knows no such path, as one of an earlier release; or no registry."""


class Failure(msgspec.Struct):
    """The body of an error."""

    error: str
    code: str


def error_of(url: str, status: int, headers: Mapping[str, str], body: bytes, *, keyless: bool = False) -> MlplatError:
    """The error that an answer stands for.

    Args:
        url: of the registry.
        status: of the answer, none of success.
        headers: of the answer.
        body: its beginning.
        keyless: whether no key was sent.
    """
    if 300 <= status < 400:
        where = printable(headers.get("Location", "nowhere"))
        return StoreError(f"{url} redirects to {where}, to which no key is sent.", hint="Give the URL of the registry.")
    try:
        said = msgspec.json.decode(body, type=Failure)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _foreign(url, status, headers)
    text = printable(said.error)
    if status in TRY_LATER or said.code == "in_progress":
        return AwayError(f"The registry {url} cannot answer now: {text}", after=seconds_of(headers.get("Retry-After")))
    if status == 401:
        return _unauthorized(url, keyless=keyless)
    if status == 403:
        return ForbiddenError(text, hint=f"Set {KEY} to such a key, or {FILE} to a file that holds it.")
    if status == 404 and text.startswith(NO_ROUTE):
        return UnknownPathError(_no_registry(url, status, headers).message, hint=CHECK_URL)
    if status >= 500 and said.code not in _SERVER_ERRORS:
        return StoreError(f"The registry {url} failed: {text}")
    kind = _SERVER_ERRORS.get(said.code) or _CODES.get((status, said.code)) or _STATUSES.get(status, UsageError)
    return kind(text)


def _unauthorized(url: str, *, keyless: bool) -> UsageError:
    if keyless:
        return UsageError(f"The registry {url} asks for a key.", hint=f"Set {KEY}, or {FILE} to a file that holds it.")
    return UsageError(
        f"The registry {url} refuses the key: it is wrong, or has expired or was revoked.",
        hint=f"Set another one in {KEY}, or in the file that {FILE} names; whoever runs the registry makes them.",
    )


_SERVER_ERRORS: dict[str, type[MlplatError]] = {"corrupt": CorruptError, "unreadable_manifest": SchemaError}
_CODES: dict[tuple[int, str], type[MlplatError]] = {(404, "deleted"): GoneError, (409, "deleted"): DeletedError}
_STATUSES: dict[int, type[MlplatError]] = {
    404: NotFoundError,
    409: ConflictError,
    412: MovedError,
}


def _foreign(url: str, status: int, headers: Mapping[str, str]) -> MlplatError:
    """The error of an answer that is not a registry's own, but a proxy's, or another product's."""
    if status in TRY_LATER:
        return AwayError(
            f"The registry {url} cannot answer now: {status}.", after=seconds_of(headers.get("Retry-After"))
        )
    if status in {401, 403}:
        return UsageError(f"{url} refuses access: {status}.", hint=f"Set {KEY} or {FILE}.")
    if status == 413:
        return UsageError(f"{url} takes no upload that is so large.", hint="Raise the limit of what is before it.")
    return _no_registry(url, status, headers)


def _no_registry(url: str, status: int, headers: Mapping[str, str]) -> StoreError:
    kind = printable(headers.get("Content-Type", "of no type"))
    return StoreError(f"{url} does not answer as a registry does: {status}, {kind}.", hint=CHECK_URL)


def no_registry(url: str, why: str) -> StoreError:
    """The error for an answer that no registry gives."""
    return StoreError(f"{url} does not answer as a registry does: {why}.", hint=CHECK_URL)


def printable(text: str) -> str:
    """The beginning of a text from elsewhere, without what would act on a terminal."""
    return "".join(c if c.isprintable() else " " for c in text[:LONGEST_SENTENCE])


def seconds_of(header: str | None) -> float | None:
    """What `Retry-After` says, in seconds from now; None if it says nothing (RFC 9110, section 10.2.3)."""
    if header is None:
        return None
    if header.strip().isascii() and header.strip().isdigit():
        return float(header.strip()[:9])
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None
