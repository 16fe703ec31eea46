"""What is answered below ASGI: a prediction, from its bytes to its bytes, and the probes."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from functools import partial

import msgspec
import numpy as np

from mlplat import logs
from mlplat.bundle.features import TENSOR
from mlplat.bundle.prediction import Prediction
from mlplat.errors import MethodError, MlplatError, OverloadedError, RequestError
from mlplat.metrics import ServeMetrics
from mlplat.serve.coding import CODINGS, inflate
from mlplat.serve.exchange import Exchange
from mlplat.serve.keys import KeyRing, sent_key, unauthorized
from mlplat.serve.lifecycle import Lifecycle, Phase, Served
from mlplat.serve.protocols import Answer, Plain, Question, Request
from mlplat.serve.targets import Probe, Targets

LARGE_BYTES = 128 * 1024
"""A larger body is read in a thread, so that the loop answers others meanwhile."""

TIMEOUT_HEADER = b"x-request-timeout"
"""Seconds that the client will wait for the answer, if it is less than the server's own deadline."""

FAILED = MlplatError("The server failed; its log says why.")


class Service:
    """Answers the exchanges of all connections. Belongs to one event loop.

    Args:
        lifecycle: the version that serves.
        keys: who is let in.
        metrics: what is counted.
        deadline: seconds within which a prediction is answered.
        body_bytes: that a body may have once it is inflated.
        drain_unready: whether `/ready` says no while draining.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        keys: KeyRing,
        metrics: ServeMetrics,
        *,
        deadline: float = 30.0,
        body_bytes: int = 16 * 1024 * 1024,
        drain_unready: bool = False,
    ) -> None:
        self.targets = Targets()
        self._lifecycle = lifecycle
        self._keys = keys
        self._metrics = metrics
        self._deadline = deadline
        self._body_bytes = body_bytes
        self._drain_unready = drain_unready

    @property
    def draining(self) -> bool:
        """Whether clients are told to leave."""
        return self._lifecycle.phase is Phase.DRAINING

    def begin(self, exchange: Exchange) -> None:
        """Note that the head of a request has arrived."""
        exchange.began = time.perf_counter()
        exchange.deadline = asyncio.get_running_loop().time() + self._deadline

    def refusal(self, exchange: Exchange) -> MlplatError | None:
        """Why a request is refused by its head alone, if it is."""
        target = exchange.target
        if target is None:
            return None
        if target.protocol is None:
            return None if exchange.method in {b"GET", b"HEAD"} else _not_allowed(exchange, "GET, HEAD")
        headers = exchange.headers
        if self._keys.required and not self._keys.accepts(sent_key(headers)):
            return unauthorized()
        if exchange.method != b"POST":
            return _not_allowed(exchange, "POST")
        kind = headers.get(b"content-type")
        if kind is not None and kind != b"application/json" and not target.protocol.takes(_media_type(kind)):
            return _wrong_type(_media_type(kind), target.protocol.media_types)
        coding = headers.get(b"content-encoding")
        if coding is not None and coding.strip().lower() not in CODINGS:
            return _wrong_coding(coding)
        asked = headers.get(TIMEOUT_HEADER)
        if asked is not None:
            try:
                exchange.deadline = min(exchange.deadline, exchange.deadline - self._deadline + _seconds(asked))
            except RequestError as error:
                return error
        return None

    def answer(self, exchange: Exchange) -> None:
        """Answer a request that has arrived whole and whose turn it is; at once or, for a prediction, soon."""
        target = exchange.target
        if target is not None and target.probe is not None:
            exchange.settled = True
            status, answer = self._probe(target.probe)
            self._respond(exchange, status, answer)
            return
        try:
            served = self._served(exchange)
            headers, chunks = exchange.headers, exchange.chunks
            body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            exchange.chunks = []
            coding = headers.get(b"content-encoding")
            if coding is not None or len(body) > LARGE_BYTES:
                decode = partial(self._decode, exchange, served, body, coding)
                reading = asyncio.get_running_loop().run_in_executor(None, decode)
                reading.add_done_callback(partial(self._ask_read, exchange, served))
            else:
                self._ask(exchange, served, self._decode(exchange, served, body, None))
        except Exception as error:  # noqa: BLE001 - becomes the answer
            self.fail(exchange, error)

    def finish(self, exchange: Exchange, prediction: Prediction, first: int) -> None:
        """Answer with what the model predicted."""
        question, served = exchange.question, exchange.served
        if question is None or served is None or exchange.target is None or exchange.target.protocol is None:
            raise TypeError("an exchange that asked nothing is answered")  # pragma: no cover - by construction
        start = time.perf_counter()
        try:
            answer = served.protocols[exchange.target.protocol].encode(question, prediction, first)
        except Exception as error:  # noqa: BLE001 - becomes the answer
            self.fail(exchange, error)
            return
        now = self._respond(exchange, 200, answer)
        self._metrics.predicted(served.manifest.version, question.rows)
        self._metrics.stages(exchange.asked - exchange.read, start - exchange.asked, now - start)

    def fail(self, exchange: Exchange, error: BaseException) -> None:
        """Answer with an error."""
        exchange.settled = True
        if not isinstance(error, MlplatError):
            logs.get().error("request_failed", exc_info=error, traceparent=_text(exchange, b"traceparent"))
            error = FAILED
        elif error.status == 500:
            logs.get().error("request_failed", reason=str(error), traceparent=_text(exchange, b"traceparent"))
        target = exchange.target
        protocol = Plain if target is None or target.protocol is None else target.protocol
        answer = protocol.error(error)
        self._respond(exchange, error.status, answer._replace(headers=answer.headers + error_headers(error)))
        if isinstance(error, OverloadedError) and self._lifecycle.current is not None:
            exchange.connection.calm()

    def forget(self, exchange: Exchange) -> None:
        """Free the place of an exchange whose client went away."""
        if exchange.settled:
            return
        if exchange.served is not None:
            exchange.served.batcher.forget(exchange)
        exchange.settled = True

    def _served(self, exchange: Exchange) -> Served:
        served = self._lifecycle.require()
        exchange.served = served
        target, manifest = exchange.target, served.manifest
        if target is not None and target.model is not None:
            if target.model != manifest.model:
                raise RequestError(
                    f"Found the model {target.model[:100]!r}, expected {manifest.model!r}.",
                    status=404,
                    code="not_found",
                )
            if target.version is not None and target.version != manifest.version:
                raise RequestError(
                    f"Found the version {target.version[:100]!r}, expected {manifest.version!r}, which is served.",
                    status=404,
                    code="not_found",
                )
        return served

    def _decode(self, exchange: Exchange, served: Served, body: bytes, coding: bytes | None) -> Question:
        """Read a body; in the loop or in a thread."""
        exchange.read = time.perf_counter()
        target = exchange.target
        if target is None or target.protocol is None:
            raise TypeError("only predictions have a body")  # pragma: no cover - by construction
        if coding is not None:
            body = inflate(body, coding.strip().lower(), self._body_bytes)
        kind = exchange.headers.get(b"content-type", b"")
        return served.protocols[target.protocol].decode(Request(exchange.headers, _media_type(kind), body))

    def _ask_read(self, exchange: Exchange, served: Served, read: asyncio.Future[Question]) -> None:
        """Go on after a body was read in a thread."""
        if exchange.settled:
            return
        try:
            self._ask(exchange, served, read.result())
        except Exception as error:  # noqa: BLE001 - becomes the answer
            self.fail(exchange, error)

    def _ask(self, exchange: Exchange, served: Served, question: Question) -> None:
        """Hand a question to the model."""
        exchange.question = question
        exchange.inputs, exchange.rows = question.inputs, question.rows
        exchange.asked = time.perf_counter()
        if question.horizon is None:
            served.batcher.submit(exchange)
        else:
            served.batcher.call(exchange, _forecast(served, question, question.horizon))

    def _probe(self, probe: Probe) -> tuple[int, Answer]:
        if probe is Probe.HEALTH:
            return 200, Answer(b'{"status":"ok"}')
        return readiness(self._lifecycle, drain_unready=self._drain_unready)

    def _respond(self, exchange: Exchange, status: int, answer: Answer) -> float:
        """Send an answer and count it; when that was, in seconds of `time.perf_counter`."""
        exchange.respond(status, answer)
        now = time.perf_counter()
        target = exchange.target
        if target is None or target.protocol is None:
            self._metrics.answered("http", "", status, now - exchange.began)
        else:
            version = "" if exchange.served is None else exchange.served.manifest.version
            self._metrics.answered(target.protocol.name, version, status, now - exchange.began)
        return now


def readiness(lifecycle: Lifecycle, *, drain_unready: bool) -> tuple[int, Answer]:
    """Status and answer of `/ready`: whether exactly the wanted version is loaded, checked and warm; else why not."""
    leaving = lifecycle.phase is Phase.DRAINING and drain_unready
    if lifecycle.current is None or leaving:
        body = {"error": f"Not ready: {lifecycle.reason}.", "code": "not_ready", "status": lifecycle.phase}
        return 503, Answer(msgspec.json.encode(body), headers=b"retry-after: 1\r\n")
    manifest = lifecycle.current.manifest
    body = {"status": lifecycle.phase, "model_name": manifest.model, "model_version": manifest.version}
    return 200, Answer(msgspec.json.encode(body))


def error_headers(error: MlplatError) -> bytes:
    """The headers that an error brings: lines that end with CRLF."""
    if isinstance(error, OverloadedError):
        return b"retry-after: %d\r\n" % error.retry_after
    if error.status == 401:
        return b"www-authenticate: Bearer\r\n"
    if isinstance(error, MethodError):
        return b"allow: %b\r\n" % error.allowed.encode()
    return b""


def _forecast(served: Served, question: Question, horizon: int) -> Callable[[], Prediction]:
    def forecast() -> Prediction:
        values = served.predictor.forecast(question.inputs[TENSOR][0], horizon)
        return Prediction(np.asarray(values, dtype=np.float32))

    return forecast


def _media_type(kind: bytes) -> bytes:
    return kind.partition(b";")[0].strip().lower()


def _text(exchange: Exchange, header: bytes) -> str | None:
    value = exchange.headers.get(header)
    return None if value is None else value[:200].decode("ascii", "replace")


def _seconds(text: bytes) -> float:
    with contextlib.suppress(ValueError):
        seconds = float(text)
        if 0 < seconds < float("inf"):
            return seconds
    raise RequestError(
        f"X-Request-Timeout: found {text[:40].decode('ascii', 'replace')!r}, expected a number of seconds above 0.",
        status=400,
        code="invalid_timeout",
    )


def _not_allowed(exchange: Exchange, allowed: str) -> MethodError:
    return MethodError(exchange.method.decode("ascii", "replace"), exchange.path.decode("latin-1"), allowed)


def _wrong_type(kind: bytes, expected: frozenset[bytes]) -> RequestError:
    types = " or ".join(sorted(media_type.decode() for media_type in expected))
    return RequestError(
        f"Found the content type {kind[:100].decode('latin-1')!r}, expected {types}.",
        status=415,
        code="unsupported_media_type",
        hint=f"Send the header 'Content-Type: {types.partition(' ')[0]}'.",
    )


def _wrong_coding(coding: bytes) -> RequestError:
    return RequestError(
        f"Found the content encoding {coding[:40].decode('latin-1')!r}, expected gzip or zstd.",
        status=415,
        code="unsupported_encoding",
    )
