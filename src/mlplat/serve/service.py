"""What is answered below ASGI: a prediction, from its bytes to its bytes, and the probes."""

import asyncio
import time
from collections.abc import Callable
from functools import lru_cache, partial

import msgspec
import numpy as np

from mlplat import logs
from mlplat.bundle.features import Inputs, Rows, as_inputs
from mlplat.bundle.prediction import Prediction
from mlplat.errors import MethodError, MlplatError, OverloadedError, RequestError
from mlplat.metrics import MOST_NOTED, ServeMetrics
from mlplat.serve.accesslog import AccessLog
from mlplat.serve.calm import Calm
from mlplat.serve.coding import inflate
from mlplat.serve.exchange import Exchange
from mlplat.serve.heads import Heads
from mlplat.serve.keys import KeyRing
from mlplat.serve.lifecycle import Lifecycle, Phase, Served
from mlplat.serve.memory import give_back
from mlplat.serve.protocols import Answer, Plain, Protocol, Question
from mlplat.serve.protocols.base import LARGE_BYTES
from mlplat.serve.reading import Reader
from mlplat.serve.spans import Spans
from mlplat.serve.targets import Probe, Target, Targets
from mlplat.serve.traces import trace_fields
from mlplat.web.apikeys import unauthorized

BODIES_HELD = 8
"""So many bodies of the largest size may be on their way or wait to be read, all together."""

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
        access_log: gets a line for each prediction that `metrics` does not tell it of.
        spans: gets one for each prediction.
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
        access_log: AccessLog | None = None,
        spans: Spans | None = None,
    ) -> None:
        self.targets = Targets()
        self.heads = Heads()
        self.calm = Calm(deadline)
        self.deadline = deadline
        self._lifecycle = lifecycle
        self._keys = keys
        self._metrics = metrics
        self._body_bytes = body_bytes
        self._drain_unready = drain_unready
        self._reader = Reader()
        self._held = self._held_most = 0
        self._access_log = access_log
        self._spans = spans

    @property
    def draining(self) -> bool:
        """Whether clients are told to leave."""
        return self._lifecycle.phase is Phase.DRAINING

    def refusal(self, exchange: Exchange) -> MlplatError | None:
        """Why a request is refused by its head alone, if it is."""
        head = exchange.head
        if head.let_in is not self._keys.generation:
            if head.target is not None and head.target.protocol is not None and not self._keys.accepts(head.key):
                return unauthorized()
            head.let_in = self._keys.generation
        return head.refusal

    def answer(self, exchange: Exchange) -> None:
        """Answer a request that has arrived whole and whose turn it is; at once or, for a prediction, soon."""
        try:
            head = exchange.head
            target = head.target
            if target is None or target.protocol is None:
                self._answer_probe(exchange, target)
                return
            served = self._lifecycle.current or self._lifecycle.require()
            exchange.served = served
            if target.model is not None:
                _check_target(target, served)
            protocol = served.protocols[target.protocol]
            if served.batcher.strained:
                refusal = served.batcher.refusal(exchange.deadline)
                if refusal is not None:  # before it costs more
                    self.fail(exchange, refusal)
                    return
            if head.coding is not None or protocol.is_large(exchange):
                decode = partial(self._decode, exchange, protocol)
                self._reader.read(exchange, decode, partial(self._ask_read, exchange, served))
                exchange.timer = asyncio.get_running_loop().call_at(exchange.deadline, self._late, exchange)
            else:
                self._ask(exchange, served, protocol.decode(exchange))
        except Exception as error:
            if exchange.response_complete:
                raise
            self.fail(exchange, error)

    def finish(self, exchange: Exchange, prediction: Prediction, first: int) -> None:
        """Answer with what the model predicted."""
        served, target = exchange.served, exchange.head.target
        if target is None or target.protocol is None:  # pragma: no cover - by construction
            raise TypeError("only predictions are asked")
        predicted = time.monotonic()
        try:
            answer = served.protocols[target.protocol].encode(exchange.question, prediction, first)
        except Exception as error:  # noqa: BLE001 - becomes the answer
            self.fail(exchange, error)
            return
        exchange.connection.respond(exchange, 200, answer)
        now = time.monotonic()
        began, asked = exchange.began, exchange.asked
        seconds = now - began
        tally = served.tallies[target.protocol]
        if self._access_log is not None and exchange.head.traced:
            tally.add(seconds, rows=exchange.rows)
            self._access_log.note(exchange, 200, seconds)
        else:
            tally.note_rows(exchange.rows)
            tally.note(seconds)
        metrics = self._metrics
        metrics.preprocess.add(asked - began)
        metrics.predict.add(predicted - asked)
        metrics.postprocess.add(now - predicted)
        if len(metrics.predict.noted) >= MOST_NOTED:
            metrics.settle()
        if self._spans is not None:
            self._spans.note(exchange, 200, seconds)
        del exchange.served, exchange.question  # an answered request stays until the next one on its connection

    def fail(self, exchange: Exchange, error: BaseException) -> None:
        """Answer with an error."""
        exchange.settled = True
        self._release(exchange)
        exchange.body = b""
        exchange.inputs = {}
        if not isinstance(error, MlplatError):
            logs.get().error("request_failed", exc_info=error, **trace_fields(exchange.head.headers))
            error = FAILED
        elif error.status == 500:
            logs.get().error("request_failed", reason=str(error), **trace_fields(exchange.head.headers))
        target = exchange.head.target
        protocol = Plain if target is None or target.protocol is None else target.protocol
        self._respond(exchange, *_told(protocol, error))
        if isinstance(error, OverloadedError) and self._lifecycle.current is not None:
            many = self.calm.count()
            if many or exchange.head.timeout >= self.deadline:  # others may share the connection of a client in a hurry
                exchange.connection.calm()
        for held in ("served", "question"):
            if hasattr(exchange, held):
                delattr(exchange, held)

    def forget(self, exchange: Exchange) -> None:
        """Free the place of an exchange whose client went away."""
        self._release(exchange)
        if exchange.settled:
            return
        if exchange.waiting or exchange.timer is not None:
            exchange.served.batcher.forget(exchange)
        exchange.settled = True

    def _decode(self, exchange: Exchange, protocol: Protocol) -> Question:
        """Read a body, in a thread."""
        if exchange.head.coding is not None:
            exchange.body = inflate(exchange.body, exchange.head.coding, self._body_bytes)
        if len(exchange.body) > LARGE_BYTES:
            protocol.check(exchange)
        return protocol.decode(exchange)

    def _ask_read(self, exchange: Exchange, served: Served, read: asyncio.Future[Question]) -> None:
        """Go on after a body was read in a thread."""
        if exchange.settled:
            exchange.body = b""  # which was inflated meanwhile
            if not read.cancelled():
                read.exception()  # nobody waits for it, so it needs no line in the log
            return
        if exchange.timer is not None:
            exchange.timer.cancel()
            exchange.timer = None
        try:
            self._ask(exchange, served, read.result())
        except Exception as error:  # noqa: BLE001 - becomes the answer
            self.fail(exchange, error)

    def _ask(self, exchange: Exchange, served: Served, question: Question) -> None:
        """Hand a question to the model."""
        exchange.question = question
        exchange.body = b""
        if exchange.held:
            self._release(exchange)
        exchange.inputs = inputs = question.inputs
        question.inputs = {}  # which the batcher lets go of
        exchange.rows = question.rows
        if question.horizon is None:
            served.batcher.submit(exchange)
        else:
            served.batcher.call(exchange, _forecast(served, inputs, question.horizon), question.horizon)

    def hold(self, exchange: Exchange) -> None:
        """Count a large body as far as it has arrived.

        Raises:
            OverloadedError: if all that are on their way or wait to be read are too large together.
        """
        more = len(exchange.body) - exchange.held
        if self._held + more > BODIES_HELD * self._body_bytes:
            raise OverloadedError("Too many large requests are on their way.", hint="Try again later.")
        exchange.held += more
        self._held += more
        self._held_most = max(self._held_most, self._held)

    def _release(self, exchange: Exchange) -> None:
        """Note that the body of an exchange is not needed any more."""
        if exchange.held:
            exchange.body = b""
            self._held -= exchange.held
            exchange.held = 0
            if self._held == 0 and self._held_most > self._body_bytes:  # what they took would stay with the process
                self._held_most = 0
                asyncio.get_running_loop().run_in_executor(None, give_back)

    def _late(self, exchange: Exchange) -> None:
        """Let a request whose body still waits to be read fail at its deadline."""
        exchange.timer = None
        if not exchange.settled:
            self.fail(
                exchange, OverloadedError("There was no prediction before the deadline.", hint="Try again later.")
            )

    def _answer_probe(self, exchange: Exchange, target: Target | None) -> None:
        exchange.settled = True
        if target is not None and target.probe is Probe.READY:
            status, answer = readiness(self._lifecycle, drain_unready=self._drain_unready)
        else:
            status, answer = 200, Answer(b'{"status":"ok"}')
        self._respond(exchange, status, answer)

    def _respond(self, exchange: Exchange, status: int, answer: Answer) -> None:
        """Send an answer other than a prediction, and count it."""
        exchange.connection.respond(exchange, status, answer)
        seconds = time.monotonic() - exchange.began
        target = exchange.head.target
        if target is None or target.protocol is None:
            self._metrics.tally("http", "").add(seconds, status)
        else:
            version = "" if self._lifecycle.current is None else self._lifecycle.current.manifest.version
            self._metrics.tally(target.protocol.name, version).add(seconds, status)
        if self._access_log is not None:
            self._access_log.note(exchange, status, seconds)
        if self._spans is not None:
            self._spans.note(exchange, status, seconds)


def _told(protocol: type[Protocol], error: MlplatError) -> tuple[int, Answer]:
    """Status and answer that tell of an error."""
    if type(error) is OverloadedError:
        return _overloaded(protocol, error.message, error.hint, error.retry_after)
    return _tell(protocol, error)


@lru_cache(maxsize=128)
def _overloaded(protocol: type[Protocol], message: str, hint: str, retry_after: int) -> tuple[int, Answer]:
    """What many are told, made once: beyond capacity, what refusing costs is not there to predict."""
    return _tell(protocol, OverloadedError(message, hint=hint, retry_after=retry_after))


def _tell(protocol: type[Protocol], error: MlplatError) -> tuple[int, Answer]:
    answer = protocol.error(error)
    status = protocol.statuses.get(error.status, error.status)
    return status, Answer(answer.body, answer.media_type, answer.headers + error_headers(error))


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


def _check_target(target: Target, served: Served) -> None:
    """Refuse a model or version in the path that is not the one that serves.

    Raises:
        RequestError: 404.
    """
    manifest = served.manifest
    for what, found, expected in (
        ("model", target.model, manifest.model),
        ("version", target.version, manifest.version),
    ):
        if found is not None and found != expected:
            raise RequestError(
                f"Found the {what} {found[:100]!r}, expected {expected!r}, which is served.",
                status=404,
                code="not_found",
            )


def _forecast(served: Served, inputs: Inputs | Rows, horizon: int) -> Callable[[], Prediction]:
    def forecast() -> Prediction:
        (series,) = as_inputs(inputs).values()
        values = served.predictor.forecast(series[0], horizon)
        return Prediction.of(np.asarray(values, dtype=np.float32))

    return forecast
