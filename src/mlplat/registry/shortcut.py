"""The reads that are asked most, without what the framework does around a route, which takes longer than their answer."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from anyio import to_thread
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from mlplat.bundle import names
from mlplat.errors import MlplatError
from mlplat.registry.answers import on_mlplat_error
from mlplat.registry.keyset import Slice

PATHS: dict[str, dict[str, Any]] = {
    "/models": {"part": Slice()},
    "/models/{name}": {},
    "/models/{name}/versions": {"part": Slice()},
    "/models/{name}/versions/{version}": {},
}
"""Their routes take who asks and names, make their own answer, and need this if the request has no query."""


class Shortcut:
    """ASGI middleware within `Edge`: calls the function of such a route, if it is asked plainly and the names are right.

    Whatever is not is passed on, so that the framework refuses it.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        reads = [route for route in routes if isinstance(route, APIRoute) and "GET" in (route.methods or ())]
        self._routes = [(route.path_regex, route) for route in reads if route.path in PATHS]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "http" and scope["method"] == "GET" and not scope["query_string"]:
            for pattern, route in self._routes:
                match = pattern.match(scope["path"])
                if match is not None and all(map(names.is_valid, match.groups())):
                    await _answer(route, match.groupdict() | PATHS[route.path], scope, receive, send)
                    return
        await self._app(scope, receive, send)


async def _answer(route: APIRoute, given: dict[str, Any], scope: Scope, receive: Receive, send: Send) -> None:
    scope["route"] = route  # for the metrics
    try:
        response = await to_thread.run_sync(partial(route.endpoint, scope["state"]["author"], **given))
    except MlplatError as error:
        response = await on_mlplat_error(Request(scope), error)
    await response(scope, receive, send)
