"""Ways to spoil a request: its JSON, its bytes, its head, its framing."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from bench.fuzzing.models import Model
from bench.fuzzing.shots import COMPRESS, HEADER_LENGTH, JSON, Pairs, Raw, Shot, right, write

ODD: Sequence[Any] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2,
    0.0,
    Raw("-0"),
    Raw("-0.0"),
    0.5,
    1e-400,
    5e-324,
    1e-45,
    65504,
    65520.0,
    2**31,
    2**53 - 1,
    2**53,
    2**53 + 1,
    -(2**63),
    2**63,
    2**64,
    float(2**53),
    9007199254740993.0,
    3.4028234e38,
    3.4028236e38,
    -3.5e38,
    1e300,
    Raw("1e400"),
    Raw("-1e999"),
    Raw("1" * 400),
    Raw("1" * 5000),
    Raw("NaN"),
    Raw("Infinity"),
    Raw("-Infinity"),
    Raw("01"),
    Raw("+1"),
    Raw("1."),
    Raw(".5"),
    Raw("0x10"),
    Raw("1_0"),
    Raw("nan"),
    Raw("True"),
    Raw("None"),
    Raw(""),
    Raw("'a'"),
    "",
    "1",
    "1.5",
    "nan",
    "NaN",
    "NaT",
    "true",
    "basic",
    " basic",
    "input",
    "predict",
    "features",
    "FP32",
    "BYTES",
    "\u0000",
    "%s%d%b{0}",
    "\u202e\U0001d11e\ufeff",
    "x" * 5000,
    Raw(r'"\ud800"'),
    Raw(r'"\udc00\ud800"'),
    Raw(r'"\u00"'),
    Raw('"\x01"'),
    Raw('"\t"'),
    Raw('"\ud800"'),  # three bytes that are no UTF-8
    "2026-02-30",
    "2026-W01-1",
    "20260131",
    "0001-01-01",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59.999999-23:59",
    "2026-01-31T24:00:00",
    "2026-01-31T08:00:00Z ",
    [],
    {},
    [[]],
    [None],
    [1],
    [{}],
    {"a": 1},
    {"": None},
    {"0": 5.1},
    Raw("[" * 100 + "]" * 100),
    Raw('{"a":' * 100 + "1" + "}" * 100),
    Raw("[" * 100_000),
    Raw('{"a":' * 5000),
)

WORDS = (
    "features",
    "values",
    "horizon",
    "return_probabilities",
    "instances",
    "inputs",
    "outputs",
    "parameters",
    "params",
    "signature_name",
    "data",
    "columns",
    "index",
    "name",
    "shape",
    "datatype",
    "id",
    "binary_data_size",
    "binary_data_output",
    "binary_data",
    "classification",
    "shared_memory_region",
    "dataframe_split",
    "dataframe_records",
    "predict_proba",
    "unknown",
    "",
)

PIECES = (
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf5\x80\x80\x80",
    b"\xef\xbb\xbf",
    b"\x00",
    b"\r\n",
    b"\r\n\r\n",
    b'"',
    b"\\",
    b"{",
    b"]",
    b",",
    b":",
    b"NaN",
    b"1e999",
    b"null",
    b"/*x*/",
    b"\xe2\x80\xa8",
    b"0\r\n\r\n",
    b"HTTP/1.1",
    b": ",
    b"\t",
    b" ",
)

TYPES = (
    b"",
    JSON,
    b"APPLICATION/JSON; charset=utf-8",
    b"application/json;",
    b"application/vnd.api+json",
    b"text/csv",
    b"text/csv; charset=latin-1",
    b"text/csv; charset=UTF-8; header=present",
    b"text/plain",
    b"application/octet-stream",
    b"multipart/form-data; boundary=x",
    b"application/x-www-form-urlencoded",
    b"*/*",
    b"\xff\xfe",
    b"a" * 3000,
)

HEADERS: Sequence[tuple[bytes, Sequence[bytes]]] = (
    (b"Content-Type", TYPES),
    (b"Content-Encoding", (b"gzip", b"GZIP", b"deflate", b"zstd", b"br", b"identity", b"", b"gzip, gzip", b"\xff")),
    (b"X-Request-Timeout", (b"30", b"1e3", b"0", b"-1", b"nan", b"inf", b"", b"1_0", b"abc", b"\xb2", b"9" * 400)),
    (
        HEADER_LENGTH,
        (b"0", b"1", b"-1", b"10", b"99999999999", b"9" * 30, b"", b"1e2", b"+5", b" 7", b"\xb2", b"0x10", b"120"),
    ),
    (b"Authorization", (b"", b"Bearer", b"Bearer x", b"Basic !!!", b"Basic YTpi", b"\xff")),
    (b"X-API-Key", (b"", b"\xff" * 50)),
    (b"Accept", (b"*/*", b"text/html", b"application/xml;q=0", b"\xff")),
    (b"Accept-Encoding", (b"gzip", b"*;q=0", b"\xff")),
    (b"Expect", (b"100-continue", b"200-ok")),
    (b"Upgrade", (b"websocket", b"h2c")),
    (b"Cookie", (b"a=b; c", b"\xff" * 100)),
    (b"traceparent", (b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", b"\xff", b"x" * 500)),
    (b"Connection", (b"keep-alive", b"Upgrade")),
    (b"Host", (b"", b"a:b:c", b"[::1]:80")),
    (b"X-Forwarded-For", (b"1.2.3.4, \xff",)),
    (b"Range", (b"bytes=0-1",)),
    (b"If-None-Match", (b"*",)),
)

METHODS = (b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE", b"PROPFIND")

PATHS = (
    b"/",
    b"/predict",
    b"/predict/",
    b"/predict?x=%00",
    b"/%70redict",
    b"//predict",
    b"/predict%ff",
    b"/invocations",
    b"/health",
    b"/healthz?%",
    b"/ready",
    b"/ping",
    b"/metrics",
    b"/version",
    b"/drift",
    b"/docs",
    b"/docs/../predict",
    b"/docs/swagger-ui.css",
    b"/docs/%2e%2e%2f",
    b"/openapi.json",
    b"/v1/models",
    b"/v1/models/iris",
    b"/v1/models/iris:predict",
    b"/v1/models/iris:explain",
    b"/v1/models/%69ris/versions/v1:predict",
    b"/v1/models/other:predict",
    b"/v1/models/%00:predict",
    b"/v1/models/%ff%fe:predict",
    b"/v2",
    b"/v2/health/live",
    b"/v2/health/ready",
    b"/v2/models/iris",
    b"/v2/models/iris/ready",
    b"/v2/models/iris/infer",
    b"/v2/models/iris/versions/v1/infer",
    b"/v2/models/iris/versions/v9/infer",
    b"/v2/models/%F0%9D%84%9E/infer",
    b"/v2/models/" + b"a" * 3000 + b"/infer",
    b"/v2/repository/index",
    b"http://other/predict",
    b"*",
    b"/none?" + b"q" * 4000,
)


def shoot(rng: random.Random, model: Model, protocols: Sequence[str]) -> Shot:
    """A request that HTTP can carry: right, or spoiled in one to three ways."""
    shot = right(rng, model, rng.choice(protocols))
    for _ in range(rng.choice([0, 0, 1, 1, 1, 2, 3])):
        shot = spoil(rng, shot)
    if rng.random() < 0.15 and b"content-encoding" not in {name.lower() for name, _ in shot.headers}:
        shot = replace(shot, coding=rng.choice(list(COMPRESS)))
    if rng.random() < 0.1:
        shot = replace(shot, chunks=tuple(rng.choice([1, 2, 17, 400]) for _ in range(rng.randrange(1, 8))))
    return shot


def stream(rng: random.Random, model: Model, protocols: Sequence[str]) -> bytes:
    """Bytes for a connection of their own: requests that are spoiled as bytes, or no requests at all."""
    if rng.random() < 0.1:
        return bytes(rng.randrange(256) for _ in range(rng.choice([1, 10, 100, 400])))
    data = b"".join([shoot(rng, model, protocols).data() for _ in range(rng.choice([1, 1, 1, 2, 3]))])
    for _ in range(rng.choice([0, 1, 1, 2, 5])):
        data = spoil_head(rng, data) if rng.random() < 0.6 else spoil_bytes(rng, data)
    return data


def spoil(rng: random.Random, shot: Shot) -> Shot:
    """Spoil one thing of a request, such that it can be sent and has one answer."""
    kind = rng.randrange(10)
    if kind < 6 and shot.body is None:
        return replace(shot, tree=spoil_tree(rng, shot.tree))
    if kind < 8:
        return _spoil_body(rng, shot)
    if kind == 8:
        name, values = rng.choice(HEADERS)
        return shot.with_header(name, rng.choice(values))
    if rng.random() < 0.5:
        return replace(shot, method=rng.choice(METHODS))
    return replace(shot, path=rng.choice(PATHS))


def spoil_tree(rng: random.Random, tree: Any) -> Any:
    """Change one value, key or list somewhere in JSON."""
    if rng.random() < 0.02:
        return rng.choice(ODD)
    if isinstance(tree, dict):
        tree = Pairs(tree.items())
    if isinstance(tree, Raw) or not isinstance(tree, list) or not tree or rng.random() < 0.25:
        return _replaced(rng, tree)
    at = rng.randrange(len(tree))
    if isinstance(tree, Pairs):
        name, found = tree[at]
        return Pairs([*tree[:at], (name, spoil_tree(rng, found)), *tree[at + 1 :]])
    return [*tree[:at], spoil_tree(rng, tree[at]), *tree[at + 1 :]]


def spoil_bytes(rng: random.Random, data: bytes) -> bytes:
    """Cut, double, flip, or put something in."""
    if not data:
        return rng.choice(PIECES)
    at = rng.randrange(len(data))
    size = rng.choice([1, 1, 2, 8, 64])
    changes: list[Callable[[], bytes]] = [
        lambda: data[:at],
        lambda: data[:at] + data[at + size :],
        lambda: data[:at] + data[at : at + size] * 2 + data[at + size :],
        lambda: data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :],
        lambda: data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :],
        lambda: data[:at] + rng.choice(PIECES) + data[at:],
        lambda: data[:at] + rng.choice(PIECES) + data[at + size :],
    ]
    return rng.choice(changes)()


def spoil_head(rng: random.Random, data: bytes) -> bytes:
    """Change the first line, a header, or how long the body is said to be, without minding the rest."""
    head, end, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    at = rng.randrange(len(lines))
    changes: list[Callable[[], list[bytes]]] = [
        lambda: [*lines[:at], *lines[at + 1 :]],
        lambda: [*lines[:at], lines[at], *lines[at:]],
        lambda: [*lines[:at], spoil_bytes(rng, lines[at]), *lines[at + 1 :]],
        lambda: [*lines, rng.choice(FRAMING)],
        lambda: [*lines, _header(rng)],
        lambda: [lines[0].replace(b"HTTP/1.1", rng.choice(VERSIONS)), *lines[1:]],
        lambda: [b"%b %b HTTP/1.1" % (rng.choice(METHODS), rng.choice(PATHS)), *lines[1:]],
        lambda: [*lines, b"X-Long: " + b"a" * rng.choice([1000, 15_000, 20_000])],
        lambda: [*lines, *(b"X-%d: y" % number for number in range(rng.choice([50, 300])))],
    ]
    separator = rng.choice([b"\r\n"] * 9 + [b"\n"])
    return separator.join(rng.choice(changes)()) + end + body


FRAMING = (
    b"Content-Length: 0",
    b"Content-Length: 5",
    b"Content-Length: 99999",
    b"Content-Length: -1",
    b"Content-Length: +5",
    b"Content-Length: 0x10",
    b"Content-Length: 5, 5",
    b"Content-Length: 99999999999999999999999",
    b"Content-Length:",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:\tchunked",
    b"Connection: close",
    b"Connection: keep-alive, close",
    b"Connection: Upgrade",
    b"Expect: 100-continue",
    b" folded: line",
    b"no colon",
    b": no name",
    b"Na me: x",
)

VERSIONS = (b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.10", b"http/1.1", b"HTTP/", b"")


def _header(rng: random.Random) -> bytes:
    name, values = rng.choice(HEADERS)
    return name + b": " + rng.choice(values)


def _spoil_body(rng: random.Random, shot: Shot) -> Shot:
    """Spoil the bytes of a body; its length is said as it is then."""
    if rng.random() < 0.5 and shot.tail:
        return replace(shot, tail=spoil_bytes(rng, shot.tail))
    body = write(shot.tree).encode("utf-8", "surrogatepass") if shot.body is None else shot.body
    if shot.tail:
        shot = shot.with_header(HEADER_LENGTH, b"%d" % len(body))
    kind = rng.randrange(12)
    if kind == 0:
        body = bytes(rng.randrange(256) for _ in range(rng.choice([0, 1, 30, 300])))
    elif kind == 1:
        body = body.decode("utf-8", "replace").encode(rng.choice(["utf-16", "utf-16-le", "utf-8-sig", "utf-32"]))
    elif kind == 2:  # what was compressed is spoiled
        coding = rng.choice([b"gzip", b"deflate", b"zstd"])
        body = spoil_bytes(rng, COMPRESS[coding](body + shot.tail))
        return replace(shot.with_header(b"Content-Encoding", coding), body=body, tree=None, tail=b"")
    elif kind == 3:  # several parts, or none
        coding = rng.choice([b"gzip", b"deflate", b"zstd"])
        cut = rng.randrange(len(body) + 1)
        parts = [body[:cut], body[cut:], *([b""] * rng.choice([0, 3, 100]))]
        packed = b"".join(map(COMPRESS[coding], parts))
        return replace(shot.with_header(b"Content-Encoding", coding), body=packed, tree=None, tail=b"")
    else:
        body = spoil_bytes(rng, body)
    return replace(shot, body=body, tree=None)


def _replaced(rng: random.Random, found: Any) -> Any:
    """Something else instead of a value."""
    kind = rng.randrange(10)
    if kind < 4 or (not isinstance(found, list) and kind > 6):
        return rng.choice(ODD)
    if kind == 4:
        return [found]
    if kind == 5:
        return {rng.choice(WORDS): found}
    if kind == 6:
        return Raw(write(write(found)))  # as a string
    if not found:
        return [None]
    at = rng.randrange(len(found))
    if isinstance(found, Pairs):
        name, item = found[at]
        changes = [
            [*found[:at], *found[at + 1 :]],
            [*found, (name, rng.choice(ODD))],
            [*found, (rng.choice(WORDS), rng.choice(ODD))],
            [*found[:at], (name.upper() + " ", item), *found[at + 1 :]],
            [*found[:at], (rng.choice(WORDS), item), *found[at + 1 :]],
            found[::-1],
        ]
        return Pairs(rng.choice(changes))
    lists = [
        [*found[:at], *found[at + 1 :]],
        [*found, found[at]],
        [*found, rng.choice(ODD)],
        found[::-1],
        [],
        found * rng.choice([2, 40, 101]) if len(found) < 20 else found,
        [item for each in found for item in (each if isinstance(each, list) else [each])],
    ]
    return rng.choice(lists)
