"""uvicorn's HTTP protocol with limits on the head of a request, before which nobody has shown a key."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 32 * 1024
HEAD_SECONDS = 10.0
"""Within so many seconds the head of a request must arrive."""


class LimitedProtocol(HttpToolsProtocol):
    """Refuses a head that is too large, and cuts a connection on which one does not arrive."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head = 0
        self._in_head = True
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
        """What came; a head may come in many parts, none of which ends a header."""
        if self._in_head:
            if self._head > HEAD_BYTES:
                self.send_400_response("The headers are too large.")
                return
            self._head += len(data)
        super().data_received(data)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        if self._late is None:
            self._late = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head = False
        self._unset_late()
        if sum(len(name) + len(value) for name, value in self.headers) + len(self.url) > HEAD_BYTES:
            raise ValueError("the headers are too large")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body is, too."""
        self._in_head = True
        self._head = 0
        super().on_message_complete()

    def _unset_late(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
