"""What every request to the ASGI application passes."""

import asyncio
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from mlplat.metrics import ServeMetrics
from mlplat.serve.edge import OPEN_PATHS, Edge
from mlplat.serve.keys import KeyRing
from mlplat.serve.lifecycle import Lifecycle, Source
from mlplat.store import Cache

KEY = "open-sesame"


async def created(scope: Scope, _receive: Receive, send: Send) -> None:
    """An application that answers 201, or fails at `/bug`."""
    if scope["path"] == "/bug":
        raise ZeroDivisionError
    await send({"type": "http.response.start", "status": 201, "headers": [(b"connection", b"keep-alive")]})
    await send({"type": "http.response.body", "body": b"made"})


class Around:
    """The application, and what is counted of it."""

    def __init__(self, folder: Path) -> None:
        self.metrics = ServeMetrics()
        source = Source(f"file://{folder}", "iris", "v1", None)
        self.lifecycle = Lifecycle(source, Cache(folder / "cache"), self.metrics)
        self.edge = Edge(created, KeyRing([KEY]), self.lifecycle, self.metrics)

    def get(self, path: str, **headers: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.edge, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://x", headers=headers) as client:
                return await client.get(path)

        return asyncio.run(ask())

    def counted(self) -> set[str]:
        """The statuses that were counted."""
        lines = self.metrics.exposition().decode().splitlines()
        counts = [line for line in lines if line.startswith('mlplat_requests_total{protocol="http"')]
        return {line.partition('status="')[2][:3] for line in counts if not line.endswith(" 0.0")}


@pytest.fixture
def around(tmp_path: Path) -> Around:
    return Around(tmp_path)


def test_a_right_key_lets_in_and_the_answer_passes_unchanged(around: Around) -> None:
    answer = around.get("/docs", **{"x-api-key": KEY})
    assert (answer.status_code, answer.content, answer.headers["connection"]) == (201, b"made", "keep-alive")
    assert around.counted() == {"201"}


def test_without_one_the_application_is_not_asked(around: Around) -> None:
    answer = around.get("/bug")
    assert (answer.status_code, answer.json()["code"], answer.headers["www-authenticate"]) == (
        401,
        "unauthorized",
        "Bearer",
    )
    assert around.counted() == {"401"}


def test_a_browser_asks_for_it_as_a_password(around: Around) -> None:
    answer = around.get("/", accept="text/html,*/*")
    assert answer.headers["www-authenticate"].startswith('Basic realm="API key as password"')


@pytest.mark.parametrize("path", sorted(OPEN_PATHS))
def test_scrapers_and_probes_need_none(around: Around, path: str) -> None:
    assert around.get(path).status_code == 201


def test_while_draining_clients_are_told_to_leave(around: Around) -> None:
    around.lifecycle.drain()
    assert around.get("/metrics").headers["connection"] == "close"
    assert around.get("/docs").headers["connection"] == "close"


def test_an_application_that_fails_counts_as_a_500(around: Around) -> None:
    around.get("/bug", **{"x-api-key": KEY})
    assert around.counted() == {"500"}


def test_what_is_no_request_is_passed_on(tmp_path: Path) -> None:
    seen = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope["type"])

    async def nothing() -> dict[str, str]:
        return {}

    async def drop(_: object) -> None:
        """Take it."""

    around = Around(tmp_path)
    edge = Edge(app, KeyRing([KEY]), around.lifecycle, around.metrics)
    asyncio.run(edge({"type": "lifespan"}, nothing, drop))
    assert seen == ["lifespan"]
    assert around.counted() == set()
