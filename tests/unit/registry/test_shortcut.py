"""What the shortcut answers is what the framework would."""

from collections.abc import Callable

import pytest
from httpx import Client

from mlplat.registry import indexing
from mlplat.registry.service import Service

from .conftest import Publish

PATHS = (
    "/models",
    "/models/iris",
    "/models/iris/versions",
    "/models/iris/versions/v1",
    "/models/nowhere",
    "/models/nowhere/versions",
    "/models/nowhere/versions/v1",
    "/models/iris/versions/v9",
    "/models/.iris",
    "/models/iris..x/versions",
    "/models/iris/versions/v1%0A",
    "/models/iris%2Fx",
    "/models/iris/",
)


@pytest.mark.parametrize("path", PATHS)
def test_a_plain_read_is_answered_as_one_with_a_query(
    client: Client, service: Service, publish: Publish, path: str
) -> None:
    publish("v1")
    indexing.index_store(service.database, service.store)
    plain, asked = client.get(path), client.get(path + "?unknown=1")
    assert (plain.status_code, plain.content) == (asked.status_code, asked.content)
    fresh = {"x-request-id", "date"}
    assert {n: v for n, v in plain.headers.items() if n not in fresh} == {
        n: v for n, v in asked.headers.items() if n not in fresh
    }


def test_a_key_sees_no_more_by_it(
    client: Client, service: Service, publish: Publish, key: Callable[..., dict[str, str]]
) -> None:
    publish("v1")
    indexing.index_store(service.database, service.store)
    headers = key("reader", "team-*")
    assert client.get("/models", headers=headers).json()["items"] == []
    for path in ("/models/iris", "/models/iris/versions", "/models/iris/versions/v1"):
        assert client.get(path, headers=headers).status_code == client.get(path + "?a=1", headers=headers).status_code
        assert client.get(path, headers=headers).status_code in {403, 404}


def test_its_requests_are_counted_under_their_route(client: Client) -> None:
    client.get("/models")
    client.get("/models/nowhere/versions/v1")
    counted = client.get("/metrics").text
    assert 'mlplat_registry_requests_total{method="GET",route="/models",status="200"}' in counted
    assert 'route="/models/{name}/versions/{version}",status="404"' in counted
