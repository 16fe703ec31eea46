"""Byte streams for Arrow."""

from typing import BinaryIO


class Counted:
    """A stream that knows how far it was read, from any thread."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.position = 0
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes."""
        data = self._stream.read(size)
        self.position += len(data)
        return data

    def seekable(self) -> bool:
        """It is read once, from its start to its end."""
        return False

    def readable(self) -> bool:
        """It is."""
        return True

    def writable(self) -> bool:
        """It is not."""
        return False

    def close(self) -> None:
        """Whoever opened the stream closes it."""
        self.closed = True
