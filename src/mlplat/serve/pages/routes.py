"""`/`, its files, and `/drift`."""

import asyncio
from collections.abc import Callable
from importlib import resources

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlplat.serve.answers import JSONAnswer
from mlplat.serve.drift import Drift
from mlplat.serve.lifecycle import Lifecycle, Source
from mlplat.web import look

PACKAGE = "mlplat.serve.pages"
FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "page.css": ("text/css", lambda: look.style(PACKAGE, "page.css")),
    "page.js": ("text/javascript", (resources.files(PACKAGE) / "static" / "page.js").read_bytes),
    "icon.svg": ("image/svg+xml", look.icon),
}

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
        version = lifecycle.version if drift is None else drift.manifest.version
        body = await asyncio.to_thread(_page, lifecycle.source, version, lifecycle.phase, lifecycle.reason, drift)
        return Response(body, media_type="text/html", headers=HEADERS)

    async def drift(_: Request) -> Response:
        lifecycle.require()
        measured = await lifecycle.measure_drift()
        if measured is None:  # pragma: no cover - a version that serves is never taken away
            raise RuntimeError("the version is gone")
        body = await asyncio.to_thread(_report, measured)
        return JSONAnswer(body, headers={"Cache-Control": "no-store"})

    return [Route("/", show), Route("/drift", drift), *(_file(name, *found) for name, found in FILES.items())]


def _page(source: Source, version: str | None, phase: str, reason: str, drift: Drift | None) -> bytes:
    from mlplat.serve.pages.page import State, page  # a server that nobody looks at does without it

    return page(State(source.model, version, source.alias, phase, reason), drift)


def _report(drift: Drift) -> bytes:
    from mlplat.serve.pages.report import report

    return msgspec.json.encode(report(drift))


def _file(name: str, media_type: str, read: Callable[[], bytes]) -> Route:
    async def send(_: Request) -> Response:
        headers = {"Cache-Control": "max-age=300", "X-Content-Type-Options": "nosniff"}
        return Response(read(), media_type=media_type, headers=headers)

    return Route(f"/page/{name}", send)
