"""`/ui`, the list of models, and the page of each."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Response
from starlette.responses import RedirectResponse

from mlplat.errors import RequestError
from mlplat.registry import catalogue, changes, lookup
from mlplat.registry.bodies import ModelPatch
from mlplat.registry.cursors import LONGEST
from mlplat.registry.keyset import Slice
from mlplat.registry.routes.asking import ModelName, Sorting, Tag, Word
from mlplat.registry.service import Service
from mlplat.registry.ui import charts, tagging
from mlplat.registry.ui.paths import query
from mlplat.registry.ui.rendering import page
from mlplat.registry.ui.visits import Sending, Visit, Visiting

MOST_METRICS = 4
"""So many metrics are columns of the table of versions."""

SORTS = {"name": "name", "-updated_at": "last changed", "-created_at": "newest"}
Text = Annotated[str, Query(max_length=400)]
Cursor = Annotated[str | None, Query(max_length=LONGEST)]


def model_pages(service: Service) -> APIRouter:
    """The pages about models."""
    routes = APIRouter(prefix="/ui", include_in_schema=False)

    @routes.get("")
    def models(  # noqa: PLR0917
        visit: Visiting,
        q: Text = "",
        owner: Word = None,
        tag: Tag = [],  # noqa: B006
        sort: Sorting = "name",
        cursor: Cursor = None,
    ) -> Response:
        """The models that the key may see, or those that words find."""
        pattern = visit.known.caller.pattern
        part = Slice(cursor=cursor)
        with service.database.read() as connection:
            if q.strip():
                found = catalogue.search_models(connection, q, part, pattern=pattern)
            else:
                found = catalogue.list_models(
                    connection, part, sort=sort, pattern=pattern, owner=owner or None, tags=tag
                )
        return page(
            visit,
            "models.html",
            models=found.items,
            q=q,
            owner=owner,
            tag=tag,
            sort=sort,
            sorts=SORTS,
            is_first=cursor is None,
            first=query(q=q, owner=owner, tag=tag, sort=sort),
            following=found.next and query(q=q, owner=owner, tag=tag, sort=sort, cursor=found.next),
        )

    @routes.get("/models/{name}")
    def model(
        visit: Visiting, name: ModelName, metric: Text = "", sort: Sorting = "-created_at", cursor: Cursor = None
    ) -> Response:
        """A model: what people say of it, its aliases, its versions."""
        return _show(service, visit, name, metric=metric, sort=sort, cursor=cursor)

    @routes.post("/models/{name}/tags")
    def tag_model(
        visit: Sending, name: ModelName, tags: Annotated[str, Form()] = "", before: Annotated[str, Form()] = ""
    ) -> Response:
        """Replace the tags of a model."""
        visit.known.caller.require_sight(name)
        visit.known.caller.require_model(name)
        try:
            asked = ModelPatch(tags=tagging.read(tags))
            changes.patch_model(service, visit.known, name, asked, seen=tagging.shown(before))
        except RequestError as error:
            return _show(service, visit, name, problem=error, tags=tags)
        return RedirectResponse(f"{visit.root}ui/models/{name}", 303)

    return routes


def _show(
    service: Service,
    visit: Visit,
    name: str,
    *,
    metric: str = "",
    sort: str = "-created_at",
    cursor: str | None = None,
    problem: RequestError | None = None,
    tags: str | None = None,
) -> Response:
    """The page of a model; with a problem, its form is as it was sent, but knows what the tags are now."""
    visit.known.caller.require_sight(name)
    found = lookup.model(service, name)
    conditions = [metric] if metric.strip() else []
    with service.database.read() as connection:
        aliases = catalogue.list_aliases(connection, name)
        listed = catalogue.list_versions(connection, name, Slice(cursor=cursor), sort=sort, conditions=conditions)
    return page(
        visit,
        "model.html",
        status=200 if problem is None else problem.status,
        model=found,
        aliases=aliases,
        versions=listed.items,
        metrics=charts.metric_names(listed.items),
        most_metrics=MOST_METRICS,
        metric=metric,
        sort=sort,
        is_first=cursor is None,
        first=query(metric=metric, sort=sort),
        following=listed.next and query(metric=metric, sort=sort, cursor=listed.next),
        problem=problem,
        tag_lines=tagging.lines(found.tags) if tags is None else tags,
    )
