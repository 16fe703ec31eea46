"""How far a bench is, for who waits for it."""

import sys
import time

BEGAN = time.perf_counter()


def say(text: str) -> None:
    """Progress, to standard error."""
    print(f"{time.perf_counter() - BEGAN:4.0f} s  {text}", file=sys.stderr, flush=True)
