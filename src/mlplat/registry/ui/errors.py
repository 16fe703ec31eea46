"""Errors as pages: the answer that a program would get, in the same words and with the same status."""

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from mlplat.registry.answers import JSONAnswer
from mlplat.registry.bodies import Failure
from mlplat.registry.ui.paths import ROOT, is_page
from mlplat.registry.ui.rendering import page
from mlplat.registry.ui.visits import Visit, stranger

Handler = Callable[[Request, Exception], Coroutine[Any, Any, Response]]

TITLES = {
    401: "Log in first",
    403: "Not allowed",
    404: "Not found",
    405: "Not like this",
    408: "Too slow",
    409: "In conflict",
    412: "Changed meanwhile",
    413: "Too large",
    503: "Away for a moment",
}


def shown(handler: Handler) -> Handler:
    """A handler of errors that answers for people where a page was asked for."""

    async def handle(request: Request, error: Exception) -> Response:
        return as_page(request.scope, await handler(request, error))

    return handle


def as_page(scope: Scope, refusal: Response) -> Response:
    """An answer with an error, as a page if one was asked for; who must log in first is led there, and back."""
    if not is_page(scope["path"]) or not isinstance(refusal, JSONAnswer):
        return refusal
    visit: Visit = scope.get("state", {}).get("visit") or stranger(scope)
    status = refusal.status_code
    if status == 401 and scope["method"] == "GET":
        return RedirectResponse(f"{visit.root}ui/login?next={quote(_onward(scope), safe='')}", 303)
    failure = Failure.model_validate_json(bytes(refusal.body))
    title = TITLES.get(status, "This failed" if status >= 500 else "Not understood")
    kept = {name: value for name, value in refusal.headers.items() if name in {"retry-after", "allow", "connection"}}
    return page(visit, "error.html", status=status, headers=kept, title=title, failure=failure)


def _onward(scope: Scope) -> str:
    """What follows `ui` in the address that was asked for."""
    raw: bytes = scope["raw_path"].removeprefix(ROOT.encode())
    query: bytes = scope["query_string"]
    return (raw + (b"?" + query if query else b"")).decode("latin-1")
