"""`/`, its files, and `/drift`."""

import asyncio
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlplat.serve.answers import JSONAnswer
from mlplat.serve.lifecycle import Lifecycle
from mlplat.serve.pages.page import State, page
from mlplat.serve.pages.report import report

FILES = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Nothing from other hosts, and no script or style but our own files: labels of a model may hold anything."""


def page_routes(lifecycle: Lifecycle) -> list[Route]:
    """The page, its files and the drift report."""

    async def show(_: Request) -> Response:
        drift = await lifecycle.measure_drift()
        source = lifecycle.source
        version = lifecycle.version if drift is None else drift.manifest.version
        state = State(source.model, version, source.alias, lifecycle.phase, lifecycle.reason)
        body = await asyncio.to_thread(page, state, drift)
        return Response(body, media_type="text/html", headers=HEADERS)

    async def drift(_: Request) -> Response:
        lifecycle.require()
        measured = await lifecycle.measure_drift()
        if measured is None:  # pragma: no cover - a version that serves is never taken away
            raise RuntimeError("the version is gone")
        return JSONAnswer(report(measured), headers={"Cache-Control": "no-store"})

    return [Route("/", show), Route("/drift", drift), *(_file(name, media_type) for name, media_type in FILES.items())]


def _file(name: str, media_type: str) -> Route:
    async def send(_: Request) -> Response:
        body = (resources.files("mlplat.serve.pages") / "static" / name).read_bytes()
        headers = {"Cache-Control": "max-age=300", "X-Content-Type-Options": "nosniff"}
        return Response(body, media_type=media_type, headers=headers)

    return Route(f"/page/{name}", send)
