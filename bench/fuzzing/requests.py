"""What a request asks, read as the documents say, with what Python brings along.

Each function takes a request apart and gives the rows that the model must be run on; `InvalidError` means that the server
must refuse it. Where nothing says whether it is taken, `UnsettledError` is raised: then either answer is right.
"""

import csv
import gzip
import io
import json
import math
import re
import struct
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
from bench.fuzzing.models import FLOAT32_MAX, InvalidError, Model
from bench.fuzzing.shots import FORMATS

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DEEP = 200
"""JSON that is nested deeper may be refused or not: that depends on the stack."""

Rows = list[list[float]]


class UnsettledError(Exception):
    """A request that may be refused or answered."""


class NotPredictionError(Exception):
    """A request for something else."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server that is asked was told to take."""

    rows: int = 100
    horizon: int = 1000


@dataclass(frozen=True, slots=True)
class Request:
    """A request as HTTP has it; header names in lower case, of repeated ones the last."""

    method: bytes
    path: bytes
    headers: Mapping[bytes, bytes]
    body: bytes


UNREAD = Request(b"", b"", {}, b"")
"""One that h11 refuses, and the server may take: without Host, with two, after another one, ..."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks.

    Attributes:
        rows: the numbers for the model.
        single: one row was sent as such, not in a list (`/predict`).
        full: probabilities are asked for.
        horizon: so many steps are asked for.
        outputs: of V2, and whether each comes as bytes.
        id: of V2.
    """

    protocol: str
    rows: Rows
    single: bool = False
    full: bool = False
    horizon: int | None = None
    outputs: tuple[tuple[str, bool], ...] = ()
    id: str | None = None


MEDIA_TYPES = {
    "plain": {b"application/json"},
    "v1": {b"application/json"},
    "v2": {b"application/json", b"application/octet-stream"},
    "mlflow": {b"application/json", b"text/csv"},
}

PATHS = {
    "plain": re.compile(rb"/predict"),
    "mlflow": re.compile(rb"/invocations"),
    "v1": re.compile(rb"/v1/models/(?P<model>[^/:]+)(/versions/(?P<version>[^/:]+))?:predict"),
    "v2": re.compile(rb"/v2/models/(?P<model>[^/]+)(/versions/(?P<version>[^/]+))?/infer"),
}


def protocol_of(path: bytes) -> str | None:
    """Whose predictions are at a path."""
    return next((name for name, pattern in PATHS.items() if pattern.fullmatch(path)), None)


def asked(request: Request, model: Model, limits: Limits) -> Asked:
    """What a request asks.

    Raises:
        NotPredictionError: if it is for another path.
        InvalidError: if it must be refused.
        UnsettledError: if it may be.
    """
    protocol, kind = _target(request, model)
    _check_timeout(request.headers.get(b"x-request-timeout"))
    body = _inflated(request.body, request.headers.get(b"content-encoding", b"identity"))
    if kind == b"text/csv" and protocol == "mlflow":
        return _csv(body, request.headers[b"content-type"], model, limits)
    end = len(body)
    length = request.headers.get(b"inference-header-content-length")
    if length is not None and protocol == "v2":
        if not re.fullmatch(rb"[0-9]{1,20}", length) or int(length) > end:
            raise InvalidError("no length of the JSON")
        end = int(length)
    message, doubtful = load(body[:end], nan=protocol == "mlflow")
    if protocol == "v2":
        question = _openinference(message, body[end:], model, limits, headed=length is not None)
    else:
        question = {"plain": _plain, "v1": _kserve, "mlflow": _mlflow}[protocol](message, model, limits)
    if doubtful:
        raise UnsettledError("JSON that not all can read, in a place that does not matter")
    return question


def _target(request: Request, model: Model) -> tuple[str, bytes]:
    """The protocol of a request, and the type of its body."""
    path = request.path.partition(b"?")[0]
    if path[:1] != b"/" and b"://" in path:
        path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
    path = unquote_to_bytes(path)
    protocol = protocol_of(path)
    if protocol is None:
        raise NotPredictionError
    found = PATHS[protocol].fullmatch(path)
    names = {} if found is None else found.groupdict()
    if names.get("model") not in {None, model.name.encode()} or names.get("version") not in {
        None,
        model.version.encode(),
    }:
        raise InvalidError("another model or version")
    if request.method != b"POST":
        raise InvalidError("another method")
    kind = request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind and kind not in MEDIA_TYPES[protocol] and not re.fullmatch(rb"application/.*\+json", kind):
        raise InvalidError("another content type")
    return protocol, kind


def load(body: bytes, *, nan: bool = False) -> tuple[Any, bool]:
    """Strict JSON (RFC 8259), and whether not all can read it (sections 4, 6 and 8.2); NaN is null where `nan` says so.

    What only some can read is nesting beyond `DEEP`, half a pair of surrogates, bytes that are no UTF-8, a number that no
    double holds.
    """
    doubtful = False

    def constant(text: str) -> None:
        if text != "NaN" or not nan:
            raise InvalidError("no JSON")

    def integer(text: str) -> int | float:
        nonlocal doubtful
        doubtful |= len(text) > 300
        return int(text) if len(text) <= 300 else math.inf

    def real(text: str) -> float:
        nonlocal doubtful
        doubtful |= math.isinf(float(text))
        return float(text)

    try:
        text = body.decode(errors="replace")
        doubtful = text.encode() != body
        value = json.loads(text, parse_constant=constant, parse_int=integer, parse_float=real)
    except (ValueError, RecursionError) as error:
        raise InvalidError("no JSON") from error
    unpaired = re.search(r"\\u[dD][89a-fA-F]", re.sub(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..", "", text))
    return value, doubtful or unpaired is not None or _depth(text) > DEEP


def _depth(text: str) -> int:
    """How deeply some JSON is nested."""
    steps = [1 if mark in "[{" else -1 for mark in re.findall(r"[][{}]", re.sub(r'"(?:[^"\\]|\\.)*"', "", text))]
    return max(accumulate(steps), default=0)


def _check_timeout(text: bytes | None) -> None:
    if text is None or re.fullmatch(rb"[0-9]{1,9}(\.[0-9]+)?(e[0-9])?", text):
        if text is not None and float(text) == 0:
            raise InvalidError("no time")
        return
    try:
        seconds = float(text)
    except ValueError as error:
        raise InvalidError("no time") from error
    if not 0 < seconds < math.inf:
        raise InvalidError("no time")
    raise UnsettledError("an odd way to write a number")


def _inflated(body: bytes, coding: bytes) -> bytes:
    coding = coding.strip().lower()
    if coding == b"identity":
        return body
    if max(body.count(magic) for magic in (b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd")) > 60:
        raise UnsettledError("many parts")
    try:
        if coding in {b"gzip", b"x-gzip"}:
            if body.rstrip(b"\0") != body:
                raise UnsettledError("padded gzip")
            if not body:
                raise InvalidError("no gzip")
            return gzip.decompress(body)
        if coding == b"deflate":
            return _zlib(body)
        if coding == b"zstd":
            if not body:
                raise InvalidError("no zstd")
            return bytes(zstd.decompress(body))
    except (OSError, EOFError, zlib.error, zstd.ZstdError) as error:
        raise InvalidError("not as it is said to be coded") from error
    raise InvalidError("another coding")


def _zlib(body: bytes) -> bytes:
    out = b""
    for _ in range(64):
        part = zlib.decompressobj()
        out += part.decompress(body)
        if not part.eof:
            raise EOFError
        body = part.unused_data
        if not body:
            return out
    raise UnsettledError("many parts")


# Our own JSON


def _plain(message: Any, model: Model, limits: Limits) -> Asked:
    if not isinstance(message, dict):
        raise InvalidError("no object")
    if model.task == "forecast" and "values" in message:
        return _series(message, model, limits)
    full = message.get("return_probabilities")
    if "return_probabilities" in message and not isinstance(full, bool):
        raise InvalidError("no flag")
    rest = {name: item for name, item in message.items() if name != "return_probabilities"}
    if "features" not in rest:
        return Asked("plain", [_by_name(rest, model)], single=True, full=full is not False)
    if set(rest) != {"features"}:
        raise InvalidError("unknown keys")
    found = rest["features"]
    if isinstance(found, list) and found and all(isinstance(row, dict | list) for row in found):
        rows = _rows(found, model, limits)
        return Asked("plain", rows, full=full is True)
    row = _by_name(found, model) if isinstance(found, dict) else _by_position(found, model)
    return Asked("plain", [row], single=True, full=full is not False)


def _series(message: dict[str, Any], model: Model, limits: Limits) -> Asked:
    values, horizon = message["values"], message.get("horizon")
    if set(message) - {"values", "horizon"} or not isinstance(values, list):
        raise InvalidError("unknown keys")
    _check_horizon(horizon, limits)
    return Asked("plain", [model.encode(values[-len(model.columns) :])], single=True, horizon=horizon)


def _rows(found: Any, model: Model, limits: Limits) -> Rows:
    """Rows that are all by position or all by name."""
    if not isinstance(found, list) or not 1 <= len(found) <= limits.rows:
        raise InvalidError("no rows, or too many")
    if all(isinstance(row, list) for row in found):
        return [_by_position(row, model) for row in found]
    return [_by_name(row, model) for row in found]


def _by_position(row: Any, model: Model) -> list[float]:
    if not isinstance(row, list):
        raise InvalidError("no row")
    return model.encode(row)


def _by_name(row: Any, model: Model, *, spare: bool = False) -> list[float]:
    if not isinstance(row, dict) or set(model.names) - set(row) or (set(row) - set(model.names) and not spare):
        raise InvalidError("no row of these columns")
    return model.encode([row[name] for name in model.names])


def _check_horizon(horizon: Any, limits: Limits) -> None:
    if horizon is not None and (type(horizon) is not int or not 1 <= horizon <= limits.horizon):
        raise InvalidError("no horizon")


# KServe's V1 and MLflow


def _kserve(message: Any, model: Model, limits: Limits) -> Asked:
    found, key = _the_one(message, ("instances", "inputs"))
    full, horizon = _options(message.get("parameters"), model, limits)
    signature = message.get("signature_name")
    known = {None, "", "serving_default", "predict"} | ({"predict_proba"} if model.classes else set())
    if not (signature is None or isinstance(signature, str)) or signature not in known:
        raise InvalidError("no such signature")
    if key == "inputs" and isinstance(found, dict):
        rows = _columns(found, model, limits, spare=False)
    else:
        rows = _instances(_unwrapped(found), model, limits, spare=False)
    if horizon is not None and len(rows) != 1:
        raise InvalidError("a horizon is for one row")
    return Asked("v1", rows, full=full or signature == "predict_proba", horizon=horizon)


def _mlflow(message: Any, model: Model, limits: Limits) -> Asked:
    found, key = _the_one(message, ("dataframe_split", "dataframe_records", "instances", "inputs"))
    full, horizon = _options(message.get("params"), model, limits)
    if key == "dataframe_split":
        rows = _split(found, model, limits)
    elif key != "dataframe_records" and isinstance(found, dict):
        columns = {name: _dates(name, cells, model) for name, cells in found.items()}
        rows = _columns(columns, model, limits, spare=True)
    else:
        rows = _instances(found, model, limits, spare=True, nat=True)
    if horizon is not None and len(rows) != 1:
        raise InvalidError("a horizon is for one row")
    return Asked("mlflow", rows, full=full, horizon=horizon)


def _the_one(message: Any, keys: Sequence[str]) -> tuple[Any, str]:
    if not isinstance(message, dict):
        raise InvalidError("no object")
    given = [key for key in keys if key in message]
    if len(given) > 1 and sum(message[key] is not None for key in given) == 1:
        raise UnsettledError("null may stand for nothing")
    if len(given) != 1:
        raise InvalidError("none or several of the keys")
    return message[given[0]], given[0]


def _options(given: Any, model: Model, limits: Limits) -> tuple[bool, int | None]:
    if given is None:
        return False, None
    if not isinstance(given, dict):
        raise InvalidError("no object")
    full, horizon = given.get("return_probabilities"), given.get("horizon")
    if not (full is None or isinstance(full, bool)) or (full and model.classes is None):
        raise InvalidError("no flag")
    if horizon is not None and model.task != "forecast":
        raise InvalidError("no series")
    _check_horizon(horizon, limits)
    return full is True, horizon


def _instances(found: Any, model: Model, limits: Limits, *, spare: bool, nat: bool = False) -> Rows:
    if not isinstance(found, list) or not 1 <= len(found) <= limits.rows:
        raise InvalidError("no rows, or too many")
    if all(isinstance(row, dict) for row in found):
        if nat:
            found = [{name: _date(name, cell, model) for name, cell in row.items()} for row in found]
        return [_by_name(row, model, spare=spare) for row in found]
    if len(model.columns) == 1 and not any(isinstance(row, list | dict) for row in found):
        found = [[cell] for cell in found]
    if nat:
        found = [
            [_date(name, cell, model) for name, cell in zip(model.names, row, strict=False)]
            if isinstance(row, list) and len(row) == len(model.names)
            else row
            for row in found
        ]
    return [_by_position(row, model) for row in found]


def _unwrapped(found: Any) -> Any:
    """As KServe's scikit-learn server takes it: rows by name in a list, or each of their values in one."""
    if not isinstance(found, list):
        return found
    rows: list[Any] = []
    for row in found:
        rows += row if isinstance(row, list) and row and isinstance(row[0], dict) else [row]
    return [{name: _only(cell) for name, cell in row.items()} if isinstance(row, dict) else row for row in rows]


def _only(cell: Any) -> Any:
    if isinstance(cell, list) and len(cell) == 1:
        return cell[0]
    return next(iter(cell.values())) if isinstance(cell, dict) and len(cell) == 1 else cell


def _columns(found: dict[str, Any], model: Model, limits: Limits, *, spare: bool) -> Rows:
    if set(model.names) - set(found) or (set(found) - set(model.names) and not spare):
        raise InvalidError("other columns")
    columns = [found[name] for name in model.names]
    if not any(isinstance(cells, list) for cells in columns):
        columns = [[cell] for cell in columns]
    if not all(isinstance(cells, list) for cells in columns) or len({len(cells) for cells in columns}) != 1:
        raise InvalidError("columns of different lengths")
    if not 1 <= len(columns[0]) <= limits.rows:
        raise InvalidError("no rows, or too many")
    return [model.encode(row) for row in zip(*columns, strict=True)]


def _split(found: Any, model: Model, limits: Limits) -> Rows:
    if not isinstance(found, dict) or "data" not in found or set(found) - {"columns", "data", "index"}:
        raise InvalidError("no DataFrame")
    data, columns = found["data"], found.get("columns")
    if columns is None or columns == list(range(len(model.columns))):
        return _instances(data, model, limits, spare=True, nat=True)
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise InvalidError("no names")
    if len(set(columns)) != len(columns) or not isinstance(data, list) or not 1 <= len(data) <= limits.rows:
        raise InvalidError("names twice, no rows, or too many")
    if not all(isinstance(row, list) and len(row) == len(columns) for row in data):
        raise InvalidError("rows of other lengths")
    named = [dict(zip(columns, row, strict=True)) for row in data]
    return [_by_name({n: _date(n, c, model) for n, c in row.items()}, model, spare=True) for row in named]


def _date(name: str, cell: Any, model: Model) -> Any:
    """A date, of which MLflow's client writes a missing one as NaT."""
    dates = {column.name for column in model.columns if column.kind == "date"}
    return None if name in dates and cell == "NaT" else cell


def _dates(name: str, cells: Any, model: Model) -> Any:
    return [_date(name, cell, model) for cell in cells] if isinstance(cells, list) else cells


def _csv(body: bytes, kind: bytes, model: Model, limits: Limits) -> Asked:
    for parameter in kind.split(b";")[1:]:
        name, _, value = parameter.partition(b"=")
        if name.strip().lower() == b"charset" and value.strip(b'" \t').lower() not in {
            b"utf-8",
            b"utf8",
            b"us-ascii",
            b"ascii",
        }:
            raise InvalidError("another charset")
    try:
        text = body.decode("utf-8-sig")
        header, *lines = [cells for cells in csv.reader(io.StringIO(text, newline=""), strict=True) if cells]
    except (ValueError, csv.Error) as error:
        raise InvalidError("no CSV") from error
    if not 1 <= len(lines) <= limits.rows or any(len(cells) != len(header) for cells in lines):
        raise InvalidError("no rows, too many, or of another width")
    if any(header.count(name) != 1 for name in model.names):
        raise InvalidError("other columns")
    kinds = {column.name: column.kind for column in model.columns}
    rows = [[_cell(kinds[name], cells[header.index(name)]) for name in model.names] for cells in lines]
    return Asked("mlflow", [model.encode(row) for row in rows])


def _cell(kind: str, text: str) -> Any:
    if kind == "category":
        return text or None
    text = text.strip()
    if not text:
        return None
    if kind == "boolean":
        return {"true": True, "false": False, "1": True, "0": False}.get(text.lower(), text)
    if kind == "date" or "_" in text or not text.isascii():
        return text
    try:
        return int(text) if re.fullmatch("[+-]?[0-9]{1,300}", text) else float(text)
    except ValueError:
        return text


# Open Inference V2


def _openinference(message: Any, rest: bytes, model: Model, limits: Limits, *, headed: bool) -> Asked:
    if not isinstance(message, dict):
        raise InvalidError("no object")
    inputs = message.get("inputs")
    parameters = _object(message.get("parameters"))
    if not isinstance(inputs, list) or not (message.get("id") is None or isinstance(message["id"], str)):
        raise InvalidError("no inputs")
    columns: dict[str, list[Any]] = {}
    counts = set()
    for tensor in inputs:
        name, cells, rest = _tensor(tensor, rest, model, headed=headed)
        if name in columns:
            raise InvalidError("an input twice")
        columns[name] = cells
        counts.add(len(cells) if name != "input" or "input" in model.names else len(cells) // len(model.columns))
    if rest:
        raise InvalidError("bytes that belong to no input")
    width = len(model.columns)
    if set(columns) == {"input"} and "input" not in model.names:
        flat = columns["input"]
        raw = [flat[at : at + width] for at in range(0, len(flat), width)]
    elif set(columns) == set(model.names) and len(counts) == 1:
        raw = [list(row) for row in zip(*(columns[name] for name in model.names), strict=True)]
    else:
        raise InvalidError("other inputs")
    if not 1 <= len(raw) <= limits.rows:
        raise InvalidError("no rows, or too many")
    rows = [model.encode(row) for row in raw]
    outputs = _outputs(message.get("outputs"), parameters, model)
    horizon = parameters.get("horizon") if model.task == "forecast" else None
    _check_horizon(horizon, limits)
    if horizon is not None and len(rows) != 1:
        raise InvalidError("a horizon is for one row")
    return Asked("v2", rows, horizon=horizon, outputs=outputs, id=message.get("id"))


def _object(found: Any) -> dict[str, Any]:
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InvalidError("no object")
    return found


def _tensor(tensor: Any, rest: bytes, model: Model, *, headed: bool) -> tuple[str, list[Any], bytes]:
    """The name and the values of an input, flat; and the bytes that follow its own."""
    name, datatype, shape = _described(tensor)
    width = len(model.columns) if name == "input" and "input" not in model.names else 1
    if not (len(shape) == 2 and shape[1] == width) and not (len(shape) == 1 and width == 1):
        raise InvalidError("another shape")
    parameters = _object(tensor.get("parameters"))
    if "shared_memory_region" in parameters:
        raise InvalidError("the data is elsewhere")
    size, data = parameters.get("binary_data_size"), tensor.get("data")
    if size is not None:
        if type(size) is not int or not 0 <= size <= len(rest) or data is not None or not headed:
            raise InvalidError("no bytes")
        return name, _unpacked(datatype, rest[:size], shape[0] * width), rest[size:]
    return name, [_of_datatype(datatype, cell) for cell in _flat(data, shape, width)], rest


def _described(tensor: Any) -> tuple[str, str, list[int]]:
    """Name, datatype and shape of a tensor."""
    if not isinstance(tensor, dict):
        raise InvalidError("no object")
    name, shape, datatype = tensor.get("name"), tensor.get("shape"), tensor.get("datatype")
    if not isinstance(name, str) or not isinstance(datatype, str) or not isinstance(shape, list):
        raise InvalidError("no tensor")
    if any(type(size) is not int for size in shape) or datatype not in {*FORMATS, "BYTES"}:
        raise InvalidError("no shape or datatype")
    return name, datatype, shape


def _flat(given: Any, shape: list[int], width: int) -> list[Any]:
    """The values of a tensor in JSON, which may be nested as its shape is."""
    if not isinstance(given, list):
        raise InvalidError("no data")
    data: list[Any] = given
    if len(shape) == 2 and data and isinstance(data[0], list):
        if len(data) != shape[0] or any(not isinstance(row, list) or len(row) != width for row in data):
            raise InvalidError("rows that are not of the shape")
        data = [cell for row in data for cell in row]
    if len(data) != shape[0] * width:
        raise InvalidError("more or fewer values than the shape says")
    return data


def _unpacked(datatype: str, data: bytes, count: int) -> list[Any]:
    if count <= 0:
        raise InvalidError("no rows")
    if datatype != "BYTES":
        form = f"<{count}{'B' if datatype == 'BOOL' else FORMATS[datatype]}"
        if count > len(data) or struct.calcsize(form) != len(data):
            raise InvalidError("more or fewer bytes than the shape says")
        values = list(struct.unpack(form, data))
        if datatype == "BOOL" and not set(values) <= {0, 1}:
            raise InvalidError("a boolean that is neither")
        return [bool(value) for value in values] if datatype == "BOOL" else values
    texts = []
    while data:
        if len(data) < 4 or len(data) < 4 + (size := struct.unpack("<I", data[:4])[0]):
            raise InvalidError("a length without its bytes")
        try:
            texts.append(data[4 : 4 + size].decode())
        except UnicodeDecodeError as error:
            raise InvalidError("no UTF-8") from error
        data = data[4 + size :]
    if len(texts) != count:
        raise InvalidError("more or fewer strings than the shape says")
    return texts


def _of_datatype(datatype: str, cell: Any) -> Any:
    """A value of JSON, checked against the datatype it is said to have."""
    if cell is None:
        return None
    if datatype in {"BYTES", "BOOL"}:
        if not isinstance(cell, str if datatype == "BYTES" else bool):
            raise InvalidError("of another datatype")
        return cell
    if isinstance(cell, bool) or not isinstance(cell, int if datatype[:2] != "FP" else int | float):
        raise InvalidError("of another datatype")
    if datatype == "FP16":
        if abs(cell) > FLOAT32_MAX or not np.isfinite(half := _half(float(cell))):
            raise InvalidError("too large")
        return half if abs(cell) <= 2**53 else cell
    if datatype[:2] != "FP":
        try:
            struct.pack(FORMATS[datatype], cell)
        except struct.error as error:
            raise InvalidError("too large") from error
    return cell


def _half(number: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.float16(number))


def _outputs(given: Any, parameters: dict[str, Any], model: Model) -> tuple[tuple[str, bool], ...]:
    """The outputs that are wanted, and whether each comes as bytes."""
    binary = _flag(parameters, "binary_data_output", default=False)
    names = ["predict", "predict_proba"][: 1 + bool(model.classes)]
    if given is not None and not isinstance(given, list):
        raise InvalidError("no outputs")
    wanted = []
    for output in given or []:
        if not isinstance(output, dict) or not isinstance(output.get("name"), str):
            raise InvalidError("no output")
        own = _object(output.get("parameters"))
        if output["name"] not in names or "shared_memory_region" in own or own.get("classification"):
            raise InvalidError("no such output")
        wanted.append((output["name"], _flag(own, "binary_data", default=binary)))
    if len({name for name, _ in wanted}) != len(wanted):
        raise InvalidError("an output twice")
    return tuple(wanted) or tuple((name, binary) for name in names)


def _flag(parameters: dict[str, Any], name: str, *, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise InvalidError("no flag")
    return value
