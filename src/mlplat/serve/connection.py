"""One connection: predictions and probes are parsed, answered and written here, below ASGI; the rest goes on to it.

A subclass of uvicorn's protocol on httptools, chosen by uvicorn's public `http=` option. What it takes from it is its
parser, its cycles for ASGI, its order of pipelined requests and its flow control; a test names each hook. What it adds
are the limits: bytes of a head, bytes of a body, and the time in which a request must arrive, an answer must be
taken, and an idle connection may stay.
"""

import socket
import time
from collections import deque
from math import inf
from typing import Any, NoReturn

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from mlplat.errors import MlplatError, OverloadedError, RequestError
from mlplat.serve.exchange import Exchange
from mlplat.serve.heads import Head
from mlplat.serve.limits import (
    CHUNK_OVERHEAD,
    LINGER_SECONDS,
    MOMENT_SECONDS,
    MOST_AT_ONCE,
    MOST_PIECES_AT_ONCE,
    PART_BYTES,
    SPARE_CONNECTIONS,
    UNREAD_BYTES,
    ConnectionLimits,
    check_http,
    refusal_by,
)
from mlplat.serve.protocols import JSON, Answer
from mlplat.serve.protocols.base import LARGE_BYTES
from mlplat.serve.service import Service

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(HttpToolsProtocol):
    """A client's connection."""

    cycle: Any  # an Exchange, or uvicorn's own for ASGI
    pipeline: deque[tuple[Any, Any]]
    parser: Any

    def __init__(self, service: Service, limits: ConnectionLimits, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self.service = service
        self._limits = limits
        self._idle_seconds = limits.keep_alive_seconds
        self._due = inf  # when it has been idle, slow or stalled for too long, in the loop's time
        self._receiving = False  # within a request
        self._in_head = False
        self._pending = 0  # bytes that have come and belong to no body: of a head, or of what frames chunks
        self._possible = 0  # bytes that the head may have, which arrives now
        self._messages = 0  # whose heads were in the latest bytes
        self._pieces = 0  # of bodies that were in them
        self._unread = b""  # came already, and waits until what is before it is answered
        self._parsing = False
        self._turn: Any = None  # the request that is answered now, while others wait in the pipeline
        self._discarding = False  # nothing that comes is read any more
        self._half_closed = False  # nothing will come any more
        self._over = False  # nothing is written any more
        self._crowded = False
        self._ending = False
        self._refusal: MlplatError | None = None  # raised within the parser, which takes no exceptions
        self._default_headers: object = None
        self._date = self._ok = b""
        self._hurried_to = 0.0  # one that is too much again until then is in a hurry
        self._calm_from = self._calm_to = 0.0  # when it was not read, as the request before was too much

    # What asyncio calls

    def connection_made(self, transport: Any) -> None:
        """A client has connected."""
        super().connection_made(transport)
        self._due = self.loop.time() + self._limits.receive_seconds
        excess = len(self.connections) - self._limits.connections
        self._crowded = excess > 0
        if excess > SPARE_CONNECTIONS:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; what it waits for frees its place."""
        for cycle in (self._turn, self.cycle):
            if isinstance(cycle, Exchange):
                self.service.forget(cycle)
            elif cycle is not None:
                _disconnect(cycle)
        self._turn = self.cycle = None  # they know the connection, so only a collection would free what they hold
        self._forget_waiting()
        self.connections.discard(self)
        self.flow.resume_writing()
        if exc is None:
            self.transport.close()
        self.parser = None

    def data_received(self, data: bytes) -> None:
        """Bytes of a request, or of several."""
        if self._discarding or self._unread:
            self._wait(data)
            return
        at_rest = not self._receiving and not self._crowded and (self.cycle is None or self.cycle.response_complete)
        end = data.find(b"\r\n\r\n") + 4 if at_rest else 0
        if at_rest:
            heads, raw = self.service.heads, data[:end]
            head = heads.find(raw) or heads.find_alike(raw)
            # the parser would find just that
            if head is not None and len(data) - end == head.length and head.length <= self._limits.body_bytes:
                exchange = Exchange(self, head, data[end:], whole=True)
                if self._calm_to:
                    self._date_back(exchange)
                exchange.refusal = refusal = self.service.refusal(exchange)
                self.cycle = exchange
                self._due = inf
                if refusal is None:
                    self.service.answer(exchange)
                else:
                    self.service.fail(exchange, refusal)
                return
        self._parse(data)
        if end > 4 and not self._receiving and not self._unread and isinstance(self.cycle, Exchange):
            self._learn(data[:end], len(data) - end, self.cycle)

    def _parse(self, data: bytes) -> None:
        """Parse what has come, until a request has to wait for another."""
        self._parsing = True
        self._messages = self._pieces = 0
        start = 0
        while start < len(data) and not self._discarding:
            many = self._messages >= MOST_AT_ONCE or self._pieces >= MOST_PIECES_AT_ONCE
            if self.pipeline or self.flow.write_paused or many:
                self._wait(data[start:])
                self.loop.call_soon(self._read_on)
                break
            end = start + max(PART_BYTES, self._missing())
            self._parse_part(data[start:end])
            start = end
        self._parsing = False

    def _missing(self) -> int:
        """Bytes that the body has still to come, if that is known."""
        exchange = self.cycle
        if self._in_head or not self._receiving or not isinstance(exchange, Exchange) or not exchange.reads_body:
            return 0
        return exchange.head.length - len(exchange.body)

    def _wait(self, data: bytes) -> None:
        """Keep what has come for later, if it is read at all."""
        if not self._discarding:
            self._unread += data
            if len(self._unread) > UNREAD_BYTES:
                self.flow.pause_reading()

    def _read_on(self) -> None:
        """Parse what has come already, and read what comes, if nothing is in its way."""
        if self._parsing or self._over or self.pipeline or self.flow.write_paused or self.transport.is_closing():
            return
        if self._unread:
            data, self._unread = self._unread, b""
            self._parse(data)
        if self._half_closed and not self._unread:
            self._leave()
        self._listen()

    def _listen(self) -> None:
        """Read what comes, if it would not be too much."""
        if self._half_closed or self.flow.write_paused or self.transport.is_closing():
            return
        if len(self._unread) <= UNREAD_BYTES:
            self.flow.resume_reading()

    def _parse_part(self, data: bytes) -> None:
        self._pending = len(data) + (self._pending if self._receiving else 0)
        self._possible = len(data) + (self._possible if self._in_head else 0)
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            if self._refusal is None and not self._discarding:
                self._refusal = refusal_by(error)
        if self._pending > self._limits.head_bytes and self._receiving and self._refusal is None:
            self._refusal = self._limits.large_head()
        if self._refusal is not None and not self._discarding:
            self._give_up(self._refusal)

    def _feed(self, data: bytes) -> None:
        """Let the parser read.

        A request that wishes for another protocol is answered as if it did not, as any server may (RFC 9110, section
        7.8). The parser takes such a one to have no body, so it is read once more without the wish.
        """
        rest: bytes | memoryview = data
        while rest:
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = memoryview(rest)[upgrade.args[0] :]
            else:
                return
            method, version = self.parser.get_method(), self.parser.get_http_version().encode()
            lines = [name + b": " + value for name, value in self.headers if name != b"upgrade"]
            self.parser.feed_data(b"\r\n".join([b"%b %b HTTP/%b" % (method, self.url, version), *lines, b"", b""]))

    def _learn(self, raw: bytes, rest: int, exchange: Exchange) -> None:
        """Remember the head of a request that came alone, in one piece, if it is met again just so.

        The next one is then answered without parsing it. Nothing else can follow from the same bytes: the parser begins
        anew with each request, and found one of exactly this length in them.
        """
        head = exchange.head
        if exchange.refusal is None and self._messages == 1 and rest == head.length and head.keep_alive:
            self.service.heads.learn(raw, head)

    def eof_received(self) -> bool | None:  # type: ignore[override]  # as asyncio has it
        """The client sends no more: it closed, or only its half. It is answered if it is there still."""
        if self._over:
            return None  # closes
        if self._half_closed:  # uvicorn has resumed reading
            return True
        self._half_closed = True
        if not self._unread:
            self._leave()
        turn = self._turn if self.pipeline else self.cycle
        waits = isinstance(turn, Exchange) and not turn.response_complete and not self.transport.is_closing()
        if waits and turn.head.interim:
            self.transport.write(CONTINUE)  # a client that is gone answers it by a reset
        return True

    def pause_writing(self) -> None:
        """The client takes its answers too slowly: read no more of its requests meanwhile, and answer no others."""
        super().pause_writing()
        self.flow.pause_reading()
        self._due = self.loop.time() + self._limits.receive_seconds

    def resume_writing(self) -> None:
        """The client has taken its answers."""
        super().resume_writing()
        if self._over or self.transport.is_closing():
            return
        turn = self._turn if self.pipeline else self.cycle
        if turn is None or turn.response_complete:
            self._go_on()
        else:
            self._rest()
            self._read_on()

    # What the parser calls

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        if self._discarding:
            raise ConnectionAbortedError  # stops the parser
        self.url = b""
        self.headers = []
        self._in_head = self._receiving = True
        self._due = self.loop.time() + self._limits.receive_seconds

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; those after a body are ignored."""
        if self._in_head:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head of a request has arrived."""
        headers = self.headers
        parser = self.parser
        version = parser.get_http_version()
        try:
            if self._possible > self._limits.head_bytes:
                self._limits.check_head(self.url, headers)
            check_http(version, headers)
        except RequestError as refusal:
            self._refuse(refusal)
        self._pending = 0
        keep_alive = version != "1.0" and parser.should_keep_alive()
        method = parser.get_method()
        if parser.should_upgrade():
            if method == b"CONNECT":
                self._refuse(RequestError("This is no proxy.", status=501, code="not_implemented"))
            return  # to be read once more
        if not self.url.startswith(b"/"):
            self.url = self._without_host(self.url)
        path = self.url.partition(b"?")[0]
        self._messages += 1
        target = self.service.targets.find(path)
        previous = self.cycle
        if target is None:
            self._hand_over(previous)
            return
        interim = version == "1.1"
        head = Head(target, method, path, dict(headers), keep_alive=keep_alive, interim=interim)
        exchange = Exchange(self, head, bytearray(), whole=False)
        self._date_back(exchange)
        self.cycle = exchange
        self._in_head = False
        exchange.refusal = self.service.refusal(exchange) or self._refusal_of(head)
        if previous is None or previous.response_complete:
            self._start_asgi_task(exchange, self.app)
        else:
            self._queue(exchange, previous)

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        self._pieces += 1
        self._pending = max(self._pending - CHUNK_OVERHEAD - len(body), -self._limits.head_bytes)
        exchange = self.cycle
        if not isinstance(exchange, Exchange):
            super().on_body(body)
            return
        if not exchange.reads_body:
            return
        if len(exchange.body) + len(body) > self._limits.body_bytes:
            self._refuse(self._limits.large_body())
        exchange.body += body
        if len(exchange.body) > LARGE_BYTES:
            try:
                self.service.hold(exchange)
            except OverloadedError as error:
                self._refuse(error)

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        if self._in_head:  # it wishes for another protocol
            return
        self._receiving = False
        self._pending = 0
        exchange = self.cycle
        if exchange.keep_alive and not self.parser.should_keep_alive():  # a trailer says so
            exchange.keep_alive = False
            if exchange.response_complete:
                self._close()
                return
        if not isinstance(exchange, Exchange):
            super().on_message_complete()
            self._rest()
            return
        exchange.whole = True
        if exchange.first and not exchange.response_complete:
            self._due = inf
            self._advance(exchange)
        else:
            self._rest()

    # What an exchange and uvicorn's cycle call

    def respond(self, exchange: Exchange, status: int, answer: Answer) -> None:
        """Write the answer of an exchange; its turn has come."""
        exchange.response_complete = True
        if self._over or self.transport.is_closing():
            return
        if self._default_headers is not self.server_state.default_headers:  # uvicorn makes them anew every second
            self._default_headers = self.server_state.default_headers
            self._date = b"".join([b"%b: %b\r\n" % header for header in self.server_state.default_headers])
            self._ok = STATUS_LINE[200] + self._date + b"content-type: application/json\r\ncontent-length: "
        body, media_type, headers = answer.body, answer.media_type, answer.headers
        if (self._ending or self._crowded or self.service.draining) and not self.pipeline and not self._unread:
            exchange.keep_alive = False
        if status == 200 and exchange.keep_alive and media_type is JSON and not headers:
            text = b"%b%d\r\n\r\n" % (self._ok, len(body))
        else:
            text = b"%b%bcontent-type: %b\r\ncontent-length: %d\r\n%b%b\r\n" % (
                STATUS_LINE[status],
                self._date,
                media_type,
                len(body),
                headers,
                b"" if exchange.keep_alive else b"connection: close\r\n",
            )
        self.transport.write(text if exchange.head.method == b"HEAD" else text + body)
        if not exchange.keep_alive:
            self._close()
        self.on_response_complete()

    def calm(self) -> None:
        """Read no more for a moment: what came was too much, and not for the first time lately."""
        if self._over or self.transport.is_closing():
            return
        now = time.monotonic()
        hurried, self._hurried_to = now < self._hurried_to, now + self.service.calm.longest
        if hurried:
            self.flow.pause_reading()
            self._calm_from, self._calm_to = now, inf
            self.service.calm.wait(self._end_calm)

    def _end_calm(self) -> None:
        self._calm_to = time.monotonic()
        self._hurried_to = self._calm_to + self.service.calm.longest
        self._read_on()

    def _date_back(self, exchange: Exchange) -> None:
        """Let the time begin for a request that has waited unread; it may have come at any time since."""
        if self._calm_to and exchange.began < self._calm_to + MOMENT_SECONDS:
            exchange.began = self._calm_from
        self._calm_to = 0.0

    def on_response_complete(self) -> None:
        """The turn of the next request has come, if there is one already and the client has taken the answer."""
        self.server_state.total_requests += 1
        if self._over or self.transport.is_closing():
            return
        flow = self.flow
        if flow.write_paused:
            self._due = self.loop.time() + self._limits.receive_seconds
        elif (
            self._receiving
            or self._discarding
            or self.pipeline
            or self._unread
            or flow.read_paused
            or self._half_closed
        ):
            self._go_on()
        else:
            self._due = self.loop.time() + self._idle_seconds

    def shutdown(self) -> None:
        """Uvicorn ends: so does the connection, after what it waits for."""
        self._ending = True
        self._idle_seconds = MOMENT_SECONDS
        if self._over or self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            if not isinstance(self.cycle, Exchange):  # it says so itself
                self.cycle.keep_alive = False
        else:
            patience = LINGER_SECONDS if self._receiving else MOMENT_SECONDS
            self._due = min(self._due, self.loop.time() + patience)

    def sweep(self, now: float) -> None:
        """End what has been idle, slow or stalled for too long; called several times a second."""
        closing = self.transport.is_closing()
        if closing and self._due == inf:  # it was closed by uvicorn
            self._due = now + self._limits.receive_seconds
        if self._half_closed and not closing and _gone(self.transport):
            self.transport.abort()
        elif now >= self._due:
            if closing or self.flow.write_paused:
                self.transport.abort()
            elif self.pipeline:  # it waits for us
                return
            elif self.transport.get_write_buffer_size():
                self.transport.abort()
            elif self._receiving and not self._discarding:
                self._give_up(self._limits.late())
            else:
                self._due = now + LINGER_SECONDS
                self.transport.close()

    # Inside

    def _hand_over(self, previous: Any) -> None:
        """Let uvicorn make a cycle for ASGI of the request whose head has arrived."""
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()
        self._in_head = False
        if self._crowded:
            self.cycle.keep_alive = False
        if len(self.pipeline) == 1:
            self._turn = previous
            self._listen()  # uvicorn would not

    def _without_host(self, url: bytes) -> bytes:
        """The path and query of a URL that has scheme and host."""
        try:
            parsed = httptools.parse_url(url)
        except httptools.HttpParserError:
            self._refuse(RequestError("The URL is none.", status=400, code="not_http"))
        path = parsed.path or b"/"
        return path if parsed.query is None else path + b"?" + parsed.query

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if not isinstance(cycle, Exchange):
            super()._start_asgi_task(cycle, app)
            return
        cycle.first = True
        if cycle.head.expects and not cycle.whole and cycle.refusal is None:
            self.transport.write(CONTINUE)
        self._advance(cycle)

    def _queue(self, cycle: Any, previous: Any) -> None:
        """Let a request wait for those before it."""
        if not self.pipeline:
            self._turn = previous
        self.pipeline.appendleft((cycle, self.app))

    def _go_on(self) -> None:
        """All that was started is answered, and the client takes it."""
        if self.pipeline:
            self.loop.call_soon(self._next)
        else:
            self._rest()
            if self.flow.read_paused or self._unread or self._half_closed:
                self.loop.call_soon(self._read_on)  # not within what answers: a batch that is being made, for one

    def _next(self) -> None:
        if self.pipeline and not self.transport.is_closing():
            self._turn, app = self.pipeline.pop()
            if self._receiving and not self.pipeline:  # its time begins anew, as it was not read meanwhile
                self._due = self.loop.time() + self._limits.receive_seconds
            self._start_asgi_task(self._turn, app)
            self._read_on()

    def _leave(self) -> None:
        """The client has sent all that it will: forget what is unfinished, and close if nothing is left to answer."""
        if self._receiving and self._in_head:
            self._receiving = self._in_head = False
        elif self._receiving and self.pipeline:
            unfinished, _ = self.pipeline.popleft()
            if isinstance(unfinished, Exchange):
                self.service.forget(unfinished)
            self.cycle = self.pipeline[0][0] if self.pipeline else self._turn
            self._receiving = False
        if self._receiving or self.cycle is None or self.cycle.response_complete:
            self._due = self.loop.time() + self._limits.receive_seconds
            self.transport.close()

    def _advance(self, exchange: Exchange) -> None:
        """Answer an exchange whose turn has come, as far as it has arrived."""
        if exchange.refusal is not None:
            if not exchange.whole and (exchange.refusal.status == 413 or exchange.head.expects):
                exchange.keep_alive = False  # what the client does with the rest of the body is not known
            self.service.fail(exchange, exchange.refusal)
        elif exchange.whole:
            self.service.answer(exchange)

    def _refusal_of(self, head: Head) -> MlplatError | None:
        """Why a request is refused here and now, whatever else its head says."""
        if head.length > self._limits.body_bytes:
            return self._limits.large_body()
        if self._crowded and (head.target is None or head.target.probe is None):
            return OverloadedError("There are too many connections.", hint="Try again later.")
        return None

    def _refuse(self, refusal: MlplatError) -> NoReturn:
        """Stop the parser from within."""
        self._refusal = refusal
        raise refusal

    def _give_up(self, refusal: MlplatError) -> None:
        """Answer what has arrived so far by an error, after what is before it, and read no more."""
        self._refusal = refusal
        cycle = self.cycle
        answered = cycle is None or cycle.response_complete
        in_body = self._receiving and not self._in_head
        self._receiving = self._in_head = False
        self._discarding = True
        self._unread = b""
        self._due = self.loop.time() + self._limits.receive_seconds
        if in_body and answered:
            self._close()
            return
        if in_body and isinstance(cycle, Exchange):
            exchange = cycle
        elif in_body and cycle.response_started:  # by ASGI, and it closes when it has ended
            cycle.keep_alive = False
            self._due = inf
            return
        else:
            head = Head(None, b"", b"", {}, keep_alive=False, interim=False)
            exchange = self.cycle = Exchange(self, head, b"", whole=False)
            exchange.first = answered or (in_body and not self.pipeline)
            if in_body:  # instead of ASGI
                _disconnect(cycle)
                if self.pipeline:
                    self.pipeline[0] = exchange, self.app
            elif not answered:
                self._queue(exchange, cycle)
        exchange.keep_alive = False
        exchange.refusal = refusal
        if exchange.first:
            self._advance(exchange)

    def _close(self) -> None:
        """Write no more, but let the client finish what it sends, so that it sees the answer and not a reset."""
        self._over = self._discarding = True
        self._forget_waiting()
        unsent = self.transport.get_write_buffer_size() > 0
        self._due = self.loop.time() + (self._limits.receive_seconds if unsent else LINGER_SECONDS)
        if self._half_closed:
            self.transport.close()
        else:
            self.flow.resume_reading()
            self.transport.write_eof()

    def _forget_waiting(self) -> None:
        """Nothing will be answered any more of what waits for its turn."""
        for cycle, _ in self.pipeline:
            if isinstance(cycle, Exchange):
                self.service.forget(cycle)
        self.pipeline.clear()
        self._unread = b""

    def _rest(self) -> None:
        """Nothing is under way but what the client does next."""
        if self._receiving or self._discarding:
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self._due = inf
        else:
            self._due = self.loop.time() + self._idle_seconds


def _disconnect(cycle: Any) -> None:
    """Tell an ASGI application that its client is gone."""
    cycle.disconnected = True
    cycle.message_event.set()


def _gone(transport: Any) -> bool:
    """Whether the client of a half-closed connection has answered by a reset."""
    error: int = transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return error != 0
