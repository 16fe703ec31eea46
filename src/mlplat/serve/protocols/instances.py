"""What KServe's V1 protocol and MLflow share: `instances` and `inputs` in, options, and `{"predictions": [...]}` out."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mlplat.bundle.features import Features, Inputs, Rows, describe, listed
from mlplat.bundle.manifest import Manifest
from mlplat.bundle.prediction import Prediction
from mlplat.errors import RequestError
from mlplat.serve import numbers
from mlplat.serve.protocols.base import Question
from mlplat.serve.protocols.plain import check_horizon
from mlplat.serve.protocols.schema import column_schema
from mlplat.serve.rows import FEW_ROWS, Limits, RowReader, kind

INSTANCES, INPUTS = "instances", "inputs"

RESPONSE = {
    "type": "object",
    "properties": {"predictions": {"type": "array", "items": {}, "minItems": 1}},
    "required": ["predictions"],
}


class InstanceReader(RowReader):
    """Reads rows as the two protocols send them."""

    def instances(self, found: Any, key: str) -> list[Any]:
        """The rows at a key, each by position or by name: a list with an element for each; at the width 1 it may be bare.

        Raises:
            RequestError: 422 if they are no rows, too many, or not as wide or named as the model's.
        """
        if not isinstance(found, list):
            raise RequestError(f"'{key}': found {kind(found)}, expected a list of rows.", code="invalid_rows")
        if not found:
            raise RequestError(f"'{key}' is empty, expected at least one row.", code="empty")
        self.check_count(len(found))
        kinds = set(map(type, found))
        if kinds == {dict}:
            return self.by_name(found)
        if kinds == {list}:
            return self.by_position(found)
        if not kinds & {dict, list}:
            return self._bare(found, key)
        odd = next(index for index, row in enumerate(found) if _form(row) is not _form(found[0]))
        raise RequestError(
            f"row {odd}: found {kind(found[odd])}, expected {kind(found[0])} as row 0 is.", code="invalid_rows"
        )

    def columns(self, found: Mapping[str, Any], key: str) -> tuple[int, Inputs | Rows]:
        """How many rows there are in columns by name, and the model's inputs; columns of single values are one row.

        Raises:
            RequestError: 422 naming the column that is missing, too many, no list, of another length, or what is wrong
                in it.
        """
        self.check_names(found, f"'{key}': ")
        columns = {name: found[name] for name in self._names}
        if not any(isinstance(values, list) for values in columns.values()):
            columns = {name: [value] for name, value in columns.items()}
        first = self._names[0]
        rows = len(columns[first]) if isinstance(columns[first], list) else 0
        for name, values in columns.items():
            if not isinstance(values, list) or not values:
                raise RequestError(
                    f"'{key}', column {name!r}: found {kind(values)}, expected a list with a value for each row.",
                    code="invalid_rows",
                )
            if len(values) != rows:
                raise RequestError(
                    f"'{key}', column {name!r}: found {len(values)} values, expected {rows} as column {first!r} has.",
                    code="wrong_length",
                )
        self.check_count(rows)
        if rows <= FEW_ROWS:
            return rows, self.encode(list(zip(*columns.values(), strict=True)))
        return rows, self.encode_columns(columns)

    def _bare(self, found: list[Any], key: str) -> list[Any]:
        """The rows of a model of one column whose values came without lists around them."""
        if len(self._names) == 1:
            return [[value] for value in found]
        raise RequestError(
            f"'{key}': found a list of values, expected a list of rows of {len(self._names)} values: "
            f"{listed(self._names)}.",
            code="invalid_rows",
            hint=f'Send one row as "{key}": [[...]].',
        )


def _form(row: Any) -> type | None:
    """By position, by name, or neither."""
    return type(row) if isinstance(row, list | dict) else None


def one_of(keys: Sequence[str]) -> list[dict[str, Any]]:
    """The JSON schemas of objects with exactly one of the keys."""
    return [{"required": [key]} for key in keys]


def column_lists(features: Features) -> dict[str, Any]:
    """The JSON schema of columns by name, each a list with a value for each row."""
    lists = {
        column.name: {"type": "array", "items": column_schema(column), "minItems": 1} for column in features.columns
    }
    return {"type": "object", "properties": lists, "required": list(lists)}


def option_schema(manifest: Manifest, limits: Limits) -> dict[str, Any]:
    """The JSON schema of the options that a model has."""
    properties: dict[str, Any] = {}
    if manifest.classes is not None:
        properties["return_probabilities"] = {"type": ["boolean", "null"]}
    if manifest.task == "forecast":
        properties["horizon"] = {"type": ["integer", "null"], "minimum": 1, "maximum": limits.max_horizon}
    return {"type": ["object", "null"], "properties": properties}


def options(found: Any, key: str, manifest: Manifest, limits: Limits) -> tuple[bool, int | None]:
    """Whether probabilities are asked for, and how many steps to forecast; unknown options are passed over.

    Raises:
        RequestError: 422 if one is not as expected, or the model cannot do it.
    """
    if found is None:
        return False, None
    if not isinstance(found, dict):
        raise RequestError(f"'{key}': found {kind(found)}, expected an object.", code="invalid_parameter")
    full, horizon = found.get("return_probabilities"), found.get("horizon")
    if not (full is None or isinstance(full, bool)):
        raise RequestError(
            f"'return_probabilities': found {describe(full)}, expected true or false.", code="invalid_parameter"
        )
    if full and manifest.classes is None:
        raise RequestError(
            f"'return_probabilities': found true, but {manifest.model} is no classification and has none.",
            code="invalid_parameter",
        )
    if horizon is not None and manifest.task != "forecast":
        raise RequestError(
            f"'horizon': found {describe(horizon)}, but {manifest.model} forecasts no series.", code="invalid_parameter"
        )
    check_horizon(horizon, limits.max_horizon)
    return full is True, horizon


def check_one(rows: int, horizon: int | None) -> None:
    """Refuse more than one row where there is a horizon.

    Raises:
        RequestError: 422.
    """
    if horizon is not None and rows != 1:
        raise RequestError(f"Found {rows} rows, expected 1 with a 'horizon'.", code="too_many_rows")


class Predictions:
    """Writes answers: labels or numbers, probabilities in the order of the classes, or the steps of one forecast."""

    def __init__(self, manifest: Manifest) -> None:
        self._labels = [msgspec.json.encode(label) for label in manifest.classes or ()]
        self._one = [b'{"predictions":[%b]}' % label for label in self._labels]

    def text(self, question: Question, prediction: Prediction, first: int) -> bytes:
        """The answer to a question whose form is true where probabilities are asked for."""
        if question.horizon is not None:
            return b'{"predictions":[%b]}' % numbers.text(prediction.values)
        if question.rows == 1 and self._one and not question.form:
            answer: bytes = self._one[prediction.values[first]]
            return answer
        last = first + question.rows
        if question.form and prediction.probabilities is not None:
            return b'{"predictions":%b}' % numbers.text(prediction.probabilities[first:last])
        values = prediction.values[first:last]
        if not self._labels:
            return b'{"predictions":%b}' % numbers.text(values)
        return b'{"predictions":[%b]}' % b",".join([self._labels[index] for index in values.tolist()])
