"""`/docs`: the routes, to read and to try. Nothing from other hosts."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

from fastapi import APIRouter, Response

from mlplat.registry.service import Service

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>API of the registry</title>
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


def docs_routes(_: Service) -> APIRouter:
    """The page and its files."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/docs")
    async def page() -> Response:
        return Response(PAGE, media_type="text/html")

    @routes.get("/docs/start.js")
    async def start() -> Response:
        return Response(START, media_type="text/javascript")

    for name, media_type in ASSETS.items():
        routes.get(f"/docs/{name}")(_asset(_assets() / name, media_type))
    return routes


def _asset(path: Path, media_type: str) -> Callable[[], Response]:
    def send() -> Response:
        return Response(path.read_bytes(), media_type=media_type)

    return send


def _assets() -> Path:
    """Where the package with Swagger UI keeps its files."""
    found = importlib.util.find_spec("fastapi_swagger")
    if found is None or not found.submodule_search_locations:  # pragma: no cover - it is a dependency
        raise ModuleNotFoundError("fastapi_swagger")
    return Path(found.submodule_search_locations[0]) / "resources"
