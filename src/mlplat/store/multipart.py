"""A version as a body of multipart/form-data: the manifest, then its files, in constant memory (RFC 7578)."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import uuid4

from mlplat.bundle.manifest import Manifest
from mlplat.errors import CorruptError
from mlplat.objects.files import explain
from mlplat.store.meter import metered

BLOCK = 1 << 20


class Multipart:
    """A body whose length is known before it is sent. It may be gone through more than once.

    Args:
        manifest: of the version.
        sealed: its bytes as they are stored.
        files: where each file is now.
    """

    def __init__(self, manifest: Manifest, sealed: bytes, files: Mapping[str, Path]) -> None:
        boundary = uuid4().hex
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._files = [(_head(boundary, name), manifest.files[name].bytes, path) for name, path in files.items()]
        self._first = _head(boundary, "manifest", "application/json").removeprefix(b"\r\n") + sealed
        self._last = f"\r\n--{boundary}--\r\n".encode()
        self.length = len(self._first) + sum(len(head) + size for head, size, _ in self._files) + len(self._last)

    def __iter__(self) -> Iterator[bytes]:
        """The body in blocks.

        Raises:
            CorruptError: if a file is not as long as its manifest says any more.
        """
        return metered(self._blocks(), "uploading", total=self.length)

    def _blocks(self) -> Iterator[bytes]:
        yield self._first
        for head, size, path in self._files:
            yield head
            yield from _read(path, size)
        yield self._last


def _head(boundary: str, name: str, kind: str = "application/octet-stream") -> bytes:
    """The start of a part; names of files hold nothing that would have to be escaped."""
    disposition = f'form-data; name="{name}"; filename="{name}"'
    return f"\r\n--{boundary}\r\nContent-Disposition: {disposition}\r\nContent-Type: {kind}\r\n\r\n".encode()


def _read(path: Path, size: int) -> Iterator[bytes]:
    left = size
    try:
        with path.open("rb") as stream:
            while block := stream.read(min(BLOCK, left)):
                left -= len(block)
                yield block
    except OSError as error:
        raise explain(error, "read", str(path)) from error
    if left:
        raise CorruptError(f"{path} changed while it was sent.")
