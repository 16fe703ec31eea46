"""The wire protocols: one module each."""

from mlplat.serve.protocols.base import Answer, Limits, Protocol, Question, Request
from mlplat.serve.protocols.plain import Plain

PROTOCOLS: tuple[type[Protocol], ...] = (Plain,)

__all__ = ["PROTOCOLS", "Answer", "Limits", "Plain", "Protocol", "Question", "Request"]
