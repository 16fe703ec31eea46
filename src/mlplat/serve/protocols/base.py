"""What a wire protocol is: how a body becomes the model's inputs, and a prediction an answer."""

import typing
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec

from mlplat.bundle.features import Inputs, Rows
from mlplat.bundle.manifest import Manifest
from mlplat.bundle.prediction import UNDEFINED, Prediction
from mlplat.errors import MlplatError, RequestError
from mlplat.serve.protocols.sizes import check_size
from mlplat.serve.rows import Limits

JSON = b"application/json"

LARGE_BYTES = 128 * 1024
"""What a larger body holds is checked before it is read, which is done in a thread, so that the loop answers others."""

SLOW_BYTES = 16 * 1024
"""So is what holds more than numbers and is larger than this: it takes ten times as long, about 2 ms."""


class Request(typing.Protocol):
    """A request for a prediction, received whole.

    Attributes:
        headers: by lower-case name.
        media_type: of the body, in lower case and without parameters; b"" if the client did not say.
        body: as it was before it was compressed.
    """

    @property
    def headers(self) -> Mapping[bytes, bytes]: ...  # noqa: D102 - above

    @property
    def media_type(self) -> bytes: ...  # noqa: D102 - above

    @property
    def body(self) -> bytes | bytearray: ...  # noqa: D102 - above


@dataclass(slots=True)
class Message:
    """A request that came by no connection."""

    body: bytes
    media_type: bytes = b""
    headers: Mapping[bytes, bytes] = field(default_factory=dict)


class Question(msgspec.Struct):  # made faster than a dataclass
    """What a request asks.

    Attributes:
        inputs: the model's inputs, encoded, or rows of numbers for its one tensor.
        rows: how many.
        form: what the protocol needs to answer in kind.
        horizon: how many steps to forecast from the one row, if that was said; the prediction then has so many values.
    """

    inputs: Inputs | Rows
    rows: int
    form: Any = None
    horizon: int | None = None


class Answer(msgspec.Struct, gc=False):
    """The body of an answer, and its headers besides the usual ones: lines that end with CRLF."""

    body: bytes
    media_type: bytes = JSON
    headers: bytes = b""


class Protocol(ABC):
    """One wire protocol for one version of a model: plain functions over values, without a server.

    Made when the version is loaded, so whatever can be prepared is prepared there.

    Attributes:
        manifest: of the version.
        limits: what one request may ask for.
        large_bytes: what a larger body holds takes long to read.
    """

    name: ClassVar[str]
    """In metrics and logs."""

    media_types: ClassVar[frozenset[bytes]] = frozenset({JSON})
    """Of the bodies that it takes; a request that does not say is taken for the protocol's own."""

    statuses: ClassVar[Mapping[int, int]] = {}
    """Of errors, where its clients know another one than ours."""

    def __init__(self, manifest: Manifest, limits: Limits) -> None:
        self.manifest = manifest
        self.limits = limits
        numbers = all(column.kind == "numeric" for column in manifest.features.columns)
        self.large_bytes = LARGE_BYTES if numbers else SLOW_BYTES

    @classmethod
    def takes(cls, media_type: bytes) -> bool:
        """Whether a body of this type can be read."""
        return (
            not media_type
            or media_type in cls.media_types
            or (media_type.startswith(b"application/") and media_type.endswith(b"+json"))
        )

    def is_large(self, request: Request) -> bool:
        """Whether reading a body takes so long that others would notice."""
        return len(request.body) > self.large_bytes

    def check(self, request: Request) -> None:
        """Refuse a large body that would take far more memory and time than one of the most rows.

        Raises:
            RequestError: 422.
        """
        check_size(request.body, self.limits.max_rows, len(self.manifest.features.columns))

    @abstractmethod
    def decode(self, request: Request) -> Question:
        """Read a request.

        Raises:
            RequestError: 400 if the body cannot be parsed, 422 naming row, column, found and expected.
        """

    @abstractmethod
    def encode(self, question: Question, prediction: Prediction, first: int) -> Answer:
        """The answer to a question.

        Args:
            question: from `decode`.
            prediction: of all rows of one run of the model, which may hold those of other requests.
            first: the row of the prediction where those of the question begin.

        Raises:
            RequestError: if what was asked for cannot be given.
        """

    @abstractmethod
    def paths(self) -> dict[str, Any]:
        """Its part of the OpenAPI document: path items, with examples that work."""

    @staticmethod
    @abstractmethod
    def error(error: MlplatError) -> Answer:
        """An error in the protocol's own shape."""


def refuse_undefined(question: Question, prediction: Prediction, first: int) -> None:
    """Refuse a question to which the model has no number; arguments are as `Protocol.encode` takes them.

    Raises:
        RequestError: 422 naming the row.
    """
    if prediction.undefined is None:
        return
    own = prediction.undefined[first : None if question.horizon is not None else first + question.rows]
    if own.any():
        raise RequestError(
            f"row {0 if question.horizon is not None else int(own.argmax())}: {UNDEFINED}.",
            code="out_of_range",
        )
