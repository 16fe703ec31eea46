"""Who may do what, on every route that there is: a route that this table does not name fails here."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from httpx import Client

from mlplat.registry.app import create_app
from mlplat.registry.bodies import Role
from mlplat.registry.routes import all_routes
from mlplat.registry.service import Service
from mlplat.web.swagger import ASSETS

from .routes.uploading import upload

OPEN = ""
ALL = "admin of all models"
VERSION = "/models/{name}/versions/{version}"
ALIAS = "/models/{name}/aliases/{alias}"
ROUTES: dict[tuple[str, str], str] = {
    ("GET", "/health"): OPEN,
    ("GET", "/ready"): OPEN,
    ("GET", "/metrics"): OPEN,
    ("GET", "/version"): "reader",
    ("GET", "/openapi.json"): "reader",
    ("GET", "/docs"): "reader",
    ("GET", "/docs/start.js"): "reader",
    **{("GET", f"/docs/{asset}"): "reader" for asset in ASSETS},
    ("GET", "/models"): "reader",
    ("GET", "/search"): "reader",
    ("GET", "/models/{name}"): "reader",
    ("GET", "/models/{name}/access"): "reader",
    ("GET", "/models/{name}/versions"): "reader",
    ("GET", VERSION): "reader",
    ("GET", f"{VERSION}/manifest"): "reader",
    ("GET", f"{VERSION}/files/{{file}}"): "reader",
    ("HEAD", f"{VERSION}/files/{{file}}"): "reader",
    ("GET", "/models/{name}/aliases"): "reader",
    ("GET", ALIAS): "reader",
    ("GET", f"{ALIAS}/history"): "reader",
    ("POST", "/models"): "writer",
    ("PATCH", "/models/{name}"): "writer",
    ("POST", "/models/{name}/versions"): "writer",
    ("PATCH", VERSION): "writer",
    ("PUT", ALIAS): "writer",
    ("POST", f"{ALIAS}/stays"): "writer",
    ("DELETE", ALIAS): "admin",
    ("DELETE", "/models/{name}"): "admin",
    ("DELETE", VERSION): "admin",
    ("GET", "/audit"): ALL,
    ("GET", "/keys"): ALL,
    ("POST", "/keys"): ALL,
    ("DELETE", "/keys/{key_id}"): ALL,
}
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/models"): {"name": "iris-2"},
    ("PATCH", "/models/{name}"): {"owner": "x"},
    ("POST", "/models/{name}/versions"): {"version": "v1"},
    ("PATCH", VERSION): {"tags": {}},
    ("PUT", ALIAS): {"version": "v1"},
    ("POST", f"{ALIAS}/stays"): {"reason": "x"},
    ("POST", "/keys"): {"name": "x"},
}
FILLED = {"name": "iris", "version": "v1", "alias": "champion", "file": "model.onnx", "key_id": "abcdefgh"}
RANKS: list[Role] = ["reader", "writer", "admin"]


@pytest.fixture
def ask(client: Client, draft: Callable[..., Any]) -> Callable[..., Any]:
    """Ask one of the routes of a model with a version: `ask(method, path, headers)`."""
    assert upload(client, draft("v1")).status_code == 201

    def send(method: str, path: str, headers: dict[str, str]) -> Any:
        query = {"/search": "?q=iris", "/models/{name}/access": "?role=reader"}.get(path, "")
        with Client(base_url=client.base_url, headers=headers, timeout=60) as bare:
            filled = re.sub(r"{(\w+)}", lambda part: FILLED[part[1]], path)
            return bare.request(method, filled + query, json=BODIES.get((method, path)))

    return send


def is_forbidden(answer: Any) -> bool:
    return (answer.status_code, answer.json().get("code")) == (403, "forbidden")


def test_the_table_has_every_route(service: Service) -> None:
    routes = [route for router in all_routes(service) for route in router.routes]
    routes += [route for route in create_app(service).routes if hasattr(route, "path")]
    found = {(method, route.path) for route in routes for method in route.methods}  # type: ignore[attr-defined]
    assert found - {("HEAD", "/openapi.json")} == set(ROUTES)


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("route", "needed"), ROUTES.items(), ids=str)
def test_each_route_asks_for_its_role(
    ask: Callable[..., Any], key: Callable[..., dict[str, str]], route: tuple[str, str], needed: str
) -> None:
    if needed == OPEN:
        assert ask(*route, {}).status_code == 200
        return
    assert ask(*route, {}).status_code == 401
    assert ask(*route, {"X-API-Key": "mlp_aaaaaaaa_b"}).status_code == 401
    lowest = len(RANKS) - 1 if needed == ALL else RANKS.index(needed)  # type: ignore[arg-type]
    for role in RANKS[:lowest]:
        assert is_forbidden(ask(*route, key(role)))
    elsewhere = ask(*route, key("admin", "other-*"))
    if needed == ALL or needed in RANKS[1:] or route[1].endswith("/access"):
        assert is_forbidden(elsewhere)
    elif "{name}" in route[1]:
        assert elsewhere.status_code == 404
    else:
        assert "iris" not in elsewhere.text or route[1] in {"/openapi.json", "/docs/swagger-ui-bundle.js"}
    assert ask(*route, key(RANKS[lowest])).status_code not in {401, 403, 422, 500}
