"""`/audit`: who did what, for admins of all models."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime

from mlplat.registry.answers import answer
from mlplat.registry.audit import list_changes
from mlplat.registry.bodies import Change, Page
from mlplat.registry.routes.asking import Admin, Part, Word, errors
from mlplat.registry.service import Service

Moment = Annotated[AwareDatetime | None, Query()]


def audit_routes(service: Service) -> APIRouter:
    """The route of the audit log."""
    routes = APIRouter(tags=["audit"])

    @routes.get("/audit", response_model=Page[Change], responses=errors(403))
    def list_(  # noqa: PLR0917
        author: Admin,  # noqa: ARG001 - refuses others
        part: Part,
        model: Word = None,
        who: Word = None,
        action: Word = None,
        since: Moment = None,
        until: Moment = None,
    ) -> Response:
        """Every write, the newest first."""
        with service.database.read() as connection:
            found = list_changes(connection, part, model=model, who=who, action=action, since=since, until=until)
        return answer(found)

    return routes
