"""The fixtures of servers, for clients that were written by others."""

from tests.unit.conftest import trained
from tests.unit.serve.conftest import start

__all__ = ["start", "trained"]
