"""What is asked: seeded rows of flowers and of customers, as requests of each protocol, byte for byte as they are sent."""

import json
import math
import random
from array import array
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

Rows = Sequence[Sequence[float]]
Customer = dict[str, float | str]

SPECIES = (((5.0, 3.4, 1.5, 0.2), 0.3), ((5.9, 2.8, 4.3, 1.3), 0.4), ((6.6, 3.0, 5.6, 2.0), 0.5))
"""About where each of the three species of iris lies, and how widely it is spread."""

KEY = "bench-key"


class Protocol(StrEnum):
    """How a server is asked."""

    PREDICT = "/predict"
    V1 = "KServe V1"
    V2_JSON = "Open Inference V2, JSON"
    V2_BINARY = "Open Inference V2, binary"
    MLFLOW = "MLflow"


def flowers(count: int, seed: int = 7) -> list[list[float]]:
    """Measurements of irises of all three species."""
    drawn = random.Random(seed)
    out = []
    for _ in range(count):
        center, spread = drawn.choice(SPECIES)
        out.append([round(max(0.1, drawn.gauss(value, spread)), 1) for value in center])
    return out


def customers(count: int, seed: int = 7) -> list[Customer]:
    """Customers with two categories, and whether they left, for which all columns but `payment` matter."""
    drawn = random.Random(seed)
    out: list[Customer] = []
    for _ in range(count):
        age, calls = drawn.randint(18, 80), drawn.randint(0, 8)
        charges, tenure = round(drawn.uniform(15, 150), 2), drawn.randint(0, 72)
        contract = drawn.choice(["monthly", "one year", "two years"])
        odds = 0.03 * (charges - 80) - 0.05 * (tenure - 24) + 0.5 * (calls - 4) - 0.01 * (age - 45)
        odds += {"monthly": 0.5, "one year": -0.5, "two years": -1.5}[contract]
        out.append(
            {
                "age": age,
                "monthly_charges": charges,
                "tenure_months": tenure,
                "support_calls": calls,
                "contract": contract,
                "payment": drawn.choice(["card", "invoice", "transfer"]),
                "churn": "yes" if drawn.random() < 1 / (1 + math.exp(-odds)) else "no",
            }
        )
    return out


def floats(rows: Rows) -> bytes:
    """The rows as little-endian float32, one after the other."""
    return array("f", [value for row in rows for value in row]).tobytes()


def get(path: str) -> bytes:
    """A GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def post(path: str, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """A POST request."""
    own = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = {**own, **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def question(
    protocol: Protocol, model: str, rows: Rows, *, path: str = "/predict", headers: Mapping[str, str] | None = None
) -> bytes:
    """The request that asks for the classes and probabilities of some flowers.

    `path` is where a server of the protocol `/predict` is asked; `headers` go beside the protocol's own.
    """
    if protocol is Protocol.V2_BINARY:
        return _v2_binary(model, rows, headers or {})
    bodies: dict[Protocol, Callable[[], tuple[str, Any]]] = {
        Protocol.PREDICT: lambda: (
            path,
            {"features": rows[0]} if len(rows) == 1 else {"features": rows, "return_probabilities": True},
        ),
        Protocol.V1: lambda: (f"/v1/models/{model}:predict", {"instances": rows}),
        Protocol.V2_JSON: lambda: (
            f"/v2/models/{model}/infer",
            {"inputs": [_tensor(rows) | {"data": [value for row in rows for value in row]}]},
        ),
        Protocol.MLFLOW: lambda: ("/invocations", {"inputs": rows}),
    }
    where, body = bodies[protocol]()
    return post(where, compact(body), headers)


def compact(value: Any) -> bytes:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":")).encode()


def _tensor(rows: Rows) -> dict[str, Any]:
    return {"name": "input", "shape": [len(rows), len(rows[0])], "datatype": "FP32"}


def _v2_binary(model: str, rows: Rows, headers: Mapping[str, str]) -> bytes:
    """As the binary tensor extension of the protocol wants it: JSON, and the tensor right behind."""
    data = floats(rows)
    tensor = _tensor(rows) | {"parameters": {"binary_data_size": len(data)}}
    head = compact({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    own = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    return post(f"/v2/models/{model}/infer", head + data, {**own, **headers})
