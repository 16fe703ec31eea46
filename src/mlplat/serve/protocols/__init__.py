"""The wire protocols: one module each."""

from mlplat.serve.protocols.base import JSON, Answer, Message, Protocol, Question, Request
from mlplat.serve.protocols.kserve import KServe
from mlplat.serve.protocols.mlflow import MLflow
from mlplat.serve.protocols.openinference import OpenInference
from mlplat.serve.protocols.plain import Plain
from mlplat.serve.rows import Limits

PROTOCOLS: tuple[type[Protocol], ...] = (Plain, KServe, OpenInference, MLflow)

SHAPES: dict[str, type[Protocol]] = {"/v1": KServe, "/v2": OpenInference, "/invocations": MLflow}
"""Whose errors are answered below a path, where no protocol answers itself; elsewhere those of `Plain`."""

__all__ = [
    "JSON",
    "PROTOCOLS",
    "Answer",
    "KServe",
    "Limits",
    "MLflow",
    "Message",
    "OpenInference",
    "Plain",
    "Protocol",
    "Question",
    "Request",
    "shape_of",
]


def shape_of(path: str) -> type[Protocol]:
    """The protocol in whose shape an error at a path is answered."""
    for start, protocol in SHAPES.items():
        if path == start or path.startswith(start + "/"):
            return protocol
    return Plain
