"""`/ui`, the list of models, and the page of each."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from mlplat.registry import catalogue, lookup
from mlplat.registry.cursors import LONGEST
from mlplat.registry.keyset import Slice
from mlplat.registry.routes.asking import ModelName, Sorting, Tag, Word
from mlplat.registry.service import Service
from mlplat.registry.ui import charts
from mlplat.registry.ui.paths import query
from mlplat.registry.ui.rendering import page
from mlplat.registry.ui.visits import Visiting

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
        visit.known.caller.require_sight(name)
        found = lookup.model(service, name)
        conditions = [metric] if metric.strip() else []
        with service.database.read() as connection:
            aliases = catalogue.list_aliases(connection, name)
            listed = catalogue.list_versions(connection, name, Slice(cursor=cursor), sort=sort, conditions=conditions)
        return page(
            visit,
            "model.html",
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
        )

    return routes
