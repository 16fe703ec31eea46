"""Who looks at a page: a session, or with `open` anyone; and the cookies that say so.

`SameSite=Lax`, not Strict: a link in a chat leads to the page, not to the log-in, and a GET changes nothing here; what
changes something is a form, which `forgery` looks at. The session's cookie has no Path, so the browser takes the folder
of the log-in, which is `/ui` with whatever prefix a proxy has before it; so the API, and what else is at this host,
never gets it. `Secure` is as the browser itself says in `Origin`, as no header of a proxy is believed.
"""

import re
import secrets
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Form, Request
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import Scope

from mlplat.errors import RequestError
from mlplat.registry import sessions
from mlplat.registry.audit import Author
from mlplat.registry.service import Service
from mlplat.registry.ui import forgery
from mlplat.registry.ui.paths import way_up
from mlplat.store.aliases import utc_now

SESSION = "mlplat_session"
VISITOR = "mlplat_visitor"
RANDOM = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class Visit:
    """A look at a page.

    Attributes:
        root: leads to the folder that `ui` is in.
        secret: what forms are tied to: the token of the session, or a visitor's random one.
        author: who it is; None before the log-in.
        is_session: whether someone logged in.
        is_new: whether the browser does not have the secret yet.
    """

    root: str
    secret: str
    author: Author | None = None
    is_session: bool = False
    is_new: bool = False

    @property
    def token(self) -> str:
        """For each form."""
        return forgery.token(self.secret)

    @property
    def known(self) -> Author:
        """Who it is. Raises RequestError, 401, before the log-in."""
        if self.author is None:
            raise RequestError(
                "You are not logged in, or no longer: a session ends with its key, and after 12 hours.",
                status=401,
                code="unauthorized",
            )
        return self.author


def look(service: Service, scope: Scope, request_id: str) -> Visit:
    """Who asks for a page. Raises DatabaseError."""
    cookies = cookie_parser(Headers(scope=scope).get("cookie", ""))
    root = way_up(scope["raw_path"])
    session = cookies.get(SESSION, "")
    if RANDOM.fullmatch(session):
        caller = sessions.find(service.database, service.keys, session, utc_now())
        if caller is not None:
            return Visit(root, session, Author(caller, request_id), is_session=True)
    anyone = service.keys.known(None)
    author = None if anyone is None else Author(anyone, request_id)
    visitor = cookies.get(VISITOR, "")
    if RANDOM.fullmatch(visitor):
        return Visit(root, visitor, author)
    return Visit(root, secrets.token_urlsafe(32), author, is_new=True)


def stranger(scope: Scope) -> Visit:
    """Someone of whom nothing is known, nor asked for, as there is only an error to show."""
    return Visit(way_up(scope["raw_path"]), "")


def remember(answer: Response, visit: Visit) -> None:
    """Let a browser keep a visitor's secret; at every path, as it lets no one in: it only ties forms to a browser."""
    if visit.is_new:
        answer.set_cookie(VISITOR, visit.secret, httponly=True, samesite="lax")


def let_in(answer: Response, token: str, *, secure: bool) -> None:
    """Let a browser keep the token of a session; the answer must be one of the log-in."""
    age = int(sessions.LASTS.total_seconds())
    answer.set_cookie(SESSION, token, age, path=None, httponly=True, samesite="lax", secure=secure)


def let_out(answer: Response) -> None:
    """Let a browser forget the token; the answer must be of a page in the folder of the log-in."""
    answer.set_cookie(SESSION, "", 0, path=None, httponly=True, samesite="lax")


def is_secure(request: Request) -> bool:
    """Whether the browser came by https, as far as it says so: it does in every form."""
    return request.headers.get("origin", "").startswith("https://")


def visit_of(request: Request) -> Visit:
    """Who looks, known or not."""
    visit: Visit = request.state.visit
    return visit


def visiting(request: Request) -> Visit:
    """Who looks.

    Raises:
        RequestError: 401, before the log-in.
    """
    visit = visit_of(request)
    _ = visit.known
    return visit


def sending(request: Request, form: Annotated[str, Form()] = "") -> Visit:
    """Who sends a form.

    Raises:
        RequestError: 401 before the log-in, 403 if the form is none of a page of ours.
    """
    visit = visiting(request)
    forgery.require_token(visit.secret, form)
    return visit


Anyone = Annotated[Visit, Depends(visit_of)]
Visiting = Annotated[Visit, Depends(visiting)]
Sending = Annotated[Visit, Depends(sending)]
