"""The Open Inference Protocol V2 over REST, with Triton's binary tensor data extension.

Rows come as one tensor `input` [rows, columns], or as one input per column, [rows] or [rows, 1]. Answers are the outputs
`predict` [rows] and, of a classification, `predict_proba` [rows, classes].
https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
import numpy as np

from mlplat.bundle.features import FLOAT32_MAX, TENSOR, Inputs, NumericColumn, Rows, describe, listed
from mlplat.bundle.manifest import Manifest
from mlplat.bundle.prediction import Prediction
from mlplat.errors import MlplatError, RequestError
from mlplat.serve.protocols import tensors
from mlplat.serve.protocols.base import JSON, Answer, Protocol, Question, Request
from mlplat.serve.protocols.framing import (
    HEADER_LENGTH,
    InferenceRequest,
    Output,
    Tensor,
    json_length,
    refuse_shared_memory,
    take_apart,
    usual_requests,
)
from mlplat.serve.protocols.outputs import PREDICT, PROBABILITIES, Labels, Numbers, OutputTensor
from mlplat.serve.protocols.plain import check_horizon
from mlplat.serve.protocols.schema import example_row, listing, operation, record, reply
from mlplat.serve.protocols.sizes import check_size
from mlplat.serve.rows import FEW_ROWS, Limits, RowReader

OCTETS = b"application/octet-stream"

TEXT: dict[str, Any] = {"type": "string"}
ERROR = record(error=TEXT)
ANSWER = record(
    model_name=TEXT,
    model_version=TEXT,
    outputs=listing(record(name=TEXT, datatype=TEXT, shape=listing({"type": "integer"}))),
)


class _Form(NamedTuple):
    """How a question is answered.

    Attributes:
        id: `"id":...,`, or nothing.
        outputs: the name of each that is wanted, and whether as bytes.
    """

    id: bytes
    outputs: Sequence[tuple[str, bool]]


class OpenInference(Protocol):
    """`POST /v2/models/{model}[/versions/{version}]/infer`."""

    name = "v2"
    media_types = frozenset({JSON, OCTETS})

    def __init__(self, manifest: Manifest, limits: Limits) -> None:
        super().__init__(manifest, limits)
        features = manifest.features
        self._names = features.names
        self._known = set(features.names)
        self._reader = RowReader(features, limits)
        self._numeric = features.layout == "tensor" and all(isinstance(c, NumericColumn) for c in features.columns)
        self._outputs: dict[str, OutputTensor] = {PREDICT: Numbers(PREDICT)}
        if manifest.classes is not None:
            self._outputs[PREDICT] = Labels(PREDICT, manifest.classes)
            self._outputs[PROBABILITIES] = Numbers(PROBABILITIES, len(manifest.classes))
        self._usual = usual_requests(len(self._names), limits.max_rows) if self._numeric else None
        self._expected = (
            f"Expected 'inputs' to be one tensor {TENSOR!r} of the shape [rows, {len(self._names)}], or one of [rows] "
            f"per column: {listed(self._names)}; each with 'name', 'shape', 'datatype' and 'data'."
        )
        self._model = b'{"model_name":%b,"model_version":%b,' % (
            msgspec.json.encode(manifest.model),
            msgspec.json.encode(manifest.version),
        )

    def check(self, request: Request) -> None:
        """Refuse a large body of too much JSON; the bytes that follow it are as large as they are.

        Raises:
            RequestError: 400 if they do not follow it, 422 if it is too much.
        """
        check_size(request.body, self.limits.max_rows, len(self._names), json_length(request))

    def decode(self, request: Request) -> Question:
        """Read an inference request.

        Raises:
            RequestError: 400 if it cannot be taken apart, 422 if an input, output or value is not as expected.
        """
        message, rows, inputs = self._read_usual(request) or self._read(request)
        parameters = message.parameters or {}
        form = _Form(
            b"" if message.id is None else b'"id":%b,' % msgspec.json.encode(message.id),
            self._wanted(message.outputs, parameters),
        )
        horizon = parameters.get("horizon") if self.manifest.task == "forecast" else None
        check_horizon(horizon, self.limits.max_horizon)
        if horizon is not None and rows != 1:
            raise RequestError(f"Found {rows} rows, expected 1 with a 'horizon'.", code="too_many_rows")
        return Question(inputs, rows, form, horizon)

    def encode(self, question: Question, prediction: Prediction, first: int) -> Answer:
        """The outputs that are wanted; those as bytes follow the JSON."""
        last = None if question.horizon is not None else first + question.rows
        texts, pieces = [], []
        for name, binary in question.form.outputs:
            values = prediction.values
            if name == PROBABILITIES and prediction.probabilities is not None:
                values = prediction.probabilities
            text, piece = self._outputs[name].write(values[first:last], binary=binary)
            texts.append(text)
            if piece is not None:
                pieces.append(piece)
        head = b'%b%b"outputs":[%b]}' % (self._model, question.form.id, b",".join(texts))
        if not pieces:
            return Answer(head)
        return Answer(b"".join([head, *pieces]), OCTETS, b"%b: %d\r\n" % (HEADER_LENGTH, len(head)))

    def paths(self) -> dict[str, Any]:
        """`/v2`: inference, metadata, probes."""
        model = f"/v2/models/{self.manifest.model}"
        content = {
            "application/json": {"schema": _request_schema(), "examples": self._examples()},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        }
        predict = operation(
            "Predict by the Open Inference Protocol V2, in JSON or with binary tensors.", content, ERROR, ANSWER
        )
        predict["responses"]["200"]["content"]["application/octet-stream"] = {
            "schema": {"type": "string", "format": "binary"}
        }
        name = {"const": self.manifest.model}
        tensors_of = listing(record(name=TEXT, datatype=TEXT, shape=listing({"type": "integer"})))
        metadata = record(name=name, versions=listing(TEXT), platform=TEXT, inputs=tensors_of, outputs=tensors_of)
        reads = {
            "/v2": ("The server and the extensions that it has.", record(name=TEXT, version=TEXT)),
            "/v2/health/live": ("Whether the process lives.", record(live={"type": "boolean"})),
            "/v2/health/ready": ("Whether it can predict.", record(ready={"type": "boolean"})),
            model: ("Inputs and outputs of the model.", metadata),
            f"{model}/ready": ("Whether the model can predict.", record(name=name, ready={"type": "boolean"})),
        }
        index = {
            "summary": "The model and its state.",
            "requestBody": {
                "content": {
                    "application/json": {"schema": {"type": "object", "properties": {"ready": {"type": "boolean"}}}}
                }
            },
            "responses": {
                "200": reply("a list of one", listing(record(name=name, state=TEXT, reason=TEXT))),
                "400": reply("it cannot be read", ERROR),
                "413": reply("it is too large", ERROR),
            },
        }
        return {
            f"{model}/infer": {"post": predict},
            **{
                path: {
                    "get": {
                        "summary": summary,
                        "responses": {"200": reply("it is", schema), "503": reply("not ready", {"type": "object"})},
                    }
                }
                for path, (summary, schema) in reads.items()
            },
            "/v2/repository/index": {"post": index},
        }

    @staticmethod
    def error(error: MlplatError) -> Answer:
        """`{"error": ...}`."""
        return Answer(msgspec.json.encode({"error": str(error)}))

    def _read_usual(self, request: Request) -> tuple[Any, int, Rows] | None:
        """The most usual request, read and checked in one call: numbers in JSON as one tensor; None if it is another."""
        if self._usual is None or HEADER_LENGTH in request.headers:
            return None
        flat, nested = self._usual
        body, width = request.body, len(self._names)
        try:
            message = (flat if body.find(b"[[") < 0 else nested)(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None  # it is read with care, and refused in words
        (tensor,) = message.inputs
        rows, columns = tensor.shape
        data = tensor.data
        if isinstance(data[0], float):
            if len(data) != rows * columns:
                return None
            data = [data[start : start + width] for start in range(0, len(data), width)]
        return (message, rows, data) if columns == width and len(data) == rows else None

    def _read(self, request: Request) -> tuple[InferenceRequest, int, Inputs | Rows]:
        """Any request: its JSON, its rows, and what the model is run on."""
        message, pieces = take_apart(request, self._expected)
        rows, inputs = self._inputs(message.inputs, pieces)
        return message, rows, inputs

    def _wanted(self, outputs: list[Output] | None, parameters: Mapping[str, Any]) -> list[tuple[str, bool]]:
        """The outputs that are asked for, all if it was not said, and whether each comes as bytes."""
        binary = _flag(parameters, "binary_data_output", default=False)
        if not outputs:
            return [(name, binary) for name in self._outputs]
        wanted: dict[str, bool] = {}
        for output in outputs:
            if output.name not in self._outputs:
                raise RequestError(
                    f"Unknown output {listed([output.name])}; expected {listed(list(self._outputs))}.",
                    code="unknown_output",
                )
            if output.name in wanted:
                raise RequestError(f"The output {output.name!r} is asked for twice.", code="invalid_outputs")
            given = output.parameters or {}
            refuse_shared_memory(output.name, given)
            if given.get("classification"):
                raise RequestError(
                    f"output {output.name!r}: found the parameter 'classification', which this server does not have; "
                    f"expected none.",
                    code="unknown_extension",
                    hint=f"Ask for {PREDICT!r}, which holds the labels.",
                )
            wanted[output.name] = _flag(given, "binary_data", default=binary)
        return list(wanted.items())

    def _inputs(self, given: list[Tensor], pieces: list[memoryview | None]) -> tuple[int, Inputs | Rows]:
        """How many rows there are, and what the model is run on."""
        width = len(self._names)
        if len(given) == 1 and given[0].name == TENSOR:
            rows = self._rows(given[0], width)
            values = _values(given[0], rows, self._names, pieces[0])
            plain = self._plain(values, rows)
            if plain is not None:
                return rows, plain
            return rows, self._encode([values[column::width] for column in range(width)], rows)
        by_name = self._by_name(given)
        rows = self._rows(given[0], 1)
        for tensor in given:
            if self._rows(tensor, 1) != rows:
                raise RequestError(
                    f"input {tensor.name!r}: found {self._rows(tensor, 1)} rows, expected {rows} as in "
                    f"{given[0].name!r}.",
                    code="wrong_shape",
                )
        found = [by_name[name] for name in self._names]
        return rows, self._encode([_values(given[i], rows, [given[i].name], pieces[i]) for i in found], rows)

    def _by_name(self, given: list[Tensor]) -> dict[str, int]:
        """The index of the input of each column."""
        by_name = {tensor.name: index for index, tensor in enumerate(given)}
        if len(given) != len(by_name):
            twice = next(tensor.name for index, tensor in enumerate(given) if by_name[tensor.name] != index)
            raise RequestError(f"The input {listed([twice])} is given twice.", code="repeated_input")
        unknown = [name for name in by_name if name not in self._known]
        if unknown:
            raise RequestError(f"Unknown inputs {listed(unknown)}. {self._expected}", code="unknown_columns")
        missing = [name for name in self._names if name not in by_name]
        if missing:
            raise RequestError(f"Missing inputs {listed(missing)}. {self._expected}", code="missing_columns")
        return by_name

    def _rows(self, tensor: Tensor, width: int) -> int:
        """How many rows a tensor has; its shape is then as expected."""
        match tensor.shape:
            case [rows, columns] if columns == width and rows > 0:
                pass
            case [rows] if width == 1 and rows > 0:
                pass
            case _:
                expected = "[rows] or [rows, 1]" if width == 1 else f"[rows, {width}]"
                raise RequestError(
                    f"input {tensor.name!r}: found the shape {describe(tensor.shape)}, expected {expected} with 1 row "
                    f"or more.",
                    code="wrong_shape",
                )
        self._reader.check_count(rows)
        return rows

    def _plain(self, values: tensors.Values, rows: int) -> Inputs | None:
        """The inputs, if all columns are numeric and all values are fit for the model as they are."""
        if not self._numeric or isinstance(values, list):
            return None
        kind, size = values.dtype.kind, values.dtype.itemsize
        if kind == "f":
            fits = bool(np.isfinite(values).all() if size <= 4 else (np.abs(values) <= FLOAT32_MAX).all())
        else:
            fits = kind in "iu" and size <= 4
        return {TENSOR: values.astype(np.float32, copy=False).reshape(rows, -1)} if fits else None

    def _encode(self, columns: list[tensors.Values], rows: int) -> Inputs | Rows:
        if rows <= FEW_ROWS:
            lists = [column if isinstance(column, list) else column.tolist() for column in columns]
            return self._reader.encode(list(zip(*lists, strict=True)))
        return self._reader.encode_columns(dict(zip(self._names, columns, strict=True)))

    def _examples(self) -> dict[str, Any]:
        """Requests that work."""
        row = example_row(self.manifest)
        columns = [
            {"name": column.name, "shape": [1], "datatype": tensors.COLUMN_DATATYPES[column.kind], "data": [value]}
            for column, value in zip(self.manifest.features.columns, row, strict=True)
        ]
        examples: dict[str, Any] = {"an input per column": {"value": {"id": "1", "inputs": columns}}}
        if self._numeric:
            tensor = {"name": TENSOR, "shape": [1, len(row)], "datatype": "FP32", "data": [row]}
            one: dict[str, Any] = {"inputs": [tensor], "outputs": [{"name": PREDICT}]}
            if self.manifest.task == "forecast":
                one["parameters"] = {"horizon": 3}
            examples = {"one tensor": {"value": one}} | examples
        return examples


def _values(tensor: Tensor, rows: int, columns: Sequence[str], piece: memoryview | None) -> tensors.Values:
    """The values of a tensor whose shape was checked, row by row."""
    if tensor.datatype not in tensors.DATATYPES:
        raise RequestError(
            f"input {tensor.name!r}: found the datatype {describe(tensor.datatype)}, expected one of "
            f"{', '.join(tensors.DATATYPES)}.",
            code="unknown_datatype",
        )
    place, where = f"input {tensor.name!r}", partial(_place, columns)
    if piece is not None:
        return tensors.from_bytes(tensor.datatype, piece, rows * len(columns), place, where)
    return tensors.from_json(tensor.datatype, tensors.flattened(tensor.data or [], tensor.shape, place), where)


def _place(columns: Sequence[str], index: int) -> str:
    row, column = divmod(index, len(columns))
    return f"row {row}, column {columns[column]!r}"


def _flag(parameters: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise RequestError(f"{name!r}: found {describe(value)}, expected true or false.", code="invalid_parameter")
    return value


def _request_schema() -> dict[str, Any]:
    parameters = {"type": "object"}
    tensor = {
        "type": "object",
        "required": ["name", "shape", "datatype"],
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1, "maxItems": 2},
            "datatype": {"enum": list(tensors.DATATYPES)},
            "data": {"type": "array", "items": {}},
            "parameters": parameters,
        },
    }
    output = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"enum": [PREDICT, PROBABILITIES]}, "parameters": parameters},
    }
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "inputs": {"type": "array", "items": tensor, "minItems": 1},
            "outputs": {"type": "array", "items": output},
            "parameters": parameters,
        },
    }
