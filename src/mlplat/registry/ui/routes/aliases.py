"""The page of an alias: its history, and the form that rolls it back."""

from typing import Annotated

from fastapi import APIRouter, Form, Response
from starlette.responses import RedirectResponse

from mlplat.errors import RequestError
from mlplat.registry import catalogue, lookup
from mlplat.registry.keyset import Slice
from mlplat.registry.routes.asking import AliasName, ModelName
from mlplat.registry.service import Service
from mlplat.registry.ui.moving import move
from mlplat.registry.ui.paths import query
from mlplat.registry.ui.rendering import page
from mlplat.registry.ui.routes.models import Cursor
from mlplat.registry.ui.visits import Sending, Visit, Visiting


def alias_pages(service: Service) -> APIRouter:
    """The pages about aliases."""
    routes = APIRouter(prefix="/ui/models/{name}/aliases", include_in_schema=False)

    @routes.get("/{alias}")
    def show(visit: Visiting, name: ModelName, alias: AliasName, moved: str = "", cursor: Cursor = None) -> Response:
        """What an alias names and named, the newest first."""
        return _show(service, visit, name, alias, moved=bool(moved), cursor=cursor)

    @routes.post("/{alias}")
    def roll_back(  # noqa: PLR0917
        visit: Sending,
        name: ModelName,
        alias: AliasName,
        version: Annotated[str, Form()] = "",
        reason: Annotated[str, Form()] = "",
        seen: Annotated[int, Form(ge=0, lt=10**9)] = 0,
    ) -> Response:
        """Let the alias name a version that it named before."""
        visit.known.caller.require_sight(name)
        try:
            move(service, visit, name, alias, version, reason=reason, seen=seen)
        except RequestError as error:
            if error.status == 403:
                raise
            return _show(service, visit, name, alias, problem=error, version=version, reason=reason)
        return RedirectResponse(f"{visit.root}ui/models/{name}/aliases/{alias}{query(moved='1')}", 303)

    return routes


def _show(
    service: Service,
    visit: Visit,
    name: str,
    alias: str,
    *,
    moved: bool = False,
    cursor: str | None = None,
    problem: RequestError | None = None,
    version: str = "",
    reason: str = "",
) -> Response:
    """The page of an alias; with a problem, its form is as it was sent, but knows what the alias names now."""
    visit.known.caller.require_sight(name)
    current = lookup.alias(service, name, alias)
    with service.database.read() as connection:
        history = catalogue.list_moves(connection, name, alias, Slice(cursor=cursor))
        named = dict.fromkeys(move.version for move in history.items)
        there = catalogue.metrics_of(connection, name, named)
    return page(
        visit,
        "alias.html",
        status=200 if problem is None else problem.status,
        name=name,
        current=current,
        moves=history.items,
        there=there,
        choices=[each for each in named if each != current.version and each in there],
        moved=moved,
        problem=problem,
        version=version,
        reason=reason,
        is_first=cursor is None,
        following=history.next and query(cursor=history.next),
    )
