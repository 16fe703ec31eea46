"""Waiting for a condition, with a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

NAP_SECONDS = 0.25


def poll(condition: Callable[[], Found | None], what: str, seconds: float = 60.0) -> Found:
    """What the condition gives, as soon as it is true.

    Raises:
        AssertionError: if it is not in time.
    """
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"waited {seconds:g} s until {what}"
        time.sleep(NAP_SECONDS)
    return found
