"""Requests of the Open Inference Protocol V2 taken apart: the JSON, and the bytes of each tensor that came as such."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from mlplat.bundle.features import EXACT_INTEGER, describe, listed
from mlplat.errors import RequestError
from mlplat.serve.protocols.base import Request
from mlplat.serve.rows import Decode, json_decoder

HEADER_LENGTH = b"inference-header-content-length"
"""The header with the bytes of the JSON, if tensors follow it as bytes."""


class Tensor(msgspec.Struct, gc=False):
    """An input."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | None = None
    parameters: dict[str, Any] | None = None


class Output(msgspec.Struct, gc=False):
    """An output that is asked for."""

    name: str
    parameters: dict[str, Any] | None = None


class InferenceRequest(msgspec.Struct, gc=False):
    """The JSON of a request for inference."""

    inputs: list[Tensor]
    outputs: list[Output] | None = None
    id: str | None = None
    parameters: dict[str, Any] | None = None


_decode = json_decoder(InferenceRequest)


def take_apart(request: Request, expected: str) -> tuple[InferenceRequest, list[memoryview | None]]:
    """The JSON of a request, and for each input its bytes, None if its data is in the JSON.

    Args:
        request: as it was received.
        expected: a sentence on what a request is, for messages.

    Raises:
        RequestError: 400 if it is no JSON or its lengths do not fit, 422 if the JSON is another.
    """
    body = memoryview(request.body)
    end = json_length(request)
    try:
        message: InferenceRequest = _decode(body[:end])
    except msgspec.ValidationError as error:
        raise RequestError(f"The request is not as expected: {error}. {expected}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        hint = "NaN is no JSON: send null for a missing value, or binary data." if b"NaN" in bytes(body[:end]) else ""
        raise RequestError(f"The request is not JSON: {error}.", status=400, code="not_json", hint=hint) from error
    except RecursionError as error:
        raise RequestError("The request is nested too deeply.", status=400, code="not_json") from error
    return message, _pieces(message.inputs, body[end:], headed=HEADER_LENGTH in request.headers)


def json_length(request: Request) -> int:
    """The bytes of the JSON with which a request begins.

    Raises:
        RequestError: 400 if a header says what cannot be.
    """
    most = len(request.body)
    text = request.headers.get(HEADER_LENGTH)
    if text is None:
        return most
    if text.isdigit() and len(text) <= 20 and int(text) <= most:
        return int(text)
    raise RequestError(
        f"Inference-Header-Content-Length: found {text[:40].decode('latin-1')!r}, expected the bytes of the JSON, at "
        f"most {most} as the body has.",
        status=400,
        code="invalid_header_length",
    )


def usual_requests(width: int, most_rows: int) -> tuple[Decode, Decode]:
    """What reads the most usual requests, checks included: one tensor of numbers, its data flat, or nested.

    Args:
        width: columns of the model.
        most_rows: that a request may have.

    Returns:
        Two functions of a body, which raise `msgspec.DecodeError` on any other.
    """
    number = Annotated[float, msgspec.Meta(gt=-float(EXACT_INTEGER), lt=float(EXACT_INTEGER))]
    row = Annotated[list[number], msgspec.Meta(min_length=width, max_length=width)]
    flat = Annotated[list[number], msgspec.Meta(min_length=width, max_length=width * most_rows)]
    nested = Annotated[list[row], msgspec.Meta(min_length=1, max_length=most_rows)]
    return _usual(flat), _usual(nested)


def _usual(data: Any) -> Decode:
    shape = Annotated[list[int], msgspec.Meta(min_length=2, max_length=2)]
    fields = [("name", Literal["input"]), ("shape", shape), ("datatype", Literal["FP32", "FP64"]), ("data", data)]
    tensor = msgspec.defstruct("Tensor", fields, forbid_unknown_fields=True, gc=False)
    inputs = Annotated[list[tensor], msgspec.Meta(min_length=1, max_length=1)]  # type: ignore[valid-type]
    body = msgspec.defstruct("Body", [("inputs", inputs)], bases=(InferenceRequest,), gc=False)
    return msgspec.json.Decoder(body).decode


def refuse_shared_memory(name: str, parameters: Mapping[str, Any]) -> None:
    """Refuse an extension that would have the data elsewhere.

    Raises:
        RequestError: 422.
    """
    if "shared_memory_region" in parameters:
        raise RequestError(
            f"{listed([name])}: found shared memory, which this server does not have; expected data in the request.",
            code="unknown_extension",
        )


def _pieces(given: list[Tensor], rest: memoryview, *, headed: bool) -> list[memoryview | None]:
    """The bytes of each tensor that came as such, in order; they must be all that follows the JSON."""
    pieces: list[memoryview | None] = []
    at = 0
    for tensor in given:
        parameters = tensor.parameters or {}
        refuse_shared_memory(tensor.name, parameters)
        size = parameters.get("binary_data_size")
        if size is None:
            if tensor.data is None:
                raise RequestError(
                    f"input {listed([tensor.name])}: found neither 'data' nor 'binary_data_size', expected one of them.",
                    code="no_data",
                )
            pieces.append(None)
            continue
        if tensor.data is not None:
            raise RequestError(
                f"input {listed([tensor.name])}: found both 'data' and 'binary_data_size', expected one of them.",
                code="invalid_binary_data",
            )
        if not headed:
            raise RequestError(
                f"input {listed([tensor.name])}: found 'binary_data_size' without the header "
                f"Inference-Header-Content-Length, expected both.",
                status=400,
                code="invalid_binary_data",
            )
        if type(size) is not int or not 0 <= size <= len(rest) - at:
            raise RequestError(
                f"input {listed([tensor.name])}: found {describe(size)} as 'binary_data_size', expected an integer from "
                f"0 to {len(rest) - at}, the bytes that are left.",
                status=400,
                code="invalid_binary_data",
            )
        pieces.append(rest[at : at + size])
        at += size
    if at != len(rest):
        raise RequestError(
            f"Found {len(rest)} bytes after the JSON, expected {at} as the inputs' 'binary_data_size' add up to.",
            status=400,
            code="invalid_binary_data",
        )
    return pieces
