"""Many publish and promote at once, some of them killed at any moment; nothing is lost and nothing is twice."""

import random
import socket
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from httpx import Client
from sqlalchemy import select
from tests.registries import STORES

from mlplat.registry import tables
from mlplat.registry.service import Service

from .conftest import ADMIN

Drafts = Callable[..., Any]
PUBLISHES = 60


def request_of(client: Client, draft: Any) -> bytes:
    files = [("manifest", ("manifest", draft.manifest.to_json()))]
    files += [(name, (name, path.read_bytes())) for name, path in draft.files.items()]
    made = client.build_request("POST", f"/models/{draft.manifest.model}/versions", files=files)
    head = f"POST {made.url.path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-API-Key: {ADMIN}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in made.headers.items() if name.startswith("content-"))
    return head.encode() + b"\r\n" + made.read()


def publish(client: Client, request: bytes, rng: random.Random) -> int:
    """Send a request until it is answered; some of the clients are killed while they send, or before they read."""
    while True:
        with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as connection:
            killed = rng.random()
            if killed < 0.3:
                connection.sendall(request[: rng.randrange(len(request))])
            elif killed < 0.6:
                connection.sendall(request)
            else:
                connection.sendall(request)
                answer = b""
                while data := connection.recv(65536):
                    answer += data
                status = int(answer[9:12])
                if status in {200, 201, 409}:
                    return status


@STORES
def test_no_version_is_lost_or_doubled_when_clients_are_killed(client: Client, service: Service, draft: Drafts) -> None:
    drafts = [draft(f"v{number // 2}", model=f"m{number % 2}") for number in range(PUBLISHES)]
    requests = [request_of(client, each) for each in drafts] * 2  # each of them by two clients
    with ThreadPoolExecutor(8) as threads:
        statuses = Counter(threads.map(lambda n: publish(client, requests[n], random.Random(n)), range(len(requests))))
    assert statuses[409] == 0
    with service.database.read() as connection:
        rows = connection.execute(select(tables.models.c.name, tables.versions.c.version).join(tables.versions)).all()
        found = connection.execute(select(tables.models.c.name, tables.models.c.versions))
        counts = {row.name: row.versions for row in found}
        notes = connection.execute(select(tables.audit.c.model, tables.audit.c.target)).all()
    wanted = {(each.manifest.model, each.manifest.version) for each in drafts}
    assert sorted(rows) == sorted(notes) == sorted(wanted)
    assert counts == {"m0": 30, "m1": 30}
    for each in drafts:
        assert service.store.verify(each.manifest.model, each.manifest.version) == each.manifest
