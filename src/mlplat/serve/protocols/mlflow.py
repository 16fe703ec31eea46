"""What MLflow's scoring server takes at `/invocations`: a DataFrame in JSON or CSV, `instances` or `inputs`.

As there, columns that the model does not have are passed over, NaN in JSON is a missing value, Infinity is a number (which
no model takes), and what is wrong with a request is a 400. https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/
"""

import csv
import io
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from mlplat.bundle.features import Inputs, Rows, describe, listed
from mlplat.bundle.manifest import Manifest
from mlplat.bundle.prediction import Prediction
from mlplat.errors import MlplatError, RequestError
from mlplat.serve.protocols.base import JSON, Answer, Protocol, Question, Request
from mlplat.serve.protocols.csvbody import read_csv
from mlplat.serve.protocols.instances import (
    INPUTS,
    INSTANCES,
    RESPONSE,
    InstanceReader,
    Predictions,
    check_one,
    column_lists,
    one_of,
    option_schema,
    options,
)
from mlplat.serve.protocols.schema import example_row, operation, row_schemas
from mlplat.serve.protocols.sizes import MOST_KEYS, check_count, most_values
from mlplat.serve.rows import Limits, kind, number_rows, parse_object

CSV = b"text/csv"
LARGE_CSV_BYTES = 8 * 1024
"""CSV takes up to thirty times as long as JSON of the same size."""

SPLIT, RECORDS = "dataframe_split", "dataframe_records"
DATA = (SPLIT, RECORDS, INSTANCES, INPUTS)

CHARSETS = {b"utf-8", b"utf8", b"us-ascii", b"ascii"}

ERROR_CODES = {
    401: "UNAUTHENTICATED",
    404: "ENDPOINT_NOT_FOUND",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}
"""MLflow's words for statuses; for all others it is BAD_REQUEST."""

ERROR = {
    "type": "object",
    "properties": {"error_code": {"type": "string"}, "message": {"type": "string"}},
    "required": ["error_code", "message"],
}

LITERALS = {b"NaN": b"null", b"Infinity": b"1e999"}
"""What Python and pandas write though it is no JSON, and what is read instead: none, and a number that is too large."""

NO_TIME = "NaT"
"""A missing date, as MLflow's client sends it."""


class MLflow(Protocol):
    """`POST /invocations`."""

    name = "mlflow"
    media_types = frozenset({JSON, CSV})
    statuses: ClassVar[Mapping[int, int]] = {422: 400}

    def __init__(self, manifest: Manifest, limits: Limits) -> None:
        super().__init__(manifest, limits)
        features = manifest.features
        self._names = list(features.names)
        self._dates = [index for index, column in enumerate(features.columns) if column.kind == "date"]
        self._reader = InstanceReader(features, limits, spare=True)
        self._predictions = Predictions(manifest)
        self._example = f'{{"{INPUTS}": [[...{len(self._names)} values...]]}}'
        self._quick = _quick_decoder(manifest, limits)

    def is_large(self, request: Request) -> bool:
        """Whether reading a body takes so long that others would notice."""
        return len(request.body) > (LARGE_CSV_BYTES if request.media_type == CSV else self.large_bytes)

    def check(self, request: Request) -> None:
        """Refuse a large body of too much JSON, or of far more NaN than there may be values; CSV is read line by line.

        Raises:
            RequestError: 422.
        """
        if request.media_type == CSV:
            return
        super().check(request)
        rows = self.limits.max_rows
        found = sum(map(request.body.count, LITERALS))
        check_count("NaN and Infinity", found, most_values(rows, len(self._names), MOST_KEYS), rows)

    def decode(self, request: Request) -> Question:
        """Read the body of `POST /invocations`.

        Raises:
            RequestError: 400 if it cannot be parsed, 415 if it is text in another encoding than UTF-8, 422 if a row, column
                or option is not as expected.
        """
        if request.media_type == CSV:
            return self._read_csv(request)
        return self._read_usual(request) or self._read(request)

    def encode(self, question: Question, prediction: Prediction, first: int) -> Answer:
        """`{"predictions": [...]}`."""
        return Answer(self._predictions.text(question, prediction, first))

    def paths(self) -> dict[str, Any]:
        """`/invocations` and `/ping`."""
        by_position, by_name = row_schemas(self.manifest.features)
        records = {"type": "array", "items": by_name | {"additionalProperties": True}, "minItems": 1}
        rows = {"type": "array", "items": by_position, "minItems": 1}
        split = {
            "type": "object",
            "required": ["data"],
            "properties": {"columns": {"enum": [self._names, None]}, "data": rows, "index": {}},
            "additionalProperties": False,
        }
        parameters = option_schema(self.manifest, self.limits)
        table = {"anyOf": [rows, records, column_lists(self.manifest.features)]}
        schema = {
            "type": "object",
            "properties": {SPLIT: split, RECORDS: records, INSTANCES: table, INPUTS: table, "params": parameters},
            "oneOf": one_of(DATA),
        }
        row = example_row(self.manifest)
        named = dict(zip(self._names, row, strict=True))
        frame = {"columns": self._names, "data": [row, row]}
        examples: dict[str, Any] = {
            "a DataFrame": {"value": {SPLIT: frame}},
            "records": {"value": {RECORDS: [named, named]}},
            "an array": {"value": {INPUTS: [row, row]}},
            "columns": {"value": {INPUTS: {name: [value] for name, value in named.items()}}},
        }
        if self.manifest.classes is not None:
            examples["probabilities"] = {"value": {SPLIT: frame, "params": {"return_probabilities": True}}}
        if self.manifest.task == "forecast":
            examples["the next steps"] = {"value": {INPUTS: [row], "params": {"horizon": 3}}}
        content = {
            "application/json": {"schema": schema, "examples": examples},
            "text/csv": {"schema": {"type": "string"}, "example": _csv(self._names, row)},
        }
        return {
            "/invocations": {
                "post": operation("Predict as MLflow's scoring server does.", content, ERROR, RESPONSE),
            },
            "/ping": {
                "get": {
                    "summary": "Whether the model can predict, as MLflow asks.",
                    "responses": {"200": {"description": "it can"}, "503": {"description": "not yet, and why"}},
                }
            },
        }

    @staticmethod
    def error(error: MlplatError) -> Answer:
        """`{"error_code": ..., "message": ...}`."""
        code = ERROR_CODES.get(error.status, "BAD_REQUEST")
        return Answer(msgspec.json.encode({"error_code": code, "message": str(error)}))

    def _read_usual(self, request: Request) -> Question | None:
        """The most usual bodies, read and checked in one call: numbers by position; None if it is another."""
        if self._quick is None:
            return None
        try:
            message = self._quick(request.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None  # in another form, or wrong: read with care
        found = [rows for rows in (message.inputs, message.instances) if rows is not UNSET]
        split = message.dataframe_split
        if split is not UNSET:
            if split.columns != self._names:
                return None
            found.append(split.data)
        return Question(found[0], len(found[0]), form=False) if len(found) == 1 else None

    def _read(self, request: Request) -> Question:
        message = parse_object(_as_json(request.body), self._example)
        given = [key for key in DATA if key in message]
        if len(given) != 1:
            raise RequestError(
                f"Found {listed(given or list(message)) or 'no keys'}, expected exactly one of {', '.join(DATA)}.",
                code="invalid_input",
            )
        full, horizon = options(message.get("params"), "params", self.manifest, self.limits)
        rows, inputs = self._rows(message[given[0]], given[0])
        check_one(rows, horizon)
        return Question(inputs, rows, full, horizon)

    def _rows(self, found: Any, key: str) -> tuple[int, Inputs | Rows]:
        if key in {INSTANCES, INPUTS} and isinstance(found, dict):
            return self._reader.columns(self._with_missing_dates(found), key)
        rows = self._split(found) if key == SPLIT else self._reader.instances(found, key)
        for row in rows:
            for index in self._dates:
                if row[index] == NO_TIME:
                    row[index] = None
        return len(rows), self._reader.encode(rows)

    def _split(self, found: Any) -> list[Any]:
        """The rows of a DataFrame whose names, rows and index are apart; the index is passed over."""
        if not isinstance(found, dict) or "data" not in found or found.keys() - {"columns", "data", "index"}:
            raise RequestError(
                f"'{SPLIT}': found {listed(list(found)) if isinstance(found, dict) else kind(found)}, expected an object "
                f"of 'columns' and 'data'.",
                code="invalid_input",
            )
        columns, data = found.get("columns"), found["data"]
        if columns is None or columns == list(range(len(self._names))):
            return self._reader.instances(data, "data")
        if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
            raise RequestError(f"'columns': found {kind(columns)}, expected a list of names.", code="invalid_input")
        places = {name: place for place, name in enumerate(columns)}
        self._reader.check_names(places, f"'{SPLIT}': ")
        twice = {name for place, name in enumerate(columns) if places[name] != place}
        if twice:
            raise RequestError(
                f"'columns': found {listed(sorted(twice))} more than once, expected once.", code="repeated_columns"
            )
        if not isinstance(data, list) or not data:
            raise RequestError(f"'data': found {kind(data)}, expected a list of rows.", code="invalid_rows")
        self._reader.check_count(len(data))
        for index, row in enumerate(data):
            if not isinstance(row, list) or len(row) != len(columns):
                raise RequestError(
                    f"row {index}: found {f'{len(row)} values' if isinstance(row, list) else kind(row)}, expected "
                    f"a list of {len(columns)} as 'columns' has.",
                    code="wrong_length",
                )
        order = [places[name] for name in self._names]
        return [[row[place] for place in order] for row in data]

    def _with_missing_dates(self, columns: Mapping[str, Any]) -> Mapping[str, Any]:
        changed = {}
        for index in self._dates:
            name = self._names[index]
            values = columns.get(name)
            if isinstance(values, list):
                changed[name] = [None if value == NO_TIME else value for value in values]
        return {**columns, **changed} if changed else columns

    def _read_csv(self, request: Request) -> Question:
        _check_charset(request.headers.get(b"content-type", b""))
        rows = read_csv(request.body, self.manifest.features.columns, self.limits.max_rows)
        return Question(self._reader.encode(list(rows)), len(rows), form=False)


def _quick_decoder(manifest: Manifest, limits: Limits) -> Callable[..., Any] | None:
    """What reads numbers by position, checks included; None where a column is no number."""
    forms = number_rows(manifest.features, limits)
    if forms is None:
        return None
    rows = forms[1]
    split = msgspec.defstruct(
        "Split",
        [("data", rows), ("columns", list[str]), ("index", msgspec.Raw, b"")],
        forbid_unknown_fields=True,
        gc=False,
    )
    fields = [(key, form | UnsetType, UNSET) for key, form in ((INSTANCES, rows), (INPUTS, rows), (SPLIT, split))]
    return msgspec.json.Decoder(msgspec.defstruct("Body", fields, forbid_unknown_fields=True, gc=False)).decode


def _as_json(body: bytes | bytearray) -> bytes | bytearray:
    """JSON as Python and pandas write it without what is none."""
    for literal, value in LITERALS.items():
        if literal in body:
            body = _replaced(body, literal, value)
    return body


def _replaced(body: bytes | bytearray, literal: bytes, value: bytes) -> bytes:
    """JSON with a value for each literal that is not within a string."""
    first, *others = body.split(literal)
    pieces, within = [first], _opens(first)
    for piece in others:
        pieces += (literal if within else value, piece)
        within ^= _opens(piece)
    return b"".join(pieces)


def _opens(piece: bytes | bytearray) -> bool:
    """Whether a string begins in a piece of JSON and does not end there, or ends there and did not begin."""
    if b'"' not in piece:
        return False
    return piece.replace(b"\\\\", b"").replace(b'\\"', b"").count(b'"') % 2 == 1


def _check_charset(content_type: bytes) -> None:
    """Refuse another encoding than UTF-8.

    Raises:
        RequestError: 415.
    """
    for parameter in content_type.split(b";")[1:]:
        name, _, value = parameter.partition(b"=")
        if name.strip().lower() == b"charset" and value.strip(b'" \t').lower() not in CHARSETS:
            raise RequestError(
                f"Found the charset {describe(value[:40].decode('latin-1'))}, expected UTF-8.",
                status=415,
                code="unsupported_media_type",
            )


def _csv(names: list[str], row: list[Any]) -> str:
    """A body of one row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([names, [str(value).lower() if isinstance(value, bool) else value for value in row]])
    return text.getvalue()
