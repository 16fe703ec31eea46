"""The log-in and the log-out."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from starlette.responses import RedirectResponse

from mlplat.errors import RequestError
from mlplat.registry import sessions
from mlplat.registry.service import Service
from mlplat.registry.ui import forgery, visits
from mlplat.registry.ui.paths import is_way_on
from mlplat.registry.ui.rendering import page
from mlplat.registry.ui.visits import Anyone, Sending, Visit
from mlplat.store.aliases import utc_now

MOST_KEY = 1000


def entrance(service: Service) -> APIRouter:
    """The routes of who comes and goes."""
    routes = APIRouter(prefix="/ui", include_in_schema=False)

    @routes.get("/login")
    def ask(visit: Anyone, onward: Annotated[str, Query(alias="next")] = "") -> Response:
        """The form to log in."""
        return _form(visit, onward)

    @routes.post("/login")
    def log_in(
        request: Request,
        visit: Anyone,
        key: Annotated[str, Form()] = "",
        onward: Annotated[str, Form(alias="next")] = "",
        form: Annotated[str, Form()] = "",
    ) -> Response:
        """Begin a session. A key that is none, revoked or expired is answered alike."""
        forgery.require_token(visit.secret, form)
        try:
            token = sessions.begin(service.database, service.keys, key.strip()[:MOST_KEY], utc_now())
        except RequestError as error:
            if error.status != 401:
                raise
            return _form(visit, onward, problem="This key opens nothing: it is wrong, revoked or expired.")
        if visit.is_session:
            sessions.end(service.database, visit.secret)
        answer = RedirectResponse(f"{visit.root}ui{onward if is_way_on(onward) else ''}", 303)
        visits.let_in(answer, token, secure=visits.is_secure(request))
        return answer

    @routes.post("/logout")
    def log_out(visit: Sending) -> Response:
        """End a session."""
        if visit.is_session:
            sessions.end(service.database, visit.secret)
        answer = RedirectResponse(f"{visit.root}ui/login", 303)
        visits.let_out(answer)
        return answer

    return routes


def _form(visit: Visit, onward: str, problem: str = "") -> Response:
    return page(visit, "login.html", status=401 if problem else 200, onward=onward, problem=problem)
