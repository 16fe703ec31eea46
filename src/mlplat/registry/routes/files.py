"""`.../manifest` and `.../files/{file}`: the bytes themselves, whole or in part, in constant memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import SEEK_END
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Header, Path, Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from mlplat import logs
from mlplat.bundle.manifest import sha256_of
from mlplat.errors import CorruptError, MlplatError, NotFoundError
from mlplat.registry import lookup, ranges
from mlplat.registry.answers import answer
from mlplat.registry.bodies import Failure
from mlplat.registry.routes.asking import Asking, ModelName, VersionName, errors
from mlplat.registry.service import Service
from mlplat.store import keys

BLOCK = 1 << 20
OCTETS = "application/octet-stream"

FileName = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$", description="Name of the file.")]
Sent = Annotated[str | None, Header()]
BYTES: dict[str, Any] = {"content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}}}


def file_routes(service: Service) -> APIRouter:
    """The routes of what a version consists of."""
    routes = APIRouter(prefix="/models/{name}/versions/{version}", tags=["files"])

    @routes.get(
        "/manifest",
        response_class=Response,
        responses={200: {"content": {"application/json": {}}}, 304: {}, **errors(404)},
    )
    def manifest(author: Asking, name: ModelName, version: VersionName, if_none_match: Sent = None) -> Response:
        """The manifest as it is stored, byte for byte."""
        author.caller.require_sight(name)
        return send_manifest(service, name, version, if_none_match)

    @routes.get(
        "/files/{file}",
        response_class=Response,
        responses={200: BYTES, 206: BYTES, 304: {}, 416: {}, **errors(404)},
    )
    @routes.head("/files/{file}", include_in_schema=False)
    def download(  # noqa: PLR0917
        request: Request,
        author: Asking,
        name: ModelName,
        version: VersionName,
        file: FileName,
        range_: Annotated[str | None, Header(alias="Range")] = None,
        if_range: Sent = None,
        if_none_match: Sent = None,
    ) -> Response:
        """A file, or the part of it that `Range` asks for."""
        author.caller.require_sight(name)
        conditions = Conditions(range_, if_range, if_none_match)
        return send_file(service, name, version, file, conditions, head=request.method == "HEAD")

    return routes


@dataclass(frozen=True)
class Conditions:
    """What a request says about the part that it wants, and what the client has: the headers, as they were sent."""

    range: str | None = None
    if_range: str | None = None
    if_none_match: str | None = None


def send_manifest(service: Service, name: str, version: str, if_none_match: str | None) -> Response:
    """The answer with a manifest.

    Raises:
        NotFoundError: if there is no such version.
        CorruptError: if it is not the one that the catalogue knows.
    """
    sha256 = lookup.version(service, name, version).sha256
    headers = _headers(sha256)
    if ranges.matches(if_none_match, sha256):
        return Response(status_code=304, headers=headers)
    try:
        data = service.store.objects.get(keys.manifest(name, version))
    except NotFoundError as error:
        raise lookup.no_version(service, name, version) from error
    if sha256_of(data) != sha256:
        raise CorruptError(f"The manifest of {name!r} {version!r} is damaged: its hash does not match.")
    return Response(data, media_type="application/json", headers=headers)


def send_file(
    service: Service, name: str, version: str, file: str, conditions: Conditions, *, head: bool = False
) -> Response:
    """The answer with a file, or with the part of it that is asked for.

    Raises:
        NotFoundError: if there is no such version, or it has no such file.
        CorruptError: if the store does not have it as it was published.
    """
    files = lookup.version(service, name, version).files
    if file not in files:
        known = ", ".join(sorted(files))
        raise NotFoundError(f"{name!r} {version!r} has no file {file!r}.", hint=f"It has {known}.")
    found = _File(name, version, file, files[file]["sha256"], files[file]["bytes"])
    if ranges.matches(conditions.if_none_match, found.sha256):
        return Response(status_code=304, headers=found.headers)
    part = ranges.span(conditions.range, conditions.if_range, found.sha256, found.size)
    return _send(service, found, part, head=head)


@dataclass(frozen=True)
class _File:
    """A file of a version, as the catalogue knows it."""

    model: str
    version: str
    name: str
    sha256: str
    size: int

    @property
    def headers(self) -> dict[str, str]:
        return _headers(self.sha256) | {
            "Accept-Ranges": "bytes",
            "Content-Disposition": f'attachment; filename="{self.name}"',
        }

    def __str__(self) -> str:
        return f"The file {self.name!r} of {self.model!r} {self.version!r}"


def _headers(sha256: str) -> dict[str, str]:
    return {"ETag": f'"{sha256}"', "Cache-Control": "private, no-cache"}


def _send(service: Service, file: _File, part: ranges.Span | None, *, head: bool) -> Response:
    """The answer with a file, or with a part of it."""
    if part is not None and part.end <= part.start:
        body = Failure(error=f"{file} has {file.size} bytes.", code="range")
        return answer(body, 416, {"Content-Range": f"bytes */{file.size}"})
    span = part or ranges.Span(0, file.size)
    headers = file.headers | {"Content-Length": str(span.end - span.start)}
    if part is not None:
        headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{file.size}"
    status = 200 if part is None else 206
    if head:
        _open(service, file).close()
        return Response(status_code=status, headers=headers, media_type=OCTETS)
    return _Streamed(_open(service, file), span, status, headers)


class _Streamed(StreamingResponse):
    """The bytes of a span, from a stream that is closed however the answer ends: also before its first byte."""

    def __init__(self, reader: BinaryIO, span: ranges.Span, status: int, headers: dict[str, str]) -> None:
        super().__init__(_blocks(reader, span), status, headers, media_type=OCTETS)
        self._reader = reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._reader.close()


def _open(service: Service, file: _File) -> BinaryIO:
    """The stream of a file, which must have its size; its hash is for the client to check."""
    try:
        reader = service.store.objects.open_reader(keys.file(file.model, file.sha256))
    except NotFoundError as error:
        raise CorruptError(f"{file} is missing from the store.", hint="Restore it.") from error
    if reader.seek(0, SEEK_END) != file.size:
        reader.close()
        raise CorruptError(f"{file} is damaged: its size is another one.", hint="Restore it.")
    return reader


def _blocks(reader: BinaryIO, span: ranges.Span) -> Iterator[bytes]:
    """The bytes of a span. If the store goes meanwhile, the connection is cut, so that no client takes them for all."""
    reader.seek(span.start)
    left = span.end - span.start
    try:
        while left and (block := reader.read(min(BLOCK, left))):
            left -= len(block)
            yield block
    except MlplatError as error:
        logs.get().error("download_cut", reason=str(error))
        raise
