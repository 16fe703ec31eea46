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


class Unsplit(Counted):
    """A stream of which no read ends between a carriage return and its line feed.

    There Arrow takes the line feed for the rest of a line end and drops it, also inside of a quoted cell.
    """

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream)
        self._held = b""

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, of at least 2."""
        more = super().read(max(size - len(self._held), -1))
        data = self._held + more
        self._held = b"\r" if more and len(data) > 1 and data.endswith(b"\r") else b""
        return data.removesuffix(self._held)
