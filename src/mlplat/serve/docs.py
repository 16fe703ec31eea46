"""`/docs` and `/openapi.json`: the routes, with the columns of the model that serves. Nothing from other hosts."""

from importlib import resources
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import Response

from mlplat.bundle.features import Column, takes_missing
from mlplat.bundle.manifest import Manifest
from mlplat.serve.answers import JSONAnswer
from mlplat.serve.lifecycle import Lifecycle

ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}

JSON_TYPES = {"numeric": "number", "boolean": "boolean", "date": "string", "category": "string", "string": "string"}

ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string"}, "code": {"type": "string"}},
    "required": ["error", "code"],
}


def add_docs(app: FastAPI, lifecycle: Lifecycle) -> None:
    """Add the page, its files and the OpenAPI document to `app`."""

    async def page(_: Request) -> Response:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=f"{lifecycle.source.model} - ml-platform",
            swagger_js_url="docs/swagger-ui-bundle.js",
            swagger_css_url="docs/swagger-ui.css",
            swagger_favicon_url="docs/favicon-32x32.png",
            swagger_ui_parameters={"tryItOutEnabled": True},
        )

    async def document(_: Request) -> Response:
        served = lifecycle.current
        return JSONAnswer(openapi(app, served.manifest if served is not None else None))

    def add_asset(name: str, media_type: str) -> None:
        async def asset(_: Request) -> Response:
            file = resources.files("fastapi_swagger.resources") / name
            return Response(file.read_bytes(), media_type=media_type)

        app.add_api_route(f"/docs/{name}", asset, include_in_schema=False)

    app.add_api_route("/docs", page, include_in_schema=False)
    app.add_api_route("/openapi.json", document, include_in_schema=False)
    for name, media_type in ASSETS.items():
        add_asset(name, media_type)


def openapi(app: FastAPI, manifest: Manifest | None) -> dict[str, Any]:
    """The OpenAPI document; with the columns and an example of the version that serves, if there is one."""
    document = get_openapi(
        title=app.title if manifest is None else f"{manifest.model} {manifest.version}",
        version=app.version,
        routes=app.routes,
        description="Predictions of one model version.",
    )
    predict = document["paths"]["/predict"]["post"]
    predict["requestBody"] = {"required": True, "content": {"application/json": _body(manifest)}}
    for status, what in {
        "400": "not JSON, or not an object",
        "401": "no valid API key",
        "413": "the body is too large",
        "415": "not application/json",
        "422": "a row, column or value is not as expected",
        "503": "not ready, or too busy",
    }.items():
        predict["responses"][status] = {"description": what, "content": {"application/json": {"schema": ERROR}}}
    return document


def _body(manifest: Manifest | None) -> dict[str, Any]:
    if manifest is None:
        return {"schema": {"type": "object"}}
    first = list(manifest.golden.rows[0])
    if manifest.task == "forecast":
        window = len(manifest.features.columns)
        schema: dict[str, Any] = {
            "type": "object",
            "required": ["values"],
            "properties": {
                "values": {"type": "array", "items": {"type": "number"}, "minItems": window},
                "horizon": {"type": "integer", "minimum": 1},
            },
        }
        return {"schema": schema, "example": {"values": first, "horizon": 3}}
    named = {column.name: _schema(column) for column in manifest.features.columns}
    row = {"type": "array", "items": {}, "minItems": len(named), "maxItems": len(named)}
    by_name = {"type": "object", "properties": named, "required": list(named), "additionalProperties": False}
    schema = {
        "anyOf": [
            {
                "type": "object",
                "required": ["features"],
                "properties": {
                    "features": {"anyOf": [row, {"type": "array", "items": {"anyOf": [row, by_name]}}, by_name]},
                    "return_probabilities": {"type": "boolean"},
                },
                "additionalProperties": False,
            },
            by_name,
        ]
    }
    examples = {
        "by position": {"value": {"features": first}},
        "rows, with probabilities": {"value": {"features": [first, first], "return_probabilities": True}},
        "by name": {"value": dict(zip(named, first, strict=True))},
    }
    return {"schema": schema, "examples": examples}


def _schema(column: Column) -> dict[str, Any]:
    kind = JSON_TYPES[column.kind]
    schema: dict[str, Any] = {"type": [kind, "null"] if takes_missing(column) else kind}
    if column.kind == "date":
        schema["format"] = "date-time"
    if column.kind == "category":
        schema["examples"] = list(column.categories[:10])
    return schema
