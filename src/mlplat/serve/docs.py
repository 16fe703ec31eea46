"""`/docs` and `/openapi.json`: the routes, with the columns of the model that serves. Nothing from other hosts."""

import importlib.util
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlplat import __version__
from mlplat.serve.answers import JSONAnswer
from mlplat.serve.lifecycle import Lifecycle, Served
from mlplat.serve.protocols.schema import reply

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>API of the model server</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""

START = 'SwaggerUIBundle({url: "openapi.json", dom_id: "#docs", deepLinking: true, tryItOutEnabled: true});'

ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}

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

SECURITY = {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "password": {"type": "http", "scheme": "basic", "description": "The key as the password, for browsers."},
}


def docs_routes(lifecycle: Lifecycle, *, keys: bool = False) -> list[Route]:
    """The page, its files and the OpenAPI document."""

    async def page(_: Request) -> Response:
        return Response(PAGE, media_type="text/html")

    async def start(_: Request) -> Response:
        return Response(START, media_type="text/javascript")

    async def document(_: Request) -> Response:
        return JSONAnswer(openapi(lifecycle.source.model, lifecycle.current, keys=keys))

    def asset(name: str, media_type: str) -> Route:
        async def send(_: Request) -> Response:
            return Response((_assets() / name).read_bytes(), media_type=media_type)

        return Route(f"/docs/{name}", send)

    return [
        Route("/docs", page),
        Route("/docs/start.js", start),
        Route("/openapi.json", document),
        *(asset(name, media_type) for name, media_type in ASSETS.items()),
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


def _assets() -> Path:
    """Where the package with Swagger UI keeps its files; it is not imported, as that would load a framework."""
    found = importlib.util.find_spec("fastapi_swagger")
    if found is None or not found.submodule_search_locations:  # pragma: no cover - it is a dependency
        raise ModuleNotFoundError("fastapi_swagger")
    return Path(found.submodule_search_locations[0]) / "resources"
