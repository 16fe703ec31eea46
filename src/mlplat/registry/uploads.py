"""Receiving a version as multipart/form-data: the manifest, then its files, each hashed while it is written.

Nothing is unpickled, and nothing is kept unless it is just what the manifest says.
"""

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from mlplat.bundle.manifest import FileEntry, Manifest, parse
from mlplat.errors import OverloadedError, RequestError, SchemaError
from mlplat.objects.files import explain
from mlplat.store.seal import SEAL, is_sealed

MANIFEST = "manifest"
MANIFEST_BYTES = 16 << 20
HEAVY_BYTES = 1 << 20
"""A larger manifest takes so much memory that only few are received at a time."""

MOST_FILES = 1000
PREFIX = "mlplat-upload-"
STALE_SECONDS = 86_400
"""A folder that is so old is of an upload that was killed."""

ROOM_AFTER = 10
"""After so many seconds another upload may have made room."""

ENCODINGS = {"", "binary", "8bit", "7bit"}
"""Content-Transfer-Encoding: what leaves the bytes as they are."""


class Room:
    """The space for uploads; what was announced and has not arrived yet counts as used.

    Args:
        folder: of the uploads.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._announced = 0

    @contextmanager
    def reserve(self, size: int) -> Iterator[Callable[[int], None]]:
        """Keep space for an upload, which says by what is yielded how many bytes of it arrived.

        Raises:
            OverloadedError: if there is not so much.
            StoreError: if the folder is gone.
        """
        try:
            free = shutil.disk_usage(self._folder).free - self._announced
        except OSError as error:
            raise explain(error, "read", str(self._folder)) from error
        if size > free:
            raise OverloadedError("There is no room for this upload beside others now.", retry_after=ROOM_AFTER)
        left = size
        self._announced += size

        def arrived(number: int) -> None:
            nonlocal left
            some = min(number, left)
            left -= some
            self._announced -= some

        try:
            yield arrived
        finally:
            self._announced -= left


class Upload:
    """Takes the bytes of a body, block by block, and keeps the files in a folder of its own.

    Args:
        content_type: of the request, with the boundary.
        folder: in which the files' folder is made.
        admit: is given the manifest before any file is received, and refuses it by an error.

    Raises:
        RequestError: if the boundary is missing or none.
    """

    def __init__(self, content_type: str, folder: Path, admit: Callable[[Manifest], None]) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise _refused("Content-Type: expected multipart/form-data with a boundary.")
        self.manifest: Manifest | None = None
        self.files: dict[str, Path] = {}
        self.is_heavy = False
        self._admit = admit
        self._headers: dict[bytes, bytes] = {}
        self._field = self._value = b""
        self._text = bytearray()
        self._part: _File | None = None
        self._ended = False
        handlers: dict[str, Any] = {
            "on_part_begin": self._begin,
            "on_header_field": self._on_field,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header,
            "on_headers_finished": self._start,
            "on_part_data": self._on_data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }
        try:
            self._parser = MultipartParser(boundary, handlers)  # type: ignore[arg-type]
        except FormParserError as error:
            raise _refused(f"Content-Type: {error}.") from error
        try:
            self.folder = Path(mkdtemp(prefix=PREFIX, dir=folder))
        except OSError as error:
            raise explain(error, "write", str(folder)) from error

    def write(self, block: bytes) -> None:
        """Take the next bytes.

        Raises:
            RequestError: 422, naming the part that is not as the manifest says.
            StoreError: if they cannot be written.
        """
        try:
            self._parser.write(block)
        except FormParserError as error:
            raise _refused(f"The body is not multipart/form-data: {error}.") from error
        except OSError as error:
            raise explain(error, "write", str(self.folder)) from error

    def result(self) -> Manifest:
        """The manifest, when all has arrived.

        Raises:
            RequestError: if something is missing.
        """
        if self.manifest is None or not self._ended:
            raise _refused("The body ended early.")
        missing = sorted(self.manifest.files.keys() - self.files.keys())
        if missing:
            raise _refused(f"The file {missing[0]!r}, which the manifest names, is missing.")
        return self.manifest

    def close(self) -> None:
        """Remove all that was received."""
        if self._part is not None:
            self._part.stream.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _begin(self) -> None:
        self._headers = {}

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        if self._field.lower() in self._headers:
            raise _refused("A part has the same header twice.")
        self._headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def _start(self) -> None:
        """Open what the headers of a part announce."""
        name = self._name()
        encoding = self._headers.get(b"content-transfer-encoding", b"").decode("latin-1").strip().lower()
        if encoding not in ENCODINGS:
            raise _refused(f"The part {name!r} has the Content-Transfer-Encoding {encoding[:40]!r}; expected binary.")
        if self.manifest is None:
            if name != MANIFEST:
                raise _refused(f"The first part is {name!r}; expected {MANIFEST!r}.")
            return
        entry = self.manifest.files.get(name)
        if entry is None:
            raise _refused(f"The manifest names no file {name!r}.")
        if name in self.files:
            raise _refused(f"The file {name!r} was sent twice.")
        self._part = _File(name, entry, self.folder / f"{len(self.files)}")

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._part is not None:
            self._part.write(data[start:end])
            return
        if len(self._text) + end - start > MANIFEST_BYTES:
            raise RequestError(
                f"The manifest is larger than {MANIFEST_BYTES} bytes.", status=413, code="body_too_large"
            )
        self._text += data[start:end]
        self.is_heavy = len(self._text) > HEAVY_BYTES

    def _end(self) -> None:
        if self._part is not None:
            self.files[self._part.name] = self._part.done()
            self._part = None
            return
        self.manifest = _manifest(bytes(self._text))
        self._text.clear()
        self._admit(self.manifest)

    def _finish(self) -> None:
        self._ended = True

    def _name(self) -> str:
        kind, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"")
        if kind != b"form-data" or not name:
            raise _refused("A part has no name.")
        return name.decode("utf-8", "replace")[:200]


class _File:
    """A file that is being received."""

    def __init__(self, name: str, entry: FileEntry, path: Path) -> None:
        self.name = name
        self.stream: BinaryIO = path.open("xb")
        self._entry = entry
        self._path = path
        self._hash = hashlib.sha256()
        self._bytes = 0

    def write(self, data: bytes) -> None:
        """Take bytes, but not more than there should be."""
        self._bytes += len(data)
        if self._bytes > self._entry.bytes:
            raise _refused(f"The file {self.name!r} is larger than the {self._entry.bytes} bytes of the manifest.")
        self._hash.update(data)
        self.stream.write(data)

    def done(self) -> Path:
        """Where the whole file is."""
        self.stream.close()
        if self._bytes != self._entry.bytes:
            raise _refused(f"The file {self.name!r} has {self._bytes} bytes; the manifest says {self._entry.bytes}.")
        if self._hash.hexdigest() != self._entry.sha256:
            raise _refused(f"The file {self.name!r} is not the one of the manifest: its hash differs.")
        return self._path


def remove_stale(folder: Path) -> int:
    """Remove what killed uploads left; how many these were."""
    removed = 0
    for path in folder.glob(f"{PREFIX}*"):
        with suppress(FileNotFoundError):  # another one was faster
            if path.stat().st_mtime < time.time() - STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
                removed += 1
    return removed


def _manifest(data: bytes) -> Manifest:
    try:
        manifest = parse(data, source=MANIFEST)
    except SchemaError as error:
        raise _refused(str(error)) from error
    if SEAL.search(data) and not is_sealed(data):
        raise _refused("The manifest is damaged: its checksum does not match.")
    if len(manifest.files) > MOST_FILES:
        raise _refused(f"The manifest names {len(manifest.files)} files; expected {MOST_FILES} at most.")
    return manifest


def _refused(text: str) -> RequestError:
    return RequestError(text, code="bad_upload")
