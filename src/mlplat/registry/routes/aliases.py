"""`/models/{name}/aliases`: what each names, moves under a condition, and the history."""

from typing import Annotated

from fastapi import APIRouter, Body, Header, Response
from pydantic import TypeAdapter

from mlplat.errors import RequestError
from mlplat.registry import catalogue, changes, deletions, lookup, ranges
from mlplat.registry.answers import JSONAnswer, answer
from mlplat.registry.bodies import AliasMove, Deletion, NewMove, Page, Stay
from mlplat.registry.routes.asking import AliasName, Asking, ModelName, Part, errors
from mlplat.registry.service import Service
from mlplat.store.aliases import AliasLog

MOVES = TypeAdapter(dict[str, AliasMove])
Condition = Annotated[str | None, Header()]


def alias_routes(service: Service) -> APIRouter:
    """The routes of aliases."""
    routes = APIRouter(prefix="/models/{name}/aliases", tags=["aliases"])

    @routes.get("", response_model=dict[str, AliasMove], responses=errors(404))
    def list_(author: Asking, name: ModelName) -> Response:
        """The aliases of a model, and the last move of each."""
        author.caller.require_sight(name)
        with service.database.read() as connection:
            found = catalogue.list_aliases(connection, name)
        if not found:
            lookup.model(service, name)
        return JSONAnswer(MOVES.dump_json(found))

    @routes.get("/{alias}", response_model=AliasMove, responses={304: {}, **errors(404)})
    def get(author: Asking, name: ModelName, alias: AliasName, if_none_match: Condition = None) -> Response:
        """What an alias names now."""
        author.caller.require_sight(name)
        move = lookup.alias(service, name, alias)
        if ranges.matches(if_none_match, str(move.number)):
            return Response(status_code=304, headers=_etag(move))
        return answer(move, headers=_etag(move))

    @routes.put(
        "/{alias}",
        response_model=AliasMove,
        responses={201: {"model": AliasMove, "description": "it is new"}, **errors(403, 404, 409, 412)},
    )
    def put(  # noqa: PLR0917
        author: Asking,
        name: ModelName,
        alias: AliasName,
        asked: NewMove,
        if_match: Condition = None,
        if_none_match: Condition = None,
    ) -> Response:
        """Let an alias name a version: with If-Match only after that very move, with `If-None-Match: *` only if it is new."""
        author.caller.require_model(name)
        after = _after(service, name, alias, if_match, if_none_match)
        move, made = changes.move_alias(service, author, name, alias, asked.version, reason=asked.reason, after=after)
        return answer(move, 201 if made else 200, _etag(move))

    @routes.delete("/{alias}", status_code=204, responses=errors(403, 404))
    def delete(
        author: Asking, name: ModelName, alias: AliasName, asked: Annotated[Deletion | None, Body()] = None
    ) -> Response:
        """End an alias, so that what it named may be deleted; who follows it keeps what it has."""
        author.caller.require_model(name, "admin")
        deletions.end_alias(service, author, name, alias, asked.reason if asked else "")
        return Response(status_code=204)

    @routes.get("/{alias}/history", response_model=Page[AliasMove], responses=errors(404))
    def history(author: Asking, name: ModelName, alias: AliasName, part: Part) -> Response:
        """All moves of an alias, the newest first, and why there were none."""
        author.caller.require_sight(name)
        lookup.alias(service, name, alias)
        with service.database.read() as connection:
            return answer(catalogue.list_moves(connection, name, alias, part))

    @routes.post("/{alias}/stays", status_code=201, response_model=AliasMove, responses=errors(403, 404, 409))
    def stay(author: Asking, name: ModelName, alias: AliasName, asked: Stay) -> Response:
        """Say in the history of an alias why it is not moved."""
        author.caller.require_model(name)
        move = changes.keep_alias(service, author, name, alias, asked.reason)
        return answer(move, 201, _etag(move))

    return routes


def _etag(move: AliasMove) -> dict[str, str]:
    return {"ETag": f'"{move.number}"'}


def _after(service: Service, name: str, alias: str, if_match: str | None, if_none_match: str | None) -> int | None:
    """The number that the last move must have, as the conditions say.

    Raises:
        RequestError: 412, if no move can have it.
    """
    if if_none_match is not None:
        if ranges.tags(if_none_match) is not None:
            raise RequestError("If-None-Match: expected *, for an alias that is new.")
        return 0
    if if_match is None:
        return None
    current = AliasLog(service.store.objects, name, alias).current()
    number = 0 if current is None else current.number
    named = ranges.tags(if_match)
    wanted = {int(tag) for strong, tag in named or () if strong and tag.isascii() and tag.isdigit() and len(tag) < 10}
    if number and (named is None or number in wanted):
        return number
    if len(wanted) == 1 and number:
        return wanted.pop()  # the store says so with who was faster, unless it names the version already
    raise RequestError(f"The alias {alias!r} of {name!r} is not at that move.", status=412, code="changed")
