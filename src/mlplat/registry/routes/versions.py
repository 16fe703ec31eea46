"""`/models/{name}/versions`: lists, creates by an upload or by name, changes tags, deletes."""

from asyncio import Lock, wait_for
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Body, Header, Query, Request, Response
from pydantic import ValidationError
from sqlalchemy import Connection

from mlplat.bundle.manifest import Manifest
from mlplat.errors import OverloadedError, RequestError
from mlplat.registry import changes, deletions, encoded, lookup
from mlplat.registry.answers import JSONAnswer, sentence
from mlplat.registry.audit import Author
from mlplat.registry.bodies import Deletion, NewVersion, Page, Version, VersionDetail, VersionPatch
from mlplat.registry.edge import BODY_BYTES, too_large
from mlplat.registry.heap import give_back
from mlplat.registry.idempotency import Answer, Keep, once
from mlplat.registry.routes.asking import Asking, ModelName, Part, Sorting, Tag, VersionName, Word, errors
from mlplat.registry.routes.models import IdempotencyKey, repeatable
from mlplat.registry.service import Service
from mlplat.registry.uploads import Room, Upload

BLOCK = 1 << 20
"""So many bytes of an upload are handed to a thread at once."""

TURN_SECONDS = 20.0
"""How long an upload with a heavy manifest may wait for its turn: one is received at a time."""

Conditions = Annotated[
    list[Annotated[str, Query(max_length=300)]],
    Query(alias="metric", max_length=10, description="A condition such as accuracy>=0.9; may be repeated."),
]


@dataclass(frozen=True)
class _Limits:
    """What uploads share: the turn of one with a heavy manifest, and the room for all."""

    turn: Lock
    room: Room


CREATE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": NewVersion.model_json_schema()},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "description": "First the manifest, then each file under its name in the manifest.",
                    "required": ["manifest"],
                    "properties": {"manifest": {"type": "string", "contentMediaType": "application/json"}},
                    "additionalProperties": {"type": "string", "contentMediaType": "application/octet-stream"},
                }
            },
        },
    }
}


def version_routes(service: Service) -> APIRouter:
    """The routes of versions."""
    routes = APIRouter(prefix="/models/{name}/versions", tags=["versions"])
    limits = _Limits(Lock(), Room(service.uploads))

    @routes.get("", response_model=Page[Version], responses=errors(404))
    def list_(  # noqa: PLR0917
        author: Asking,
        name: ModelName,
        part: Part,
        tag: Tag = [],  # noqa: B006
        metric: Conditions = [],  # noqa: B006
        task: Word = None,
        recipe: Word = None,
        sort: Sorting = "-created_at",
    ) -> Response:
        """The versions of a model. Sort: created_at, published_at, version or metric:NAME."""
        author.caller.require_sight(name)
        wanted: dict[str, Any] = {"sort": sort, "task": task, "recipe": recipe, "tags": tag, "conditions": metric}
        with service.database.read() as connection:
            return JSONAnswer(encoded.list_versions(connection, name, part, **wanted))

    @routes.post(
        "",
        status_code=201,
        response_model=VersionDetail,
        responses={200: {"model": VersionDetail, "description": "it was there"}, **errors(403, 404, 409, 413, 415)},
        openapi_extra=CREATE,
    )
    async def create(
        request: Request,
        author: Asking,
        name: ModelName,
        key: IdempotencyKey = None,
        content_type: Annotated[str, Header(include_in_schema=False)] = "",
    ) -> Response:
        """Publish a version by sending its files, or take one that is in the store already into the catalogue."""
        author.caller.require_model(name)
        kind = content_type.partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            return await _receive(service, limits, author, name, request, content_type, key)
        if kind != "application/json":
            raise RequestError(
                "Content-Type: expected multipart/form-data or application/json.", status=415, code="media_type"
            )
        asked = await _asked(request)
        return await to_thread.run_sync(_adopt, service, author, name, asked.version, key)

    @routes.get("/{version}", response_model=VersionDetail, responses=errors(404))
    def get(author: Asking, name: ModelName, version: VersionName) -> Response:
        """One version, with all that its manifest says but for samples and baseline."""
        author.caller.require_sight(name)
        return JSONAnswer(lookup.encoded_version(service, name, version))

    @routes.patch("/{version}", response_model=VersionDetail, responses=errors(403, 404))
    def patch(author: Asking, name: ModelName, version: VersionName, asked: VersionPatch) -> Response:
        """Change the tags of a version; all else of it never changes."""
        author.caller.require_model(name)
        changes.patch_version(service, author, name, version, asked)
        return JSONAnswer(lookup.encoded_version(service, name, version))

    @routes.delete("/{version}", status_code=204, responses=errors(403, 404, 409))
    def delete(
        author: Asking, name: ModelName, version: VersionName, asked: Annotated[Deletion | None, Body()] = None
    ) -> Response:
        """Delete a version for good: its name is not used again. Refused while an alias names it."""
        author.caller.require_model(name, "admin")
        deletions.delete_version(service, author, name, version, asked.reason if asked else "")
        return Response(status_code=204)

    return routes


async def _receive(  # noqa: PLR0917
    service: Service,
    limits: _Limits,
    author: Author,
    name: str,
    request: Request,
    content_type: str,
    key: str | None,
) -> Response:
    """Receive an upload in blocks, in constant memory; what was received is removed however it ends."""

    def admit(manifest: Manifest) -> None:
        changes.check_new(service, manifest, name)

    async with AsyncExitStack() as stack:
        size = request.headers.get("content-length", "0")
        arrived = stack.enter_context(limits.room.reserve(int(size[:20]) if size.isdigit() else 0))
        upload = await to_thread.run_sync(Upload, content_type, service.uploads, admit)
        stack.push_async_callback(to_thread.run_sync, upload.close)
        block = bytearray()
        has_turn = False
        async for part in request.stream():
            block += part
            if len(block) >= BLOCK:
                await to_thread.run_sync(upload.write, bytes(block))
                arrived(len(block))
                block.clear()
                if upload.is_heavy and not has_turn:
                    has_turn = await stack.enter_async_context(_held(limits.turn))
        await to_thread.run_sync(upload.write, bytes(block))
        manifest = upload.result()
        return await to_thread.run_sync(_publish, service, author, manifest, upload, key)


@asynccontextmanager
async def _held(turn: Lock) -> AsyncIterator[bool]:
    """Wait for a turn, and hold it.

    Raises:
        OverloadedError: if there is none in time.
    """
    try:
        await wait_for(turn.acquire(), TURN_SECONDS)
    except TimeoutError:
        raise OverloadedError("Another version with a large manifest is being received.", retry_after=5) from None
    try:
        yield True
        await to_thread.run_sync(give_back)
    finally:
        turn.release()


def _publish(service: Service, author: Author, manifest: Manifest, upload: Upload, key: str | None) -> Response:
    def act(keep: Keep) -> None:
        changes.publish(service, author, manifest, upload.files, _kept_by(keep))

    sent = b"" if key is None else manifest.to_json()  # which may be large, and is compared only with a key
    request = f"POST /models/{manifest.model}/versions multipart ".encode() + sent
    found = once(service.database, author.caller.identity, key, request, act)
    return repeatable(found, f"/models/{manifest.model}/versions/{manifest.version}")


def _adopt(service: Service, author: Author, name: str, version: str, key: str | None) -> Response:
    def act(keep: Keep) -> None:
        changes.adopt(service, author, name, version, _kept_by(keep))

    request = f"POST /models/{name}/versions {version}".encode()
    found = once(service.database, author.caller.identity, key, request, act)
    return repeatable(found, f"/models/{name}/versions/{version}")


def _kept_by(keep: Keep) -> changes.Made:
    """Let the answer to a create be kept."""

    def made(connection: Connection, version: bytes, is_new: bool) -> None:
        keep(connection, Answer(201 if is_new else 200, version.decode()))

    return made


async def _asked(request: Request) -> NewVersion:
    """The JSON body, which no framework reads for a route that takes uploads, too."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > BODY_BYTES:
            raise too_large(BODY_BYTES)
    try:
        return NewVersion.model_validate_json(bytes(body))
    except ValidationError as error:
        problem = error.errors()[0]
        if problem["type"] == "json_invalid":
            raise RequestError(f"The body is not JSON: {problem['ctx']['error']}.") from error
        raise RequestError(sentence({**problem, "loc": ("body", *problem["loc"])})) from error
