"""`/docs` and `/openapi.json`: the routes, with the columns of the model that serves. Nothing from other hosts."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlplat import __version__
from mlplat.serve.answers import JSONAnswer
from mlplat.serve.lifecycle import Lifecycle, Served
from mlplat.serve.protocols.schema import reply
from mlplat.web import swagger
from mlplat.web.apikeys import SECURITY

PROBES = {
    "/health": ("Whether the process lives.", {"200": "it does"}),
    "/ready": (
        "Whether exactly the wanted version is loaded, checked and warm.",
        {"200": "it is", "503": "not yet, and why"},
    ),
    "/metrics": ("Metrics for Prometheus.", {"200": "the text format"}),
    "/drift": (
        "How far the latest requests are from the training data, by feature and in what is predicted.",
        {"200": "the figures, null while there are too few requests", "503": "not ready"},
    ),
    "/version": ("This release, and the model and version that serve.", {"200": "what is running"}),
}


OPEN = ("/health", "/ready", "/metrics")
"""Of those, what needs no key."""


def docs_routes(lifecycle: Lifecycle, *, keys: bool = False) -> list[Route]:
    """The page, its files and the OpenAPI document."""

    async def page(_: Request) -> Response:
        return Response(swagger.page("API of the model server"), media_type="text/html")

    async def start(_: Request) -> Response:
        return Response(swagger.START, media_type="text/javascript")

    async def document(_: Request) -> Response:
        return JSONAnswer(openapi(lifecycle.source.model, lifecycle.current, keys=keys))

    def asset(name: str, media_type: str) -> Route:
        async def send(_: Request) -> Response:
            return Response(swagger.asset(name), media_type=media_type)

        return Route(f"/docs/{name}", send)

    return [
        Route("/docs", page),
        Route("/docs/start.js", start),
        Route("/openapi.json", document),
        *(asset(name, media_type) for name, media_type in swagger.ASSETS.items()),
    ]


def openapi(model: str, served: Served | None, *, keys: bool = False) -> dict[str, Any]:
    """The OpenAPI document: of the protocols, with the columns and examples of the version that serves, if it is there."""
    paths = {
        path: {"get": {"summary": summary, "responses": {code: _answer(path, text) for code, text in codes.items()}}}
        for path, (summary, codes) in PROBES.items()
    }
    title = model
    if served is not None:
        title = f"{model} {served.manifest.version}"
        for protocol in served.protocols.values():
            paths |= protocol.paths()
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": __version__, "description": "Predictions of one model version."},
        "paths": paths,
    }
    if keys:
        for path in OPEN:
            paths[path]["get"]["security"] = []
        document["components"] = {"securitySchemes": SECURITY}
        document["security"] = [{scheme: []} for scheme in SECURITY]
    return document


def _answer(path: str, text: str) -> dict[str, Any]:
    if path == "/metrics":
        return {"description": text, "content": {"text/plain": {"schema": {"type": "string"}}}}
    return reply(text, {"type": "object"})
