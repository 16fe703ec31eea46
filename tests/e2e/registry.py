"""The registry of a release: its Service, its pods, and what it is asked."""

from dataclasses import dataclass
from typing import Any

import httpx
import pykube

from .namespace import Object
from .release import NAME, Release

SERVICE = f"{NAME}-registry"
MODEL = "/models/iris"
CHAMPION = f"{MODEL}/aliases/champion"


@dataclass(frozen=True)
class Registry:
    """The registry of a release, asked with one key through its NodePort; without a key where everyone may come in."""

    release: Release
    key: str | None = None

    @property
    def url(self) -> str:
        """Its address for this machine: a node, and the Service's NodePort."""
        service = self.release.namespace.object(pykube.Service, SERVICE)
        return f"http://{self.release.address(0)}:{service['spec']['ports'][0]['nodePort']}"

    def ask(
        self, method: str, path: str, *, key: str | None = None, at: str | None = None, **given: Any
    ) -> httpx.Response:
        """What it answers, or one of its pods at an address of its own."""
        sent = key or self.key
        headers = given.pop("headers", {}) | ({} if sent is None else {"X-API-Key": sent})
        return httpx.request(method, (at or self.url) + path, headers=headers, timeout=60, **given)

    def read(self, path: str) -> Any:
        """What is there, as JSON."""
        answer = self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def versions(self) -> set[str]:
        """The versions of the model, by the catalogue."""
        return {item["version"] for item in self.read(f"{MODEL}/versions")["items"]}

    def move(self, version: str, reason: str, **headers: str) -> httpx.Response:
        """Let the alias name a version."""
        return self.ask("PUT", CHAMPION, json={"version": version, "reason": reason}, headers=headers)

    def make_key(self, role: str) -> str:
        """A new key."""
        answer = self.ask("POST", "/keys", json={"name": f"e2e-{role}", "role": role})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["key"])

    def addresses(self) -> list[str]:
        """Those of its pods."""
        return [f"http://{pod['status']['podIP']}:8080" for pod in self.pods()]

    def pods(self) -> list[Object]:
        """Its pods."""
        return self.release.namespace.pods("registry")
