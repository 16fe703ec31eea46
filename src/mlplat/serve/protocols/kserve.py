"""KServe's V1 protocol, which grew out of the row format of TensorFlow Serving's REST API.

Rows come as `instances`, each by position or by name, or as `inputs`, columns by name; labels or numbers are answered.
https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol
https://www.tensorflow.org/tfx/serving/api_rest
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from mlplat.bundle.features import Inputs, Rows, describe
from mlplat.bundle.manifest import Manifest
from mlplat.bundle.prediction import Prediction
from mlplat.errors import MlplatError, RequestError
from mlplat.serve.protocols.base import Answer, Protocol, Question, Request
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
from mlplat.serve.rows import Limits, number_rows, parse_object

PROBABILITIES = "predict_proba"
SIGNATURES = ["serving_default", "predict"]
"""Of labels or numbers; a classification has one of probabilities, too."""

ERROR = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}


class KServe(Protocol):
    """`POST /v1/models/{model}[/versions/{version}]:predict`."""

    name = "v1"

    def __init__(self, manifest: Manifest, limits: Limits) -> None:
        super().__init__(manifest, limits)
        self._reader = InstanceReader(manifest.features, limits)
        self._predictions = Predictions(manifest)
        self._signatures = SIGNATURES if manifest.classes is None else [*SIGNATURES, PROBABILITIES]
        self._example = f'{{"{INSTANCES}": [[...{len(manifest.features.columns)} values...]]}}'
        forms = number_rows(manifest.features, limits)
        self._quick: Callable[..., Any] | None = None
        if forms is not None:
            fields = [(key, forms[1] | UnsetType, UNSET) for key in (INSTANCES, INPUTS)]
            body = msgspec.defstruct("Body", fields, forbid_unknown_fields=True, gc=False)
            self._quick = msgspec.json.Decoder(body).decode

    def decode(self, request: Request) -> Question:
        """Read a prediction request.

        Raises:
            RequestError: 400 if it is not JSON, or neither or both of `instances` and `inputs`; 422 if a row, column or
                option is not as expected.
        """
        if self._quick is not None:
            try:
                message = self._quick(request.body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                pass  # in another form, or wrong: read with care
            else:
                given = [rows for rows in (message.instances, message.inputs) if rows is not UNSET]
                if len(given) == 1:
                    return Question(given[0], len(given[0]), form=False)
        return self._read(parse_object(request.body, self._example))

    def encode(self, question: Question, prediction: Prediction, first: int) -> Answer:
        """`{"predictions": [...]}`."""
        return Answer(self._predictions.text(question, prediction, first))

    def paths(self) -> dict[str, Any]:
        """`/v1`: prediction, and whether the model is ready."""
        features = self.manifest.features
        lists = [{"type": "array", "items": row, "minItems": 1} for row in row_schemas(features)]
        columns = column_lists(features) | {"additionalProperties": False}
        schema = {
            "type": "object",
            "properties": {
                INSTANCES: {"anyOf": lists},
                INPUTS: {"anyOf": [*lists, columns]},
                "signature_name": {"enum": [*self._signatures, None]},
                "parameters": option_schema(self.manifest, self.limits),
            },
            "oneOf": one_of([INSTANCES, INPUTS]),
        }
        row = example_row(self.manifest)
        named = dict(zip(self.manifest.features.names, row, strict=True))
        examples: dict[str, Any] = {
            "by position": {"value": {INSTANCES: [row, row]}},
            "by name": {"value": {INSTANCES: [named]}},
            "columns": {"value": {INPUTS: {name: [value, value] for name, value in named.items()}}},
        }
        if self.manifest.classes is not None:
            examples["probabilities"] = {"value": {INSTANCES: [row], "signature_name": PROBABILITIES}}
        if self.manifest.task == "forecast":
            examples["the next steps"] = {"value": {INSTANCES: [row], "parameters": {"horizon": 3}}}
        model = f"/v1/models/{self.manifest.model}"
        content = {"application/json": {"schema": schema, "examples": examples}}
        return {
            f"{model}:predict": {"post": operation("Predict by KServe's V1 protocol.", content, ERROR, RESPONSE)},
            "/v1/models": {
                "get": {"summary": "The model that is served.", "responses": {"200": {"description": "a list of one"}}}
            },
            model: {
                "get": {
                    "summary": "Whether the model can predict.",
                    "responses": {"200": {"description": "it can"}, "503": {"description": "not yet, and why"}},
                }
            },
        }

    @staticmethod
    def error(error: MlplatError) -> Answer:
        """`{"error": ...}`."""
        return Answer(msgspec.json.encode({"error": str(error)}))

    def _read(self, message: dict[str, Any]) -> Question:
        given = [key for key in (INSTANCES, INPUTS) if key in message]
        if len(given) != 1:
            found = "both" if given else "neither"
            raise RequestError(
                f"Found {found} of '{INSTANCES}' and '{INPUTS}', expected one of them, such as {self._example}.",
                status=400,
                code="invalid_input",
            )
        full, horizon = options(message.get("parameters"), "parameters", self.manifest, self.limits)
        full = self._signature(message.get("signature_name")) or full
        rows, inputs = self._rows(message[given[0]], given[0])
        check_one(rows, horizon)
        return Question(inputs, rows, full, horizon)

    def _rows(self, found: Any, key: str) -> tuple[int, Inputs | Rows]:
        if key == INPUTS and isinstance(found, dict):
            return self._reader.columns(found, key)
        rows = self._reader.instances(_unpacked(found), key)
        return len(rows), self._reader.encode(rows)

    def _signature(self, name: Any) -> bool:
        """Whether a signature answers probabilities.

        Raises:
            RequestError: 400 if there is no such signature.
        """
        if name is None or name == "":
            return False
        if name not in self._signatures:
            raise RequestError(
                f"'signature_name': found {describe(name)}, expected one of {', '.join(map(repr, self._signatures))}.",
                status=400,
                code="unknown_signature",
            )
        return bool(name == PROBABILITIES)


def _unpacked(found: Any) -> Any:
    """Rows by name without what KServe's scikit-learn server wants around them, as it makes a DataFrame of each.

    That is a list of rows, or for `{"a": 1}` also `{"a": [1]}` or `{"a": {"0": 1}}`.
    """
    if not isinstance(found, list):
        return found
    rows: list[Any] = []
    for row in found:
        rows += row if type(row) is list and row and type(row[0]) is dict else [row]
    return [
        {name: _unwrapped(value) for name, value in row.items()}
        if type(row) is dict and not {list, dict}.isdisjoint(map(type, row.values()))
        else row
        for row in rows
    ]


def _unwrapped(value: Any) -> Any:
    if type(value) is list and len(value) == 1:
        return value[0]
    if type(value) is dict and len(value) == 1:
        return next(iter(value.values()))
    return value
