"""One request that is answered below ASGI, from its head to its answer."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlplat.bundle.prediction import Prediction
from mlplat.errors import MlplatError, RequestError
from mlplat.runtime.batcher import Job
from mlplat.serve.heads import Head
from mlplat.serve.protocols.base import refuse_undefined

if TYPE_CHECKING:
    from mlplat.serve.connection import Connection
    from mlplat.serve.lifecycle import Served
    from mlplat.serve.protocols import Question


class Exchange(Job):
    """Stands where uvicorn has the cycle of a request, without its task, scope and events.

    Attributes:
        connection: that the request came on.
        head: its line and headers.
        body: what has come of its body so far.
        held: bytes of the body that count as those of a large one.
        keep_alive: whether the connection goes on afterwards.
        whole: the request has arrived.
        first: all requests before it on the connection are answered, so this one may be.
        refusal: why it is answered by an error, whatever else it holds.
        response_complete: it is answered.
        served: the version that answers it.
        question: what it asks.
        began: when its head had arrived, in the time of `time.monotonic`, which is the loop's.
    """

    __slots__ = (
        "began",
        "body",
        "connection",
        "first",
        "head",
        "held",
        "keep_alive",
        "question",
        "refusal",
        "response_complete",
        "served",
        "whole",
    )

    served: "Served"
    question: "Question"

    def __init__(self, connection: "Connection", head: Head, body: bytes | bytearray, *, whole: bool) -> None:
        self.rows = self.held = 0
        self.waiting = self.settled = self.response_complete = False
        self.timer = None
        self.connection = connection
        self.head = head
        self.body = body
        self.keep_alive = head.keep_alive
        self.whole = self.first = whole
        self.refusal: MlplatError | None = None
        self.began = time.monotonic()

    @property
    def reads_body(self) -> bool:
        """Whether what comes of its body is kept: nobody reads that of a probe, or of what is answered already."""
        target = self.head.target
        return (
            not self.response_complete and self.refusal is None and target is not None and target.protocol is not None
        )

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        """By lower-case name."""
        return self.head.headers

    @property
    def media_type(self) -> bytes:
        """Of the body."""
        return self.head.media_type

    @property
    def deadline(self) -> float:
        """Until when it must be answered, in the loop's time."""
        return self.began + min(self.head.timeout, self.connection.service.deadline)

    def answer(self, prediction: Prediction, first: int) -> None:
        """Take the prediction of a run; the job's own rows begin at `first`."""
        if prediction.undefined is not None:
            try:
                refuse_undefined(self.question, prediction, first)
            except RequestError as error:
                self.fail(error)
                return
        self.connection.service.finish(self, prediction, first)

    def fail(self, error: Exception) -> None:
        """Answer with an error, in the shape of the protocol."""
        self.connection.service.fail(self, error)
