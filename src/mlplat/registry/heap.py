"""The memory of the process."""

import ctypes
from contextlib import suppress


def give_back() -> None:
    """Give what was freed back to the system, of which glibc keeps much where many threads took it in turn."""
    with suppress(AttributeError):  # other C libraries may not have it
        ctypes.CDLL(None).malloc_trim(0)
