"""Who may open which page and send which form: a page that this table does not name fails here."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from httpx import Client

from mlplat.registry.service import Service
from mlplat.registry.ui.routes import page_routes

from .conftest import Person

OPEN, READER, WRITER, ALL = "everyone", "reader", "writer", "admin of all models"
VERSION = "/ui/models/{name}/versions/{version}"
ALIAS = "/ui/models/{name}/aliases/{alias}"
PAGES: dict[tuple[str, str], str] = {
    ("GET", "/"): OPEN,
    ("GET", "/ui/static/icon.svg"): OPEN,
    ("GET", "/ui/static/ui.css"): OPEN,
    ("GET", "/ui/login"): OPEN,
    ("POST", "/ui/login"): OPEN,
    ("POST", "/ui/logout"): OPEN,
    ("GET", "/ui"): READER,
    ("GET", "/ui/models/{name}"): READER,
    ("GET", "/ui/models/{name}/compare"): READER,
    ("GET", VERSION): READER,
    ("GET", f"{VERSION}/files/{{file}}"): READER,
    ("GET", f"{VERSION}/manifest"): READER,
    ("GET", ALIAS): READER,
    ("POST", "/ui/models/{name}/tags"): WRITER,
    ("POST", f"{VERSION}/tags"): WRITER,
    ("POST", VERSION): WRITER,
    ("POST", ALIAS): WRITER,
    ("GET", "/ui/audit"): ALL,
}
FILLED = {"name": "iris", "version": "v1", "alias": "champion", "file": "model.onnx"}
CLOSED = [(route, needed) for route, needed in PAGES.items() if needed != OPEN]


def path_of(route: tuple[str, str]) -> str:
    path = re.sub(r"{(\w+)(:path)?}", lambda part: FILLED[part[1]], route[1])
    return f"{path}?left=v1&right=v1" if path.endswith("/compare") else path


def test_the_table_has_every_page(service: Service) -> None:
    found = {
        (method, route.path)  # type: ignore[attr-defined]
        for router in page_routes(service)
        for route in router.routes
        for method in route.methods  # type: ignore[attr-defined]
    }
    assert {one for one in found if one[0] != "HEAD"} == set(PAGES)


@pytest.fixture
def _promoted(client: Client, catalogued: Any) -> None:
    """A version with an alias."""
    catalogued("v1")
    client.put("/models/iris/aliases/champion", json={"version": "v1", "reason": "first"})


@pytest.mark.usefixtures("_promoted")
@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("route", "needed"), CLOSED, ids=str)
def test_each_page_asks_for_its_role(
    stranger: Callable[[], Person],
    person: Callable[..., Person],
    route: tuple[str, str],
    needed: str,
) -> None:
    method, path = route[0], path_of(route)

    def status(someone: Person) -> int:
        if method == "GET":
            return someone.client.get(path).status_code
        fields = {"alias": "champion", "version": "v1", "reason": "", "tags": "none"}
        return someone.send(someone.open("/ui/login"), path, fields).status_code

    assert status(stranger()) in {303, 401, 403}
    elsewhere = person("admin", "other-*")
    if route[1] == "/ui":
        assert 'ui/models/iris"' not in elsewhere.open(path)
    else:
        assert status(elsewhere) == (403 if needed == ALL else 404)
    if needed != READER:
        assert status(person("reader")) == 403
    if needed == ALL:
        assert status(person("writer")) == 403
    allowed = {READER: "reader", WRITER: "writer", ALL: "admin"}[needed]
    assert status(person(allowed)) == (200 if method == "GET" else 422)
