"""The page of a version, with the form that promotes it, and the comparison of two."""

import re
from typing import Annotated

from fastapi import APIRouter, Form, Query, Response
from starlette.responses import RedirectResponse

from mlplat.errors import RequestError
from mlplat.registry import catalogue, changes, lookup
from mlplat.registry.bodies import AliasMove, VersionPatch
from mlplat.registry.routes.asking import ModelName, VersionName
from mlplat.registry.service import Service
from mlplat.registry.ui import cards, charts, comparison, samples, tagging
from mlplat.registry.ui.moving import move
from mlplat.registry.ui.paths import query
from mlplat.registry.ui.rendering import page
from mlplat.registry.ui.visits import Sending, Visit, Visiting

CHAMPION = "champion"
MOST_MOVES = 20
SEEN = re.compile(r"([A-Za-z0-9._-]{1,63}):([0-9]{1,9})")


def version_pages(service: Service) -> APIRouter:
    """The pages about versions."""
    routes = APIRouter(prefix="/ui/models/{name}", include_in_schema=False)

    @routes.get("/versions/{version}")
    def show(visit: Visiting, name: ModelName, version: VersionName, moved: str = "") -> Response:
        """A version, with all that is known about it."""
        return _show(service, visit, name, version, moved=moved)

    @routes.post("/versions/{version}")
    def promote(  # noqa: PLR0917
        visit: Sending,
        name: ModelName,
        version: VersionName,
        alias: Annotated[str, Form()] = "",
        reason: Annotated[str, Form()] = "",
        seen: Annotated[list[str], Form()] = [],  # noqa: B006
    ) -> Response:
        """Let an alias name this version."""
        visit.known.caller.require_sight(name)
        alias = alias.strip()
        try:
            move(service, visit, name, alias, version, reason=reason, seen=_numbers(seen).get(alias, 0))
        except RequestError as error:
            if error.status == 403:
                raise
            return _show(service, visit, name, version, problem=error, alias=alias, reason=reason)
        back = f"{visit.root}ui/models/{name}/versions/{version}{query(moved=alias)}"
        return RedirectResponse(back, 303)

    @routes.post("/versions/{version}/tags")
    def tag_version(
        visit: Sending,
        name: ModelName,
        version: VersionName,
        tags: Annotated[str, Form()] = "",
        before: Annotated[str, Form()] = "",
    ) -> Response:
        """Replace the tags of a version."""
        visit.known.caller.require_sight(name)
        visit.known.caller.require_model(name)
        try:
            asked = VersionPatch(tags=tagging.read(tags))
            changes.patch_version(service, visit.known, name, version, asked, seen=tagging.shown(before))
        except RequestError as error:
            return _show(service, visit, name, version, problem=error, tags=tags)
        return RedirectResponse(f"{visit.root}ui/models/{name}/versions/{version}", 303)

    @routes.get("/compare")
    def compare(
        visit: Visiting, name: ModelName, left: Annotated[str, Query()] = "", right: Annotated[str, Query()] = ""
    ) -> Response:
        """Two versions side by side."""
        visit.known.caller.require_sight(name)
        if not left or not right:
            raise RequestError("Choose two versions to compare, one as A and one as B.")
        pair = lookup.version(service, name, left), lookup.version(service, name, right)
        return page(
            visit,
            "compare.html",
            name=name,
            left=pair[0],
            right=pair[1],
            metrics=comparison.metrics(*pair),
            facts=comparison.facts(*pair),
        )

    return routes


def _show(
    service: Service,
    visit: Visit,
    name: str,
    version: str,
    *,
    moved: str = "",
    problem: RequestError | None = None,
    alias: str = "",
    reason: str = "",
    tags: str | None = None,
) -> Response:
    """The page of a version; with a problem, the form is as it was sent, but knows what the aliases name now."""
    visit.known.caller.require_sight(name)
    found = lookup.version(service, name, version)
    with service.database.read() as connection:
        aliases = catalogue.list_aliases(connection, name)
        other = _other(aliases, version)
        theirs = {} if other is None else catalogue.metrics_of(connection, name, [other.version])
        moves = catalogue.list_moves_of(connection, name, version, MOST_MOVES + 1)
    return page(
        visit,
        "version.html",
        status=200 if problem is None else problem.status,
        version=found,
        aliases=aliases,
        other=other,
        theirs={} if other is None else theirs.get(other.version, {}),
        better=comparison.better,
        drawings=charts.recorded(found.charts, found.classes),
        columns=found.features.get("columns", []),
        card=None if found.card is None else cards.render(found.card),
        card_left=max(len(found.card or "") - cards.MOST_CHARACTERS, 0),
        samples=samples.read(service, name, version),
        moves=moves[:MOST_MOVES],
        more_moves=len(moves) > MOST_MOVES,
        suggested="" if CHAMPION in found.aliases or (aliases and CHAMPION not in aliases) else CHAMPION,
        moved=aliases.get(moved),
        problem=problem,
        alias=alias,
        reason=reason,
        is_tagging=tags is not None,
        tag_lines=tagging.lines(found.tags) if tags is None else tags,
    )


def _other(aliases: dict[str, AliasMove], version: str) -> AliasMove | None:
    """The alias to compare a version with: the champion, or else the first one that names another version."""
    ordered = sorted(aliases.values(), key=lambda move: move.alias != CHAMPION)
    return next((move for move in ordered if move.version != version), None)


def _numbers(seen: list[str]) -> dict[str, int]:
    """The number of the last move of each alias, as the form has it: `champion:7`."""
    return {found[1]: int(found[2]) for found in map(SEEN.fullmatch, seen) if found}
