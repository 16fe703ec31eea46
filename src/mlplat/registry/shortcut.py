"""The reads that are asked most, without what the framework does around a route, which takes longer than their answer."""

import asyncio
import re
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from mlplat.bundle import names
from mlplat.errors import MlplatError
from mlplat.registry import encoded
from mlplat.registry.answers import JSONAnswer, on_mlplat_error
from mlplat.registry.audit import Author
from mlplat.registry.cursors import LONGEST
from mlplat.registry.keyset import Slice
from mlplat.registry.service import Service

PART = frozenset({"limit", "cursor"})
PATHS = {
    "/models": PART | {"sort"},
    "/models/{name}": frozenset[str](),
    "/models/{name}/versions": PART | {"sort"},
    "/models/{name}/versions/{version}": frozenset[str](),
    "/search": PART | {"q"},
}
"""What may be asked of each. Their routes take who asks, names and these, and make their own answer."""

ONES: dict[str, Callable[..., bytes | None]] = {
    "/models/{name}": encoded.get_model,
    "/models/{name}/versions/{version}": encoded.get_version,
}
"""Those whose routes ask the store, too: here only the catalogue is asked, as for a store that hangs all threads would wait."""

LIMIT = re.compile(r"[1-9][0-9]?|1[0-9][0-9]|200")
"""A limit that `asking` takes, as most write it."""

LONGEST_TEXT = 200
"""A longer sort or search is for the framework to take or to refuse."""


class Shortcut:
    """ASGI middleware within `Edge`: calls the function of such a route, if it is asked plainly and rightly.

    Whatever is not is passed on, so that the framework reads or refuses it; so is a model or a version that the catalogue lacks.

    Args:
        app: to pass on to.
        service: the registry.
        routes: of the application.
        threads: for the functions; those of the framework cost twice the time of a query.
    """

    def __init__(self, app: ASGIApp, service: Service, routes: Iterable[BaseRoute], threads: Executor) -> None:
        self._app = app
        self._service = service
        self._threads = threads
        reads = [route for route in routes if isinstance(route, APIRoute) and "GET" in (route.methods or ())]
        self._routes = [(route.path_regex, route, PATHS[route.path]) for route in reads if route.path in PATHS]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "http" and scope["method"] == "GET":
            for pattern, route, known in self._routes:
                match = pattern.match(scope["path"])
                if match is not None:
                    given = _given(scope["query_string"], known)
                    if given is not None and all(map(names.is_valid, match.groups())):
                        await self._answer(route, match.groupdict() | given, scope, receive, send)
                        return
                    break
        await self._app(scope, receive, send)

    async def _answer(self, route: APIRoute, given: dict[str, Any], scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = route  # for the metrics
        asked = partial(self._one, route.path) if route.path in ONES else route.endpoint
        asked = partial(asked, scope["state"]["author"], **given)
        try:
            response = await asyncio.get_running_loop().run_in_executor(self._threads, asked)
        except MlplatError as error:
            response = await on_mlplat_error(Request(scope), error)
        await (response or self._app)(scope, receive, send)

    def _one(self, path: str, author: Author, name: str, **version: str) -> Response | None:
        author.caller.require_sight(name)
        with self._service.database.read() as connection:
            found = ONES[path](connection, name, **version)
        return None if found is None else JSONAnswer(found)


def _given(query: bytes, known: frozenset[str]) -> dict[str, Any] | None:
    """What a query gives to the function of a route; None if it is not plain."""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True) if query else []
    given: dict[str, Any] = dict(pairs)
    if len(given) != len(pairs) or not given.keys() <= known or ("q" in known and "q" not in given):
        return None
    if known >= PART:
        limit, cursor = given.pop("limit", "50"), given.pop("cursor", None)
        if LIMIT.fullmatch(limit) is None or len(cursor or "") > LONGEST:
            return None
        part = Slice(int(limit), cursor)
        return {**given, "part": part} if all(1 <= len(text) <= LONGEST_TEXT for text in given.values()) else None
    return given
