"""The page at `/docs`, to read the routes and to try them: Swagger UI, with nothing from other hosts."""

import importlib.util
from pathlib import Path

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
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


def page(title: str) -> str:
    """The page, which asks for the document beside it."""
    return _PAGE.replace("{title}", title)


def asset(name: str) -> bytes:
    """One of the files that it loads, `ASSETS`."""
    return (_assets() / name).read_bytes()


def _assets() -> Path:
    """Where the package with Swagger UI keeps its files; it is not imported, as that would load a framework."""
    found = importlib.util.find_spec("fastapi_swagger")
    if found is None or not found.submodule_search_locations:  # pragma: no cover - it is a dependency
        raise ModuleNotFoundError("fastapi_swagger")
    return Path(found.submodule_search_locations[0]) / "resources"
