"""Pieces of the OpenAPI document that the protocols share: the model's columns, and errors."""

from typing import Any

from mlplat.bundle.features import Column, Features, takes_missing
from mlplat.bundle.manifest import Manifest

JSON_TYPES = {"numeric": "number", "boolean": "boolean", "date": "string", "category": "string", "string": "string"}

STATUSES = {
    "400": "it cannot be parsed",
    "401": "no valid API key",
    "408": "it did not arrive in time",
    "413": "the body is too large",
    "415": "a content type or encoding that is not taken",
    "422": "a row, column or value is not as expected",
    "431": "the headers are too large",
    "503": "not ready, or too busy; Retry-After says when to try again",
}


def column_schema(column: Column) -> dict[str, Any]:
    """The JSON schema of a column's values."""
    kind = JSON_TYPES[column.kind]
    schema: dict[str, Any] = {"type": [kind, "null"] if takes_missing(column) else kind}
    if column.kind == "date":
        schema["format"] = "date-time"
    if column.kind == "category":
        schema["examples"] = list(column.categories[:10])
    return schema


def row_schemas(features: Features) -> tuple[dict[str, Any], dict[str, Any]]:
    """The JSON schemas of a row by position and of one by name."""
    named = {column.name: column_schema(column) for column in features.columns}
    columns = list(named.values())
    items = {"items": columns[0]} if all(column == columns[0] for column in columns) else {"prefixItems": columns}
    by_position = {"type": "array", **items, "minItems": len(named), "maxItems": len(named)}
    by_name = {"type": "object", "properties": named, "required": list(named), "additionalProperties": False}
    return by_position, by_name


def example_row(manifest: Manifest) -> list[Any]:
    """A row that training saw."""
    return list(manifest.golden.rows[0])


def operation(summary: str, request: dict[str, Any], error: dict[str, Any], response: dict[str, Any]) -> dict[str, Any]:
    """A POST operation that takes `request` (a media type to its schema and examples) and answers JSON."""
    responses = {"200": reply("the prediction", response)}
    responses |= {status: reply(text, error) for status, text in STATUSES.items()}
    responses["503"]["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    return {"summary": summary, "requestBody": {"required": True, "content": request}, "responses": responses}


def reply(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    """An answer in JSON."""
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def record(**properties: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of an object that has all of some properties, and may have others."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def listing(items: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of a list."""
    return {"type": "array", "items": items}
