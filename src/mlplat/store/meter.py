"""How far a transfer is that takes long."""

import time
from collections.abc import Iterable, Iterator

from mlplat import logs

EVERY_SECONDS = 5.0


def metered(blocks: Iterable[bytes], event: str, *, total: int, start: int = 0) -> Iterator[bytes]:
    """The same blocks; every few seconds a line of the log says how far they are.

    Args:
        blocks: of a transfer.
        event: what it is, for the log.
        total: bytes of the whole.
        start: bytes that went before.
    """
    done, said = start, time.monotonic()
    for block in blocks:
        yield block
        done += len(block)
        if time.monotonic() - said >= EVERY_SECONDS:
            said = time.monotonic()
            logs.get().info(event, bytes=done, of=total, percent=100 * done // max(1, total))
