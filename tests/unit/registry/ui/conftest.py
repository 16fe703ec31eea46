"""What the tests of pages share: someone who opens them and sends their forms, as a browser does."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from html import unescape
from typing import Any

import pytest
from httpx import Client, Response

ADMIN = "the key of the admin of the tests"
TOKEN = re.compile(r'name="form" value="([0-9a-f]{64})"')
SEEN = re.compile(r'name="seen" value="([^"]*)"')


class Person:
    """Someone with a browser: keeps cookies, says where forms come from, and follows where it is led."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = Client(base_url=url, headers={"Accept": "text/html"}, timeout=60)

    def open(self, path: str, status: int = 200) -> str:
        """A page, as text."""
        answer = self.client.get(path, follow_redirects=True)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        return answer.text

    def send(self, page: str, to: str, fields: dict[str, Any], **headers: str) -> Response:
        """What is answered to a form of a page; a field of its own replaces a hidden one."""
        hidden = {"form": TOKEN.findall(page)[0], "seen": SEEN.findall(page)}
        return self.client.post(to, data=hidden | fields, headers={"Origin": self.url} | headers)

    def log_in(self, key: str) -> "Person":
        answer = self.send(self.open("/ui/login"), "/ui/login", {"key": key})
        assert answer.status_code == 303, answer.text
        return self


def words(page: str) -> str:
    """What is to be read of a page."""
    spaced = re.sub(r"</(td|th|dt|option)>", " ", page)
    return " ".join(unescape(re.sub(r"<[^>]*>", "", spaced)).split())


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def stranger(client: Client, stack: ExitStack) -> Callable[[], Person]:
    """Make someone who did not log in."""

    def make() -> Person:
        made = Person(str(client.base_url).rstrip("/"))
        stack.enter_context(made.client)
        return made

    return make


@pytest.fixture
def person(stranger: Callable[[], Person], key: Callable[..., dict[str, str]]) -> Callable[..., Person]:
    """Make someone who logged in with a new key: `person("writer", "team-*")`."""

    def make(role: str = "writer", pattern: str | None = None) -> Person:
        return stranger().log_in(key(role, pattern)["X-API-Key"])

    return make


@pytest.fixture
def catalogued(client: Client, publish: Callable[..., Any]) -> Callable[..., Any]:
    """Publish a version and take it into the catalogue: `catalogued("v1", model="iris", metrics={...})`."""

    def put(version: str = "v1", *, model: str = "iris", **changes: Any) -> Any:
        manifest = publish(version, model=model, **changes)
        assert client.post(f"/models/{model}/versions", json={"version": version}).status_code == 201
        return manifest

    return put
