"""uvicorn's HTTP protocol with limits on what a connection may bring, before anyone has shown a key, and after the answer."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 32 * 1024
"""What may come at once that is no body: a head, trailers, or what frames the chunks of a body."""

HEAD_SECONDS = 10.0
"""Within so many seconds the head of a request must arrive."""

BODY_SECONDS = 60.0
"""Within so many seconds all of a body must arrive; of an upload that was admitted, some of it."""

LEFT_BYTES = 1 << 20
"""What may still come of a body whose request was answered; of an upload that was admitted, all that one may have."""

UPLOAD = "upload_bytes"
"""The key of a scope's state that says what an upload may have; only an upload that was admitted has it."""


class LimitedProtocol(HttpToolsProtocol):
    """Refuses a head that is too large, and cuts a connection on which something does not end, or does not arrive."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._framing = 0
        self._named = 0
        self._left = 0
        self._grew = False
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection."""
        super().connection_made(transport)
        self._late = self.loop.call_later(HEAD_SECONDS, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Its end."""
        self._unset_late()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """What came; what is no body may come in many parts, none of which ends a header."""
        if self._framing > HEAD_BYTES:
            if self._in_head:
                self.send_400_response("The headers are too large.")
            else:
                self.transport.abort()
            return
        self._framing += len(data)
        self._grew = True
        if not self._in_head and self.cycle.response_complete:
            self._left += len(data)
            if self._left > max(LEFT_BYTES, self._upload_bytes()):
                self.transport.abort()
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._named = 0
        if self._late is None:
            self._late = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which means nothing here and is not kept."""
        if self._in_head:
            self._named += len(name) + len(value)
            self._require_small(self._named)
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._require_small(self._named + len(self.url))
        self._in_head = False
        self._framing = self._left = 0
        self._unset_late()
        super().on_headers_complete()
        self._late = self.loop.call_later(BODY_SECONDS, self._look)

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        self._framing = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is whole, too."""
        self._unset_late()
        self._in_head = True
        self._framing = 0
        super().on_message_complete()

    def _look(self) -> None:
        """Wait on for an upload that gets on, or for ourselves to read on; cut all else."""
        self._late = None
        if self.flow.read_paused or (self._grew and self._upload_bytes()):
            self._grew = False
            self._late = self.loop.call_later(BODY_SECONDS, self._look)
        else:
            self.transport.abort()

    def _upload_bytes(self) -> int:
        """What the upload that is at work may have; 0 if it is none."""
        found: int = self.cycle.scope.get("state", {}).get(UPLOAD, 0)
        return found

    def _require_small(self, size: int) -> None:
        if size > HEAD_BYTES:
            raise ValueError("the headers are too large")

    def _unset_late(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
