"""Rows as clients send them, by position or by name, into the model's inputs: plain functions over values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from mlplat.bundle.features import EXACT_INTEGER, Features, Inputs, Problem, Rows, describe, listed
from mlplat.bundle.rows import row_encoder
from mlplat.errors import RequestError

SHOWN_PROBLEMS = 3

FEW_ROWS = 32
"""Up to so many rows are encoded value by value, which is faster than numpy's calls for each column."""

Decode = Callable[[bytes | bytearray | memoryview], Any]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask for."""

    max_rows: int = 10_000
    max_horizon: int = 1000


def json_decoder(form: Any) -> Decode:
    """What reads JSON as `form`; a number too large for a double is infinite there, so that who checks it names its place.

    It raises what `msgspec.json.decode` does, which alone refuses such a number and names no key of an object.
    """
    usual, large = msgspec.json.Decoder(form).decode, msgspec.json.Decoder(form, float_hook=float).decode

    def decode(body: bytes | bytearray | memoryview) -> Any:
        try:
            return usual(body)
        except msgspec.ValidationError:
            return large(body)

    return decode


_decode_any = json_decoder(Any)


def parse_json(body: bytes | bytearray) -> Any:
    """The JSON value of a body.

    Raises:
        RequestError: 400 if it is not JSON (RFC 8259: NaN and Infinity are not), 422 for an integer of
            thousands of digits.
    """
    try:
        return _decode_any(body)
    except msgspec.ValidationError as error:
        raise RequestError(f"A number in the body is out of range: {error}.", code="invalid_input") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"The body is not JSON: {error}.", status=400, code="not_json") from error
    except RecursionError as error:
        raise RequestError("The body is nested too deeply.", status=400, code="not_json") from error


def parse_object(body: bytes | bytearray, example: str) -> dict[str, Any]:
    """The JSON object of a body; `example` is one, for the message.

    Raises:
        RequestError: 400 if it is not JSON, or not an object.
    """
    message = parse_json(body)
    if not isinstance(message, dict):
        raise RequestError(
            f"Found {kind(message)}, expected an object such as {example}.", status=400, code="not_an_object"
        )
    return message


def number_rows(features: Features, limits: Limits) -> tuple[Any, Any] | None:
    """What msgspec reads a row by position as, and rows, so that one call parses and checks them.

    None where a column is no number, or reaches the model as an input of its own.
    """
    if features.layout != "tensor" or any(column.kind != "numeric" for column in features.columns):
        return None
    width = len(features.columns)
    number = Annotated[float, msgspec.Meta(gt=-float(EXACT_INTEGER), lt=float(EXACT_INTEGER))]
    row = Annotated[list[number], msgspec.Meta(min_length=width, max_length=width)]
    return row, Annotated[list[row], msgspec.Meta(min_length=1, max_length=limits.max_rows)]


class RowReader:
    """Reads the rows of requests to one model.

    Args:
        features: of the model.
        limits: what one request may ask for.
        spare: whether columns that the model does not have are passed over, not refused.
    """

    def __init__(self, features: Features, limits: Limits, *, spare: bool = False) -> None:
        self._features = features
        self._names = features.names
        self._known = set(features.names)
        self._limits = limits
        self._spare = spare
        self._encode_row = row_encoder(features)

    def rows(self, found: Any, key: str) -> tuple[list[Sequence[Any]], bool]:
        """The rows at a key of a body, by position whatever form they came in, and whether it was one row.

        Raises:
            RequestError: 422 if they are no rows, too many, or not as wide or named as the model's.
        """
        if isinstance(found, dict):
            return self.by_name([found]), True
        if not isinstance(found, list):
            raise RequestError(f"'{key}': found {kind(found)}, expected a row or a list of rows.", code="invalid_rows")
        if not found:
            raise RequestError(f"'{key}' is empty, expected at least one row.", code="empty")
        kinds = set(map(type, found))
        if kinds == {dict}:
            self.check_count(len(found))
            return self.by_name(found), False
        if kinds == {list}:
            self.check_count(len(found))
            return self.by_position(found), False
        if (dict in kinds or list in kinds) and (type(found[0]) in {dict, list} or len(found) != len(self._names)):
            odd = next(i for i, row in enumerate(found) if type(row) is not type(found[0]))
            raise RequestError(
                f"row {odd}: found {kind(found[odd])}, expected {kind(found[0])} as row 0 is.", code="invalid_rows"
            )
        return self.by_position([found]), True

    def check_count(self, rows: int) -> None:
        """Refuse too many rows.

        Raises:
            RequestError: 422.
        """
        if rows > self._limits.max_rows:
            raise RequestError(
                f"Found {rows} rows, expected at most {self._limits.max_rows} a request.",
                code="too_many_rows",
                hint="Split the request, or use batch scoring.",
            )

    def by_position(self, rows: list[Any]) -> list[Sequence[Any]]:
        """The rows, if each is as wide as the model.

        Raises:
            RequestError: 422 naming the first that is not.
        """
        width = len(self._names)
        for index, row in enumerate(rows):
            if len(row) != width:
                raise RequestError(
                    f"row {index}: found {len(row)} values, expected {width}: {listed(self._names)}.",
                    code="wrong_length",
                )
        return rows

    def by_name(self, rows: Sequence[Mapping[str, Any]]) -> list[Sequence[Any]]:
        """The rows by position.

        Raises:
            RequestError: 422 naming the first row with a column too many or too few.
        """
        out: list[Sequence[Any]] = []
        for index, row in enumerate(rows):
            if row.keys() != self._known:
                self.check_names(row, f"row {index}: ")
            out.append([row[name] for name in self._names])
        return out

    def check_names(self, found: Mapping[str, Any], place: str = "") -> None:
        """Refuse columns that are missing or too many; `place` says where they were found.

        Raises:
            RequestError: 422 naming them.
        """
        missing = [name for name in self._names if name not in found]
        if missing:
            raise RequestError(
                f"{place}missing columns {listed(missing)}; expected {listed(self._names)}.", code="missing_columns"
            )
        if not self._spare:
            extra = [name for name in found if name not in self._known]
            if extra:
                raise RequestError(
                    f"{place}unknown columns {listed(extra)}; expected {listed(self._names)}.", code="unknown_columns"
                )

    def encode(self, rows: list[Sequence[Any]]) -> Inputs | Rows:
        """The model's inputs for rows by position.

        Raises:
            RequestError: 422 naming row, column, found and expected of the first problems.
        """
        if self._encode_row is not None and len(rows) <= FEW_ROWS:
            encoded = [self._encode_row(row) for row in rows]
            if None not in encoded:
                return [row for row in encoded if row is not None]
        return self.encode_columns(dict(zip(self._names, zip(*rows, strict=True), strict=True)))

    def encode_columns(self, columns: Mapping[str, Any]) -> Inputs:
        """The model's inputs for columns by name, as `Features.encode` takes them.

        Raises:
            RequestError: 422 naming row, column, found and expected of the first problems.
        """
        inputs, problems = self._features.encode(columns)
        if problems:
            raise RequestError(summarize(problems), code="invalid_value")
        return inputs


def summarize(problems: Sequence[Problem]) -> str:
    """The first few problems as a sentence, by row, and how many there are besides."""
    ordered = sorted(problems, key=lambda problem: problem.row)
    text = "; ".join(map(str, ordered[:SHOWN_PROBLEMS]))
    more = len(ordered) - SHOWN_PROBLEMS
    return f"{text}; and {more} more." if more > 0 else f"{text}."


def kind(value: Any) -> str:
    """A JSON value as a message shows it."""
    return "null" if value is None else describe(value)
