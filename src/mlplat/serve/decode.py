"""The body of `POST /predict` into raw columns: plain functions over bytes and values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from mlplat.bundle.features import EXACT_INTEGER, EXPECTED, Features, Inputs, Problem, describe, listed
from mlplat.bundle.manifest import Task
from mlplat.errors import RequestError

SHOWN_PROBLEMS = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask for."""

    max_rows: int = 10_000
    max_horizon: int = 1000


@dataclass(frozen=True, slots=True)
class Question:
    """What a request asks.

    Attributes:
        columns: raw values by feature name, in the order of the features, all of one length.
        rows: that length.
        single: the request held one row, not a list of rows, and is answered in kind.
        probabilities: whether to give each class's probability.
        horizon: how many steps to forecast, if that was said.
        series: the values of a forecast under a horizon; else None.
    """

    columns: Mapping[str, Sequence[Any]]
    rows: int
    single: bool
    probabilities: bool
    horizon: int | None = None
    series: tuple[float, ...] | None = None


def parse_json(body: bytes) -> Any:
    """The JSON value of a body.

    Raises:
        RequestError: 400 if it is not JSON (RFC 8259: NaN and Infinity are not).
    """
    try:
        return msgspec.json.decode(body)
    except msgspec.ValidationError as error:
        raise RequestError(f"A number in the body is out of range: {error}.", code="invalid_input") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"The body is not JSON: {error}.", status=400, code="not_json") from error
    except RecursionError as error:
        raise RequestError("The body is nested too deeply.", status=400, code="not_json") from error


def decode(body: bytes, features: Features, task: Task, limits: Limits) -> Question:
    """Read the body of `POST /predict`: a row or rows, by position or by name, or the values of a series.

    Raises:
        RequestError: 400 if it is not JSON or not an object, 422 if a row, column or option is not as expected.
    """
    message = parse_json(body)
    if not isinstance(message, dict):
        raise RequestError(
            f"Found {_kind(message)}, expected an object such as {example_of(features, task)}.",
            status=400,
            code="not_an_object",
        )
    if task == "forecast" and "values" in message and "values" not in features.names:
        return _series(message, features, limits)
    if "features" not in message or set(features.names) <= message.keys():
        return _named_row(message, features, task)
    options = _options(message, {"features", "return_probabilities"})
    rows, single = _rows(message["features"], features, limits)
    return Question(_columns(rows, features), len(rows), single, _flag(options, default=single))


def encode_columns(question: Question, features: Features) -> Inputs:
    """The model's inputs for a question.

    Raises:
        RequestError: 422 naming row, column, found and expected of the first problems.
    """
    inputs, problems = features.encode(question.columns)
    if problems:
        raise RequestError(summarize(problems), code="invalid_value")
    return inputs


def summarize(problems: Sequence[Problem]) -> str:
    """The first few problems as a sentence, by row, and how many there are besides."""
    ordered = sorted(problems, key=lambda problem: problem.row)
    text = "; ".join(map(str, ordered[:SHOWN_PROBLEMS]))
    more = len(ordered) - SHOWN_PROBLEMS
    return f"{text}; and {more} more." if more > 0 else f"{text}."


def example_of(features: Features, task: Task) -> str:
    """A body that works, shortened, for messages."""
    if task == "forecast":
        return f'{{"values": [...at least {len(features.names)} numbers...]}}'
    return f'{{"features": [...{len(features.names)} values...]}}'


def _named_row(message: dict[str, Any], features: Features, task: Task) -> Question:
    known = set(features.names)
    options = {} if "return_probabilities" in known else message
    row = {name: value for name, value in message.items() if name in known or name != "return_probabilities"}
    if known.isdisjoint(row):
        raise RequestError(
            f"The body has none of the columns and no 'features'; expected {example_of(features, task)} or the columns "
            f"{listed(features.names)}.",
            code="missing_columns",
        )
    by_name = _by_name([row], features)
    return Question(_columns(by_name, features), 1, single=True, probabilities=_flag(options, default=True))


def _rows(found: Any, features: Features, limits: Limits) -> tuple[list[Sequence[Any]], bool]:
    """The rows by position, whatever form they came in, and whether it was one row."""
    if isinstance(found, dict):
        return _by_name([found], features), True
    if not isinstance(found, list):
        raise RequestError(f"'features': found {_kind(found)}, expected a row or a list of rows.", code="invalid_rows")
    if not found:
        raise RequestError("'features' is empty, expected at least one row.", code="empty")
    kinds = set(map(type, found))
    if kinds == {dict}:
        _check_count(len(found), limits)
        return _by_name(found, features), False
    if kinds == {list}:
        _check_count(len(found), limits)
        return _by_position(found, features), False
    if (dict in kinds or list in kinds) and (type(found[0]) in {dict, list} or len(found) != len(features.columns)):
        odd = next(i for i, row in enumerate(found) if type(row) is not type(found[0]))
        raise RequestError(
            f"row {odd}: found {_kind(found[odd])}, expected {_kind(found[0])} as row 0 is.", code="invalid_rows"
        )
    return _by_position([found], features), True


def _check_count(rows: int, limits: Limits) -> None:
    if rows > limits.max_rows:
        raise RequestError(
            f"Found {rows} rows, expected at most {limits.max_rows} a request.",
            code="too_many_rows",
            hint="Split the request, or use batch scoring.",
        )


def _by_position(rows: list[Any], features: Features) -> list[Sequence[Any]]:
    width = len(features.columns)
    for index, row in enumerate(rows):
        if len(row) != width:
            raise RequestError(
                f"row {index}: found {len(row)} values, expected {width}: {listed(features.names)}.",
                code="wrong_length",
            )
    return rows


def _by_name(rows: list[Any], features: Features) -> list[Sequence[Any]]:
    names = features.names
    known = set(names)
    out: list[Sequence[Any]] = []
    for index, row in enumerate(rows):
        if row.keys() != known:
            missing = [name for name in names if name not in row]
            if missing:
                raise RequestError(
                    f"row {index}: missing columns {listed(missing)}; expected {listed(names)}.", code="missing_columns"
                )
            extra = [name for name in row if name not in known]
            raise RequestError(
                f"row {index}: unknown columns {listed(extra)}; expected {listed(names)}.", code="unknown_columns"
            )
        out.append([row[name] for name in names])
    return out


def _columns(rows: list[Sequence[Any]], features: Features) -> dict[str, Sequence[Any]]:
    return dict(zip(features.names, zip(*rows, strict=True), strict=True))


def _series(message: dict[str, Any], features: Features, limits: Limits) -> Question:
    _options(message, {"values", "horizon"})
    values, horizon = message["values"], message.get("horizon")
    window = len(features.columns)
    if not isinstance(values, list):
        raise RequestError(f"'values': found {_kind(values)}, expected a list of numbers.", code="invalid_value")
    if len(values) < window:
        raise RequestError(
            f"'values': found {len(values)} numbers, expected at least {window}, the window of the model.",
            code="wrong_length",
        )
    if horizon is not None and (type(horizon) is not int or not 1 <= horizon <= limits.max_horizon):
        raise RequestError(
            f"'horizon': found {describe(horizon)}, expected an integer from 1 to {limits.max_horizon}.",
            code="invalid_value",
        )
    last = values[-window:]
    for index, value in enumerate(last, start=len(values) - window):
        if type(value) not in {int, float} or (type(value) is int and abs(value) > EXACT_INTEGER):
            raise RequestError(
                f"'values', item {index}: found {describe(value)}, expected {EXPECTED['numeric']}.",
                code="invalid_value",
            )
    columns = {name: (value,) for name, value in zip(features.names, last, strict=True)}
    series = None if horizon is None else tuple(map(float, last))
    return Question(columns, 1, single=True, probabilities=False, horizon=horizon, series=series)


def _options(message: dict[str, Any], allowed: set[str]) -> dict[str, Any]:
    unknown = [name for name in message if name not in allowed]
    if unknown:
        raise RequestError(f"Unknown keys {listed(unknown)}; expected {listed(sorted(allowed))}.", code="unknown_keys")
    return message


def _flag(options: Mapping[str, Any], *, default: bool) -> bool:
    value = options.get("return_probabilities", default)
    if not isinstance(value, bool):
        raise RequestError(
            f"'return_probabilities': found {describe(value)}, expected true or false.", code="invalid_value"
        )
    return value


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case _:
            return describe(value)
