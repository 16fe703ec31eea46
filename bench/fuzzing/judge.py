"""Whether an answer is the one that a request must have."""

import json
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from bench.fuzzing.models import InvalidError, Model
from bench.fuzzing.requests import UNREAD, Asked, Limits, NotPredictionError, Request, UnsettledError, asked
from bench.fuzzing.shots import FORMATS

TOLERANCE = 1e-5
RELATIVE_TOLERANCE = 1e-4


class WrongError(Exception):
    """An answer that is not as it should be."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; header names in lower case."""

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """What an answer says of each row, or of each step of a forecast."""

    indices: list[int] | None = None
    probabilities: list[list[float]] | None = None
    numbers: list[float] | None = None


@dataclass
class Judge:
    """Collects answers of one model, asks scikit-learn for all of them at once, and keeps what is wrong.

    Attributes:
        statuses: how often each was answered.
        checked: rows whose predictions were compared.
    """

    model: Model
    limits: Limits = field(default_factory=Limits)
    statuses: Counter[int] = field(default_factory=Counter)
    checked: int = 0
    _pending: list[tuple[Any, Asked, Said]] = field(default_factory=list)

    def see(self, request: Request | None, response: Response, tag: Any, *, strict: bool = True) -> None:
        """Take note of an answer; its predictions are compared by `settle`.

        Args:
            request: as a parser of HTTP had it; None if it was none.
            response: to it.
            tag: comes back with what `settle` finds.
            strict: what must be answered is not refused. Where bytes of HTTP were spoiled, refusing is always right.

        Raises:
            WrongError: if it is wrong on the face of it.
        """
        self.statuses[response.status] += 1
        if response.status >= 500 and not (response.status == 503 and _hurried(request)):
            raise WrongError(f"status {response.status}")
        if request is None or request is UNREAD:
            if request is None and response.status == 200:
                raise WrongError("status 200 to what is not HTTP")
            return
        try:
            question = _question(request, response, self.model, self.limits)
        except NotPredictionError:
            return
        if response.status != 200:
            if question is not None and strict and response.status != 503 and not self._overflows(question):
                raise WrongError(f"status {response.status}, expected 200: {response.body[:300]!r}")
            _check_error(request, response, strict=strict)
        elif question is not None:
            self._pending.append((tag, question, read(question, self.model, response)))

    def _overflows(self, question: Asked) -> bool:
        """Whether a model that computes in float32 may have no number for what was asked."""
        return bool(self.model.slack(np.array(question.rows, dtype=np.float32)).max() > 1)

    def settle(self) -> list[tuple[Any, str]]:
        """Compare all predictions since the last time; those that are wrong, by tag."""
        pending, self._pending = self._pending, []
        if not pending:
            return []
        blocks = [_steps(question, said, self.model) for _, question, said in pending]
        rows = np.concatenate(blocks)
        self.checked += len(rows)
        values, probabilities = self.model.predict(rows)
        wrong = []
        at = 0
        for (tag, _, said), block in zip(pending, blocks, strict=True):
            part = slice(at, at + len(block))
            at += len(block)
            if probabilities is None:
                problem = _compare_numbers(values[part], said)
            else:
                allowed = TOLERANCE + self.model.slack(block)
                problem = _compare_classes(values[part], probabilities[part], said, allowed)
            if problem:
                wrong.append((tag, problem))
        return wrong


def _question(request: Request, response: Response, model: Model, limits: Limits) -> Asked | None:
    """What a request asks; None if it may be refused.

    Raises:
        NotPredictionError: if it is for another path.
        WrongError: if it was answered and must not be.
    """
    try:
        return asked(request, model, limits)
    except UnsettledError:
        return None
    except InvalidError as reason:
        if response.status == 200:
            raise WrongError(f"status 200, expected a refusal: {reason}") from reason
        return None


def _hurried(request: Request | None) -> bool:
    """Whether the client wanted the answer sooner than it may be had."""
    return request is not None and b"x-request-timeout" in request.headers


def _check_error(request: Request, response: Response, *, strict: bool) -> None:
    """An error is JSON in the shape of the path's protocol, or in that of our own where it may not be HTTP."""
    if request.method == b"HEAD":
        return
    try:
        found = json.loads(response.body)
    except ValueError as error:
        raise WrongError(f"an error that is no JSON: {response.body[:200]!r}") from error
    if request.path.startswith((b"/v1", b"/v2")):
        keys = {"error"}
    else:
        keys = {"error_code", "message"} if request.path.startswith(b"/invocations") else {"error", "code"}
    odd = not strict or request.path[:1] != b"/" or b"%" in request.path or request.path[1:2] == b"/"
    if set(found) != keys and not (odd and set(found) == {"error", "code"}):
        raise WrongError(f"an error with {sorted(found)}, expected {sorted(keys)}")


def _steps(question: Asked, said: Said, model: Model) -> Any:
    """The rows that the model was run on: with a horizon, each holds what was said before."""
    if question.horizon is None:
        return np.array(question.rows, dtype=np.float32)
    series = [*question.rows[0], *(said.numbers or [])]
    width = len(model.columns)
    return np.array([series[at : at + width] for at in range(question.horizon)], dtype=np.float32)


def _compare_numbers(expected: Any, said: Said) -> str:
    found = np.array(said.numbers, dtype=np.float64)
    if found.shape != expected.shape:
        return f"{len(found)} numbers, expected {len(expected)}"
    off = ~(np.abs(found - expected) <= RELATIVE_TOLERANCE * np.maximum(np.abs(expected), 1e-6))
    if off.any():
        first = int(np.argmax(off))
        return f"{found[first]!r}, expected {expected[first]!r} (item {first})"
    return ""


def _compare_classes(values: Any, probabilities: Any, said: Said, allowed: Any) -> str:
    if said.probabilities is not None:
        found = np.array(said.probabilities, dtype=np.float64)
        if found.shape != probabilities.shape:
            return f"probabilities of the shape {found.shape}, expected {probabilities.shape}"
        off = ~(np.abs(found - probabilities) <= allowed[:, None]).all(axis=1)
        if off.any():
            first = int(np.argmax(off))
            return f"probabilities {found[first].tolist()}, expected {probabilities[first].tolist()} (row {first})"
    if said.indices is not None:
        if len(said.indices) != len(values):
            return f"{len(said.indices)} labels, expected {len(values)}"
        best = np.sort(probabilities, axis=1)
        tied = best[:, -1] - best[:, -2] <= 2 * allowed
        off = (np.array(said.indices) != values) & ~tied
        if off.any():
            first = int(np.argmax(off))
            return (
                f"class {said.indices[first]}, expected {values[first]} (row {first}: {probabilities[first].tolist()})"
            )
    return ""


def read(question: Asked, model: Model, response: Response) -> Said:
    """What an answer of 200 says.

    Raises:
        WrongError: if it has another form than it should.
    """
    try:
        if question.protocol == "plain":
            return _read_plain(question, model, _loads(response.body))
        if question.protocol == "v2":
            return _read_v2(question, model, response)
        return _read_predictions(question, model, _loads(response.body))
    except (KeyError, TypeError, ValueError, IndexError, struct.error) as error:
        raise WrongError(f"an answer of another form ({error!r}): {response.body[:300]!r}") from error


def _loads(body: bytes) -> Any:
    def constant(text: str) -> None:
        raise WrongError(f"{text} in an answer")

    return json.loads(body, parse_constant=constant)


def _read_plain(question: Asked, model: Model, found: Any) -> Said:
    if (found["model_name"], found["model_version"]) != (model.name, model.version):
        raise WrongError("another model or version")
    if model.classes is not None:
        return _read_classes(question, model.classes, found)
    numbers = [found["prediction"]] if question.single else found["predictions"]
    if question.horizon is not None:
        numbers = found["predictions"]
        if found["prediction"] != numbers[0]:
            raise WrongError("the first step is not the first of the steps")
    return Said(numbers=numbers)


def _read_classes(question: Asked, classes: tuple[Any, ...], found: Any) -> Said:
    names = [str(label).lower() if isinstance(label, bool) else str(label) for label in classes]
    if question.single:
        labels, indices, best = [found["prediction"]], [found["prediction_index"]], [found["confidence"]]
        given = [found["probabilities"]] if question.full else None
        extra = {"prediction", "prediction_index", "confidence"}
    else:
        labels, indices, best = found["predictions"], found["prediction_indices"], found["confidences"]
        given = found["probabilities"] if question.full else None
        extra = {"predictions", "prediction_indices", "confidences"}
    expected = extra | {"model_name", "model_version", "timestamp"} | ({"probabilities"} if question.full else set())
    if set(found) != expected:
        raise WrongError(f"the keys {sorted(found)}, expected {sorted(expected)}")
    if labels != [classes[index] for index in indices]:
        raise WrongError("labels that are not those of the indices")
    probabilities = None
    if given is not None:
        if any(list(each) != names for each in given):
            raise WrongError("probabilities of other classes")
        probabilities = [list(each.values()) for each in given]
        if best != [each[index] for each, index in zip(probabilities, indices, strict=True)]:
            raise WrongError("a confidence that is not the probability of the class")
    return Said(indices, probabilities)


def _read_predictions(question: Asked, model: Model, found: Any) -> Said:
    (predictions,) = found.values()
    if list(found) != ["predictions"]:
        raise WrongError(f"the keys {sorted(found)}")
    if question.horizon is not None:
        (predictions,) = predictions
    if model.classes is None:
        return Said(numbers=predictions)
    if question.full:
        return Said(probabilities=predictions)
    return Said([model.classes.index(label) for label in predictions])


def _read_v2(question: Asked, model: Model, response: Response) -> Said:
    length = response.headers.get(b"inference-header-content-length")
    head = response.body if length is None else response.body[: int(length)]
    rest = response.body[len(head) :]
    found = _loads(head)
    if (found["model_name"], found["model_version"], found.get("id")) != (model.name, model.version, question.id):
        raise WrongError("another model, version or id")
    outputs: dict[str, list[Any]] = {}
    rows = len(question.rows) if question.horizon is None else question.horizon
    for output, (name, binary) in zip(found["outputs"], question.outputs, strict=True):
        shape = [rows, len(model.classes or ())] if name == "predict_proba" else [rows]
        if output["name"] != name or output["shape"] != shape:
            raise WrongError(f"the output {output['name']} of the shape {output['shape']}, expected {name}, {shape}")
        if binary:
            size = output["parameters"]["binary_data_size"]
            values, rest = _values(output["datatype"], rest[:size]), rest[size:]
        else:
            values = output["data"]
        if len(values) != int(np.prod(shape)):
            raise WrongError(f"{len(values)} values in {name}, expected {shape}")
        outputs[name] = values
    if rest:
        raise WrongError("bytes that belong to no output")
    width = len(model.classes or ())
    flat = outputs.get("predict_proba")
    probabilities = None if flat is None else [flat[at : at + width] for at in range(0, len(flat), width)]
    if model.classes is None:
        return Said(numbers=outputs["predict"])
    labels = outputs.get("predict")
    names = [str(label) for label in model.classes]
    return Said(None if labels is None else [names.index(str(label)) for label in labels], probabilities)


def _values(datatype: str, data: bytes) -> list[Any]:
    if datatype != "BYTES":
        size = struct.calcsize(FORMATS[datatype])
        return list(struct.unpack(f"<{len(data) // size}{FORMATS[datatype]}", data))
    values = []
    while data:
        (size,) = struct.unpack("<I", data[:4])
        values.append(data[4 : 4 + size].decode())
        data = data[4 + size :]
    return values
