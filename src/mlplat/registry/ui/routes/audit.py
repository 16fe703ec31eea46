"""The page of the audit log, for admins of all models."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response

from mlplat.errors import RequestError
from mlplat.registry.audit import list_changes
from mlplat.registry.keyset import Slice
from mlplat.registry.routes.asking import Word
from mlplat.registry.service import Service
from mlplat.registry.ui.paths import query
from mlplat.registry.ui.rendering import page
from mlplat.registry.ui.routes.models import Cursor
from mlplat.registry.ui.visits import Visiting

ACTIONS = (
    "alias.end",
    "alias.move",
    "alias.stay",
    "key.create",
    "key.revoke",
    "model.create",
    "model.delete",
    "model.patch",
    "version.create",
    "version.delete",
    "version.patch",
)
Day = Annotated[str, Query(max_length=10)]


def audit_pages(service: Service) -> APIRouter:
    """The page of who did what."""
    routes = APIRouter(prefix="/ui", include_in_schema=False)

    @routes.get("/audit")
    def show(  # noqa: PLR0917
        visit: Visiting,
        model: Word = None,
        who: Word = None,
        action: Word = None,
        since: Day = "",
        until: Day = "",
        cursor: Cursor = None,
    ) -> Response:
        """Every write, the newest first; both days count."""
        visit.known.caller.require_all()
        wanted = {"model": model or None, "who": who or None, "action": action or None}
        with service.database.read() as connection:
            found = list_changes(
                connection,
                Slice(cursor=cursor),
                since=_day("since", since),
                until=_day("until", until, after=1),
                **wanted,
            )
        asked = {**wanted, "since": since, "until": until}
        return page(
            visit,
            "audit.html",
            changes=found.items,
            asked=asked,
            actions=ACTIONS,
            is_first=cursor is None,
            first=query(**asked),
            following=found.next and query(**asked, cursor=found.next),
        )

    return routes


def _day(name: str, text: str, *, after: int = 0) -> datetime | None:
    """When a day begins, or one some days after it, in UTC; None if none is given. Raises RequestError."""
    if not text:
        return None
    try:
        return datetime.combine(date.fromisoformat(text) + timedelta(days=after), time.min, UTC)
    except (ValueError, OverflowError) as error:
        raise RequestError(f"{name}: found {text!r}, expected a day such as 2026-01-31.") from error
