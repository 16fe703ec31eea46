"""Requests that are right: of every protocol that is registered, for every model."""

import gzip
import json
import random
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from bench.fuzzing.models import Column, Model

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PROTOCOLS = ("plain", "v1", "v2", "mlflow")
JSON = b"application/json"
HEADER_LENGTH = b"Inference-Header-Content-Length"
DATES = ("2024-01-05", "2023-05-11T08:30:00Z", "2020-02-29", "1969-12-31", "2022-12-31T23:59:59.999999+05:30")

COMPRESS: dict[bytes, Callable[[bytes], bytes]] = {
    b"gzip": gzip.compress,
    b"x-gzip": gzip.compress,
    b"deflate": zlib.compress,
    b"zstd": zstd.compress,
    b"identity": lambda body: body,
}


@dataclass(frozen=True, slots=True)
class Shot:
    """A request before it is bytes.

    Attributes:
        headers: besides Host and Content-Length.
        tree: the JSON of the body, to be spoiled; None if the body is not JSON alone.
        tail: what follows the JSON.
        chunks: sizes of the parts of a chunked body; None if it has a length.
    """

    protocol: str
    path: bytes
    tree: Any = None
    tail: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ((b"Content-Type", JSON),)
    method: bytes = b"POST"
    body: bytes | None = None
    coding: bytes | None = None
    chunks: tuple[int, ...] | None = field(default=None)

    def data(self) -> bytes:
        """The bytes of the request."""
        body = write(self.tree).encode("utf-8", "surrogatepass") if self.body is None else self.body
        headers = list(self.headers)
        given = {name.lower() for name, _ in headers}
        if self.protocol == "v2" and self.body is None and self.tail and HEADER_LENGTH.lower() not in given:
            headers.append((HEADER_LENGTH, b"%d" % len(body)))
        if b"host" not in given:
            headers.insert(0, (b"Host", b"localhost"))
        body += self.tail
        if self.coding is not None:
            headers.append((b"Content-Encoding", self.coding))
            body = COMPRESS[self.coding.lower()](body)
        if self.chunks is None:
            headers.append((b"Content-Length", b"%d" % len(body)))
        else:
            headers.append((b"Transfer-Encoding", b"chunked"))
            body = b"".join(_chunks(body, self.chunks))
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        return b"%b %b HTTP/1.1\r\n%b\r\n%b" % (self.method, self.path, lines, body)

    def with_header(self, name: bytes, value: bytes) -> "Shot":
        """The same with another header, instead of any of its name."""
        kept = [header for header in self.headers if header[0].lower() != name.lower()]
        return replace(self, headers=(*kept, (name, value)))


class Raw(str):
    """Text that stands in JSON as it is."""

    __slots__ = ()


class Pairs(list[tuple[str, Any]]):
    """An object whose keys may come twice."""


def write(value: Any) -> str:
    """A value as JSON, also one that is none."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{write(name)}:{write(item)}" for name, item in value) + "}"
    if isinstance(value, dict):
        return write(Pairs(value.items()))
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(write, value)) + "]"
    return json.dumps(value)


def right(rng: random.Random, model: Model, protocol: str) -> Shot:
    """A request that must be answered."""
    return {"plain": plain, "v1": kserve, "v2": openinference, "mlflow": mlflow}[protocol](rng, model)


def plain(rng: random.Random, model: Model) -> Shot:
    """`/predict`."""
    if model.task == "forecast" and rng.random() < 0.8:
        width = len(model.columns)
        values = [value(rng, model.columns[0]) for _ in range(width + rng.choice([0, 0, 1, 7]))]
        body: dict[str, Any] = {"values": values}
        if rng.random() < 0.6:
            body["horizon"] = rng.choice([1, 2, 3, 12])
        return Shot("plain", b"/predict", body)
    names, one = model.names, row(rng, model)
    form = rng.randrange(5)
    if form == 0:
        body = dict(zip(names, one, strict=True))
    elif form == 1:
        body = {"features": dict(zip(names, one, strict=True))}
    elif form == 2:
        body = {"features": one}
    elif form == 3:
        body = {"features": rows(rng, model)}
    else:
        body = {"features": [dict(zip(names, each, strict=True)) for each in rows(rng, model)]}
    if rng.random() < 0.4:
        body["return_probabilities"] = rng.random() < 0.5
    return Shot("plain", b"/predict", body)


def kserve(rng: random.Random, model: Model) -> Shot:
    """KServe's V1."""
    body: dict[str, Any] = {rng.choice(["instances", "inputs"]): _instances(rng, model)}
    if rng.random() < 0.2:
        body = {"inputs": _columns(rng, model)}
    if rng.random() < 0.3:
        body["signature_name"] = rng.choice(["serving_default", "predict", "predict_proba"][: 2 + bool(model.classes)])
    _add_options(rng, model, body, "parameters")
    version = rng.choice([b"", b"", b"/versions/" + model.version.encode()])
    return Shot("v1", b"/v1/models/%b%b:predict" % (model.name.encode(), version), body)


def mlflow(rng: random.Random, model: Model) -> Shot:
    """MLflow's `/invocations`."""
    form = rng.randrange(6)
    if form == 0:
        return _csv(rng, model)
    if form == 1:
        body: dict[str, Any] = {"dataframe_records": _named(rng, model, spare=True)}
    elif form == 2:
        order = rng.sample(range(len(model.columns)), len(model.columns))
        names = [model.names[place] for place in order]
        body = {"dataframe_split": {"columns": names, "data": [[r[i] for i in order] for r in rows(rng, model)]}}
        if rng.random() < 0.5:
            body["dataframe_split"]["index"] = [0]
    elif form == 3:
        body = {rng.choice(["inputs", "instances"]): _columns(rng, model)}
    else:
        body = {rng.choice(["inputs", "instances"]): _instances(rng, model)}
    if rng.random() < 0.1:
        body = _nan(body)
    _add_options(rng, model, body, "params")
    return Shot("mlflow", b"/invocations", body)


def openinference(rng: random.Random, model: Model) -> Shot:
    """Open Inference V2, in JSON and as bytes."""
    found = rows(rng, model)
    inputs: list[dict[str, Any]] = []
    tail = b""
    numeric = all(column.kind == "numeric" for column in model.columns)
    parts: list[tuple[str, list[int], list[Any], Column | None]]
    if numeric and rng.random() < 0.7:
        parts = [("input", [len(found), len(model.columns)], [cell for each in found for cell in each], None)]
    else:
        shape = [len(found)] if rng.random() < 0.5 else [len(found), 1]
        parts = [
            (column.name, shape, list(cells), column)
            for column, cells in zip(model.columns, zip(*found, strict=True), strict=True)
        ]
        rng.shuffle(parts)
    for name, shape, cells, column in parts:
        datatype = _datatype(rng, column)
        tensor: dict[str, Any] = {"name": name, "shape": shape, "datatype": datatype}
        if rng.random() < 0.4 and (packed := _packed(datatype, cells)) is not None:
            tensor["parameters"] = {"binary_data_size": len(packed)}
            tail += packed
        elif len(shape) == 2 and rng.random() < 0.5:
            tensor["data"] = [cells[at : at + shape[1]] for at in range(0, len(cells), shape[1])]
        else:
            tensor["data"] = cells
        inputs.append(tensor)
    body: dict[str, Any] = {"inputs": inputs}
    _add_v2_options(rng, model, body, len(found))
    version = rng.choice([b"", b"", b"/versions/" + model.version.encode()])
    path = b"/v2/models/%b%b/infer" % (model.name.encode(), version)
    kind = rng.choice([JSON, b"application/octet-stream"]) if tail else JSON
    return Shot("v2", path, body, tail, ((b"Content-Type", kind),))


def rows(rng: random.Random, model: Model) -> list[list[Any]]:
    """A few rows, seldom many."""
    return [row(rng, model) for _ in range(rng.choice([1, 1, 1, 2, 3, 5, 40]))]


def row(rng: random.Random, model: Model) -> list[Any]:
    """A row that is right."""
    if rng.random() < 0.2:
        return list(rng.choice(model.samples))
    return [value(rng, column) for column in model.columns]


def value(rng: random.Random, column: Column) -> Any:
    """A value of a column."""
    if rng.random() < 0.1 and (column.missing or column.fill is not None):
        return None
    if column.kind == "category":
        return rng.choice([*column.categories, "gold", "", "\u00fc\U0001d11e"])
    if column.kind == "boolean":
        return rng.random() < 0.5
    if column.kind == "date":
        return rng.choice(DATES)
    kind = rng.randrange(6)
    if kind == 0:
        return rng.randrange(-3, 90)
    if kind == 1:
        return rng.uniform(-1e6, 1e6) if rng.random() < 0.5 else rng.uniform(0, 100)
    return rng.randrange(1, 160) / 20  # just where trees of iris split


def _instances(rng: random.Random, model: Model) -> list[Any]:
    return rows(rng, model) if rng.random() < 0.6 else _named(rng, model)


def _named(rng: random.Random, model: Model, *, spare: bool = False) -> list[dict[str, Any]]:
    named = [dict(zip(model.names, each, strict=True)) for each in rows(rng, model)]
    if spare and rng.random() < 0.3:
        named[0]["spare"] = rng.choice([1, "x", None, [1]])
    return named


def _columns(rng: random.Random, model: Model) -> dict[str, Any]:
    found = rows(rng, model)
    columns: dict[str, Any] = dict(zip(model.names, map(list, zip(*found, strict=True)), strict=True))
    if len(found) == 1 and rng.random() < 0.3:
        return {name: cells[0] for name, cells in columns.items()}
    return columns


def _nan(found: Any) -> Any:
    """NaN where null is, as pandas writes it."""
    if found is None:
        return Raw("NaN")
    if isinstance(found, dict):
        return {name: _nan(each) for name, each in found.items()}
    return [_nan(each) for each in found] if isinstance(found, list) else found


def _add_options(rng: random.Random, model: Model, body: dict[str, Any], key: str) -> None:
    given: dict[str, Any] = {}
    if rng.random() < 0.2:
        given["return_probabilities"] = bool(model.classes) and rng.random() < 0.7
    (first,) = body.values() if len(body) == 1 else (None,)
    if model.task == "forecast" and isinstance(first, list) and len(first) == 1 and rng.random() < 0.5:
        given["horizon"] = rng.choice([1, 2, 5])
    if rng.random() < 0.1:
        given["unknown"] = [1, {"a": None}]
    if given or rng.random() < 0.1:
        body[key] = given


def _add_v2_options(rng: random.Random, model: Model, body: dict[str, Any], count: int) -> None:
    if rng.random() < 0.4:
        body["id"] = rng.choice(["1", "", "ä\u0000\U0001d11e", 'a"b\\'])
    parameters: dict[str, Any] = {}
    if rng.random() < 0.2:
        parameters["binary_data_output"] = rng.random() < 0.5
    if model.task == "forecast" and count == 1 and rng.random() < 0.4:
        parameters["horizon"] = rng.choice([1, 2, 5])
    if parameters:
        body["parameters"] = parameters
    if rng.random() < 0.4:
        names = ["predict", "predict_proba"][: 1 + bool(model.classes)]
        outputs: list[dict[str, Any]] = [{"name": name} for name in rng.sample(names, rng.randrange(1, len(names) + 1))]
        if rng.random() < 0.5:
            outputs[0]["parameters"] = {"binary_data": rng.random() < 0.7}
        body["outputs"] = outputs


def _datatype(rng: random.Random, column: Column | None) -> str:
    if column is None or column.kind == "numeric":
        return rng.choice(["FP32", "FP32", "FP64", "FP64", "FP16"])
    return "BOOL" if column.kind == "boolean" else "BYTES"


FORMATS = {
    "BOOL": "?",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
"""What `struct` calls the datatypes of V2."""


def _packed(datatype: str, cells: list[Any]) -> bytes | None:
    """The bytes of a tensor; None if there are none for such values."""
    try:
        if datatype == "BYTES":
            texts = [cell.encode() for cell in cells]
            return b"".join([struct.pack("<I", len(text)) + text for text in texts])
        numbers = [float("nan") if cell is None else cell for cell in cells]
        return struct.pack(f"<{len(numbers)}{FORMATS[datatype]}", *numbers)
    except (AttributeError, struct.error, OverflowError):
        return None


def _csv(rng: random.Random, model: Model) -> Shot:
    order = rng.sample(range(len(model.columns)), len(model.columns))
    end = rng.choice(["\n", "\r\n"])
    lines = [",".join(model.names[i] for i in order)]
    lines += [",".join(_cell(each[i]) for i in order) for each in rows(rng, model)]
    text = end.join(lines) + rng.choice(["", end])
    kind = rng.choice([b"text/csv", b"text/csv; charset=utf-8", b"Text/CSV"])
    return Shot("mlflow", b"/invocations", body=text.encode(), headers=((b"Content-Type", kind),))


def _cell(found: Any) -> str:
    if found is None:
        return ""
    if isinstance(found, bool):
        return str(found).lower()
    text = str(found)
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\r\n') else text


def _chunks(body: bytes, sizes: tuple[int, ...]) -> Iterator[bytes]:
    at = 0
    turns = iter(sizes)
    while at < len(body):
        part = body[at : at + next(turns, 1 << 16)]
        yield b"%x\r\n%b\r\n" % (len(part), part)
        at += len(part)
    yield b"0\r\n\r\n"
