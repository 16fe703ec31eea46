"""One request that is answered below ASGI, from its head to its answer."""

from typing import TYPE_CHECKING

from mlplat.bundle.prediction import Prediction
from mlplat.errors import MlplatError
from mlplat.runtime.batcher import Job
from mlplat.serve.protocols import Answer, Question
from mlplat.serve.targets import Target

if TYPE_CHECKING:
    from mlplat.serve.connection import Connection
    from mlplat.serve.lifecycle import Served


class Exchange(Job):
    """Stands where uvicorn has the cycle of a request, without its task, scope and events.

    Attributes:
        connection: that the request came on.
        target: what its path is for; None if it could not be read so far.
        method: b"POST", ...
        path: as the client wrote it.
        headers: by lower-case name; of repeated ones, the last.
        keep_alive: whether the connection goes on afterwards.
        size: bytes of the body so far.
        whole: the request has arrived.
        first: all requests before it on the connection are answered, so this one may be.
        refusal: why it is answered by an error, whatever else it holds.
        response_complete: it is answered.
        disconnected: its client went away.
        served: the version that answers it.
        question: what it asks.
        began: when its head had arrived, seconds of `time.perf_counter`.
        read, asked: seconds that decoding took; when it was handed to the model.
    """

    __slots__ = (
        "asked",
        "began",
        "chunks",
        "connection",
        "disconnected",
        "first",
        "headers",
        "keep_alive",
        "method",
        "path",
        "question",
        "read",
        "refusal",
        "response_complete",
        "served",
        "size",
        "target",
        "whole",
    )

    def __init__(
        self,
        connection: "Connection",
        target: Target | None,
        method: bytes,
        path: bytes,
        headers: dict[bytes, bytes],
        *,
        keep_alive: bool,
    ) -> None:
        self.rows = 0
        self.waiting = False
        self.settled = False
        self.timer = None
        self.connection = connection
        self.target = target
        self.method = method
        self.path = path
        self.headers = headers
        self.keep_alive = keep_alive
        self.chunks: list[bytes] = []
        self.size = 0
        self.whole = False
        self.first = False
        self.refusal: MlplatError | None = None
        self.response_complete = False
        self.disconnected = False
        self.served: Served | None = None
        self.question: Question | None = None
        self.began = self.read = self.asked = 0.0

    def answer(self, prediction: Prediction, first: int) -> None:
        """Take the prediction of a run; the job's own rows begin at `first`."""
        self.connection.service.finish(self, prediction, first)

    def fail(self, error: Exception) -> None:
        """Answer with an error, in the shape of the protocol."""
        self.connection.service.fail(self, error)

    def respond(self, status: int, answer: Answer) -> None:
        """Send the answer."""
        self.connection.respond(self, status, answer)
