"""`POST /predict`: a row or rows by position or by name, or the values of a series; answered in kind."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from mlplat.bundle.answers import label_text
from mlplat.bundle.features import EXACT_INTEGER, EXPECTED, describe, listed
from mlplat.bundle.manifest import Manifest, utc
from mlplat.bundle.prediction import Prediction
from mlplat.errors import MlplatError, RequestError
from mlplat.serve import numbers
from mlplat.serve.protocols.base import Answer, Protocol, Question, Request
from mlplat.serve.protocols.schema import example_row, listing, operation, record, row_schemas
from mlplat.serve.rows import Limits, RowReader, kind, number_rows, parse_object

ONE, ONE_BARE, MANY, MANY_FULL = range(4)
"""The forms of an answer: one row, with probabilities or without; rows, without and with."""


ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string"}, "code": {"type": "string"}},
    "required": ["error", "code"],
}


class Plain(Protocol):
    """Our own JSON."""

    name = "plain"

    def __init__(self, manifest: Manifest, limits: Limits) -> None:
        super().__init__(manifest, limits)
        self._features = manifest.features
        self._names = manifest.features.names
        self._reader = RowReader(manifest.features, limits)
        self._labels = [msgspec.json.encode(label) for label in manifest.classes or ()]
        self._keys = [msgspec.json.encode(label_text(label)) for label in manifest.classes or ()]
        named = b",".join(_escaped(key) + b":%b" for key in self._keys)
        self._named = b"{" + named + b"}"
        self._one_bare = [
            b'{"prediction":%b,"prediction_index":%d,"confidence":' % (_escaped(label), index) + b"%b"
            for index, label in enumerate(self._labels)
        ]
        self._one = [bare + b',"probabilities":' + self._named for bare in self._one_bare]
        self._quick, self._quick_rows = _quick_decoders(manifest, limits)
        self._sealed = b',"model_name":%b,"model_version":%b,"timestamp":"' % (
            msgspec.json.encode(manifest.model),
            msgspec.json.encode(manifest.version),
        )
        self._second = 0
        self._seal = b""
        self._rendered: tuple[Prediction, list[bytes], list[int], bytes] | None = None

    def decode(self, request: Request) -> Question:
        """Read the body of `POST /predict`.

        Raises:
            RequestError: 400 if it is not JSON or not an object, 422 if a row, column or option is not as expected.
        """
        body = request.body
        if self._quick is not None and self._quick_rows is not None:
            try:
                if body[:24].find(b"[[") < 0:
                    return Question([self._quick(body).features], 1, ONE)
                rows = self._quick_rows(body).features
                return Question(rows, len(rows), MANY)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                pass  # in another form, or wrong: read with care
        message = parse_object(body, self._example())
        if self.manifest.task == "forecast" and "values" in message and "values" not in self._names:
            return self._series(message)
        if "features" not in message or (len(message) >= len(self._names) and set(self._names) <= message.keys()):
            return self._named_row(message)
        _only(message, {"features", "return_probabilities"})
        rows, single = self._reader.rows(message["features"], "features")
        full = _flag(message, default=single)
        return Question(self._reader.encode(rows), len(rows), _form(single=single, full=full))

    def encode(self, question: Question, prediction: Prediction, first: int) -> Answer:
        """One prediction for a single row, lists for rows; with class probabilities if asked."""
        if prediction.probabilities is None:
            return Answer(self._numbers(question, prediction, first) + self._ending())
        rendered = self._rendered
        if rendered is None or rendered[0] is not prediction:  # once a run, whose rows are of many requests
            texts, values = numbers.texts(prediction.probabilities), prediction.values.tolist()
            self._rendered = rendered = prediction, texts, values, self._ending()
        _, shown, indices, ending = rendered
        if question.form in {ONE, ONE_BARE}:
            index, row = indices[first], shown[first].split(b",")
            if question.form == ONE:
                return Answer(self._one[index] % (row[index], *row) + ending)
            return Answer(self._one_bare[index] % row[index] + ending)
        return Answer(self._many(question, shown, indices, first) + ending)

    def paths(self) -> dict[str, Any]:
        """`/predict`."""
        content = self._forecast_body() if self.manifest.task == "forecast" else self._rows_body()
        return {
            "/predict": {
                "post": operation("Predict a row or rows.", {"application/json": content}, ERROR, self._answers())
            }
        }

    def _answers(self) -> dict[str, Any]:
        """The JSON schema of an answer."""
        number: dict[str, Any] = {"type": "number"}
        sealed = {
            "model_name": {"const": self.manifest.model},
            "model_version": {"const": self.manifest.version},
            "timestamp": {"type": "string", "format": "date-time"},
        }
        if self.manifest.classes is None:
            one = record(prediction=number, **sealed)
            if self.manifest.task == "forecast":
                one["properties"]["predictions"] = listing(number)
            return {"anyOf": [one, record(predictions=listing(number), **sealed)]}
        label: dict[str, Any] = {"enum": list(self.manifest.classes)}
        index = {"type": "integer"}
        each = record(**{label_text(label): number for label in self.manifest.classes})
        one = record(prediction=label, prediction_index=index, confidence=number, **sealed)
        rows = record(
            predictions=listing(label), prediction_indices=listing(index), confidences=listing(number), **sealed
        )
        one["properties"]["probabilities"], rows["properties"]["probabilities"] = each, listing(each)
        return {"anyOf": [one, rows]}

    def _forecast_body(self) -> dict[str, Any]:
        schema: dict[str, Any] = {
            "type": "object",
            "required": ["values"],
            "properties": {
                "values": {"type": "array", "items": {"type": "number"}, "minItems": len(self._names)},
                "horizon": {"type": "integer", "minimum": 1, "maximum": self.limits.max_horizon},
            },
            "additionalProperties": False,
        }
        return {"schema": schema, "example": {"values": example_row(self.manifest), "horizon": 3}}

    def _rows_body(self) -> dict[str, Any]:
        row, by_name = row_schemas(self._features)
        rows = {"type": "array", "items": {"anyOf": [row, by_name]}, "minItems": 1}
        by_position = {
            "type": "object",
            "required": ["features"],
            "properties": {
                "features": {"anyOf": [row, rows, by_name]},
                "return_probabilities": {"type": "boolean"},
            },
            "additionalProperties": False,
        }
        first = example_row(self.manifest)
        examples = {
            "by position": {"value": {"features": first}},
            "rows, with probabilities": {"value": {"features": [first, first], "return_probabilities": True}},
            "by name": {"value": dict(zip(self._names, first, strict=True))},
        }
        return {"schema": {"anyOf": [by_position, by_name]}, "examples": examples}

    @staticmethod
    def error(error: MlplatError) -> Answer:
        """`{"error": ..., "code": ...}`."""
        return Answer(msgspec.json.encode({"error": str(error), "code": error.code}))

    def _numbers(self, question: Question, prediction: Prediction, first: int) -> bytes:
        if question.horizon is not None:
            values = numbers.text(prediction.values)
            return b'{"prediction":%b,"predictions":%b' % (values[1:-1].partition(b",")[0], values)
        values = numbers.text(prediction.values[first : first + question.rows])
        if question.form in {ONE, ONE_BARE}:
            return b'{"prediction":' + values[1:-1]
        return b'{"predictions":' + values

    def _many(self, question: Question, shown: list[bytes], indices: list[int], first: int) -> bytes:
        last = first + question.rows
        rows = [row.split(b",") for row in shown[first:last]]
        mine = indices[first:last]
        text = b'{"predictions":[%b],"prediction_indices":%b,"confidences":[%b]' % (
            b",".join([self._labels[index] for index in mine]),
            msgspec.json.encode(mine),
            b",".join([row[index] for index, row in zip(mine, rows, strict=True)]),
        )
        if question.form == MANY_FULL:
            text += b',"probabilities":[%b]' % b",".join([self._named % tuple(row) for row in rows])
        return text

    def _ending(self) -> bytes:
        """Model, version and time; made once a second."""
        second = int(time.time())
        if second != self._second:
            self._seal = self._sealed + utc(datetime.fromtimestamp(second, UTC)).encode() + b'"}'
            self._second = second
        return self._seal

    def _example(self) -> str:
        """A body that works, shortened, for messages."""
        if self.manifest.task == "forecast":
            return f'{{"values": [...at least {len(self._names)} numbers...]}}'
        return f'{{"features": [...{len(self._names)} values...]}}'

    def _named_row(self, message: dict[str, Any]) -> Question:
        if "return_probabilities" in self._names:
            row, full = message, True
        else:
            full = _flag(message, default=True)
            row = {name: value for name, value in message.items() if name != "return_probabilities"}
        if not row.keys() & set(self._names):
            raise RequestError(
                f"The body has none of the columns and no 'features'; expected {self._example()} or the columns "
                f"{listed(self._names)}.",
                code="missing_columns",
            )
        return Question(self._reader.encode(self._reader.by_name([row])), 1, _form(single=True, full=full))

    def _series(self, message: dict[str, Any]) -> Question:
        _only(message, {"values", "horizon"})
        values, horizon = message["values"], message.get("horizon")
        last = last_values(values, len(self._names))
        check_horizon(horizon, self.limits.max_horizon)
        return Question(self._reader.encode([last]), 1, ONE, horizon)


def last_values(values: Any, window: int) -> list[float]:
    """The last `window` values of a series.

    Raises:
        RequestError: 422 if there are fewer, or one is not a number.
    """
    if not isinstance(values, list):
        raise RequestError(f"'values': found {kind(values)}, expected a list of numbers.", code="invalid_value")
    if len(values) < window:
        raise RequestError(
            f"'values': found {len(values)} numbers, expected at least {window}, the window of the model.",
            code="wrong_length",
        )
    last = values[-window:]
    for index, value in enumerate(last, start=len(values) - window):
        if type(value) not in {int, float} or (type(value) is int and abs(value) > EXACT_INTEGER):
            raise RequestError(
                f"'values', item {index}: found {describe(value)}, expected {EXPECTED['numeric']}.",
                code="invalid_value",
            )
    return last


def check_horizon(horizon: Any, longest: int) -> None:
    """Refuse what is no number of steps to forecast; None is fine.

    Raises:
        RequestError: 422.
    """
    if horizon is not None and (type(horizon) is not int or not 1 <= horizon <= longest):
        raise RequestError(
            f"'horizon': found {describe(horizon)}, expected an integer from 1 to {longest}.", code="invalid_value"
        )


def _quick_decoders(manifest: Manifest, limits: Limits) -> tuple[Callable[..., Any] | None, Callable[..., Any] | None]:
    """What reads the most usual bodies in one call, checks included: numbers by position, one row or rows.

    None where a column is no number, or has a name that means something else in such a body.
    """
    forms = number_rows(manifest.features, limits)
    if (
        forms is None
        or manifest.task == "forecast"
        or {"features", "return_probabilities"} & set(manifest.features.names)
    ):
        return None, None
    one, many = (
        msgspec.defstruct("Body", [("features", form)], forbid_unknown_fields=True, gc=False) for form in forms
    )
    return msgspec.json.Decoder(one).decode, msgspec.json.Decoder(many).decode


def _form(*, single: bool, full: bool) -> int:
    if single:
        return ONE if full else ONE_BARE
    return MANY_FULL if full else MANY


def _only(message: Mapping[str, Any], allowed: set[str]) -> None:
    unknown = [name for name in message if name not in allowed]
    if unknown:
        raise RequestError(f"Unknown keys {listed(unknown)}; expected {listed(sorted(allowed))}.", code="unknown_keys")


def _flag(options: Mapping[str, Any], *, default: bool) -> bool:
    value = options.get("return_probabilities", default)
    if not isinstance(value, bool):
        raise RequestError(
            f"'return_probabilities': found {describe(value)}, expected true or false.", code="invalid_value"
        )
    return value


def _escaped(key: bytes) -> bytes:
    """A key for a template that is filled by `%`."""
    return key.replace(b"%", b"%%")
