"""The head of a request: its line and headers, read once for all requests that have the same."""

import contextlib
from copy import copy
from typing import Any

from mlplat.errors import MethodError, MlplatError, RequestError
from mlplat.serve.coding import CODINGS
from mlplat.serve.targets import Target
from mlplat.web.apikeys import sent_key

TIMEOUT_HEADER = b"x-request-timeout"
"""Seconds that the client will wait for the answer, if it is less than the server's own deadline."""

MOST_HEADS = 512
MOST_HEAD_BYTES = 1024
"""So many heads of at most so many bytes are remembered of each kind: those that came once, those that came more often but
for their length, and those that did so with each length. A few megabytes at most."""


class Head:
    """What a request's line and headers say.

    Attributes:
        target: what its path is for; None if it could not be read so far.
        method: b"POST", ...
        path: as the client wrote it.
        headers: by lower-case name; of repeated ones, the last.
        keep_alive: whether the connection goes on afterwards.
        interim: whether the client understands an answer before the answer (it speaks HTTP/1.1).
        expects: whether it waits for one before it sends the body.
        media_type: of the body, in lower case and without parameters; b"" if the client did not say.
        coding: how the body is compressed; None if it is not.
        key: the API key, if there is one.
        let_in: under which generation of the keys it was, if it was.
        traced: whether it is part of a trace.
        timeout: seconds within which the client wants the answer.
        length: bytes of the body, if the head says so; -1 if it is chunked.
        refusal: why such a request is refused, whatever its body, if it is.
    """

    __slots__ = (
        "coding",
        "expects",
        "headers",
        "interim",
        "keep_alive",
        "key",
        "length",
        "let_in",
        "media_type",
        "method",
        "path",
        "refusal",
        "target",
        "timeout",
        "traced",
    )

    def __init__(
        self,
        target: Target | None,
        method: bytes,
        path: bytes,
        headers: dict[bytes, bytes],
        *,
        keep_alive: bool,
        interim: bool,
    ) -> None:
        self.target = target
        self.method = method
        self.path = path
        self.headers = headers
        self.keep_alive = keep_alive
        self.interim = interim
        self.expects = interim and headers.get(b"expect", b"").lower() == b"100-continue"
        self.media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        coding = headers.get(b"content-encoding", b"identity").strip().lower()
        self.coding = None if coding == b"identity" else coding
        self.key = sent_key(headers)
        self.let_in: object = None
        self.timeout = float("inf")
        self.traced = b"traceparent" in headers
        length = headers.get(b"content-length", b"0")
        self.length = -1 if b"transfer-encoding" in headers or not length.isdigit() else int(length[:20])
        self.refusal: MlplatError | None = None
        try:
            self._check()
        except RequestError as refusal:
            self.refusal = refusal

    def _check(self) -> None:
        target = self.target
        if target is None:
            return
        if target.protocol is None:
            self._check_method(b"GET", b"HEAD")
            return
        self._check_method(b"POST")
        kind, coding = self.media_type, self.coding
        if kind and not target.protocol.takes(kind):
            types = " or ".join(sorted(media_type.decode() for media_type in target.protocol.media_types))
            raise RequestError(
                f"Found the content type {kind[:100].decode('latin-1')!r}, expected {types}.",
                status=415,
                code="unsupported_media_type",
                hint=f"Send the header 'Content-Type: {types.partition(' ')[0]}'.",
            )
        if coding is not None and coding not in CODINGS:
            known = ", ".join(sorted(name.decode() for name in CODINGS))
            raise RequestError(
                f"Found the content encoding {coding[:40].decode('latin-1')!r}, expected one of {known}.",
                status=415,
                code="unsupported_encoding",
            )
        if TIMEOUT_HEADER in self.headers:
            self.timeout = _seconds(self.headers[TIMEOUT_HEADER])

    def _check_method(self, *allowed: bytes) -> None:
        if self.method not in allowed:
            raise MethodError(
                self.method.decode("latin-1"), self.path.decode("latin-1"), b", ".join(allowed).decode("ascii")
            )


LENGTHS = b"\r\nContent-Length: ", b"\r\ncontent-length: "
"""As nearly all clients write it."""

MOST_DIGITS = 15


class Heads:
    """Heads that were read before.

    Attributes:
        find: by the very bytes; None if there is none.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}
        self._alike: dict[bytes, Head] = {}
        self._met: dict[bytes, None] = {}
        self.find = self._known.get

    def find_alike(self, raw: bytes) -> Head | None:
        """A head of which one was met that has another length and nothing else; it is found by its bytes from now on."""
        rest, length = without_length(raw)
        known = self._alike.get(rest)
        if known is None or length < 0:
            return None
        head = copy(known)
        head.length = length
        _keep(self._known, raw, head)
        return head

    def learn(self, raw: bytes, head: Head) -> None:
        """Keep what a head was read as, if one like it has come before and more are likely to."""
        rest, length = without_length(raw)
        if length < 0 or len(raw) > MOST_HEAD_BYTES or not raw.startswith(b"POST ") or head.refusal is not None:
            return
        if rest in self._met:
            del self._met[rest]
            _keep(self._alike, rest, head)
        else:
            _keep(self._met, rest, None)


def without_length(raw: bytes) -> tuple[bytes, int]:
    """A head without the digits of its Content-Length, and their number; -1 if they are not told from the rest."""
    at = raw.find(LENGTHS[0])
    if at < 0:
        at = raw.find(LENGTHS[1])
        if at < 0:
            return raw, -1
    start = at + len(LENGTHS[0])
    stop = raw.find(b"\r", start)
    digits = raw[start:stop]
    if not digits.isdigit() or len(digits) > MOST_DIGITS:
        return raw, -1
    return raw[:start] + raw[stop:], int(digits)


def _keep(kept: dict[bytes, Any], raw: bytes, what: Head | None) -> None:
    """Keep one more, and of too many not the oldest."""
    if len(kept) >= MOST_HEADS:
        del kept[next(iter(kept))]
    kept[raw] = what


def _seconds(text: bytes) -> float:
    with contextlib.suppress(ValueError):
        seconds = float(text)
        if 0 < seconds < float("inf"):
            return seconds
    raise RequestError(
        f"X-Request-Timeout: found {text[:40].decode('latin-1')!r}, expected a number of seconds above 0.",
        status=400,
        code="invalid_timeout",
    )
