"""The whole registry: keys, limits, errors on every route, and what happens while database or store are away."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from httpx import Client

from mlplat.registry import edge, uploads
from mlplat.registry.access import KeyRing, make_key
from mlplat.registry.bodies import NewKey
from mlplat.registry.database import Database
from mlplat.registry.metrics import RegistryMetrics
from mlplat.registry.service import Service
from mlplat.store import open_object_store
from mlplat.store.aliases import utc_now

from .conftest import ADMIN, serving

Drafts = Callable[..., Any]

LOST = {"description", "owner", "tags", "by", "updated_at"}
"""What only the database holds; a deletion or a new description is a change, too, so its time is lost with it."""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def wait(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def body_of(draft: Any) -> dict[str, Any]:
    return {
        "files": [
            ("manifest", ("manifest", draft.manifest.to_json())),
            *((name, (name, path.read_bytes())) for name, path in draft.files.items()),
        ]
    }


def test_only_probes_are_answered_without_a_key(client: Client, stack: ExitStack) -> None:
    bare = stack.enter_context(Client(base_url=client.base_url, timeout=60))
    wrong: list[Any] = [{}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer mlp_aaaaaaaa_b"}, {"X-API-Key": b"\xff"}]
    assert bare.get("/health").json() == {"status": "ok"}
    assert bare.get("/ready").json()["status"] == "ready"
    assert "mlplat_registry_models 0.0" in bare.get("/metrics").text
    for path in ("/models", "/version", "/docs", "/openapi.json", "/audit", "/keys", "/nowhere", "/"):
        for headers in wrong:
            answer = bare.get(path, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
    assert bare.get("/models", headers={"Accept": "text/html"}).headers["www-authenticate"].startswith("Basic ")
    assert bare.get("/models", auth=("any", ADMIN)).status_code == 200
    assert bare.get("/models", headers={"Authorization": f"Bearer {ADMIN}"}).status_code == 200
    assert bare.get("/metrics/").status_code == 401


def test_keys_are_made_listed_and_revoked(client: Client) -> None:
    made = client.post("/keys", json={"name": "ann", "role": "writer"})
    assert made.status_code == 201
    key = made.json()["key"]
    assert client.get("/version", headers={"X-API-Key": key}).status_code == 200
    listed = client.get("/keys")
    assert [each["name"] for each in listed.json()["items"]] == ["ann"]
    assert key not in listed.text
    assert client.delete(f"/keys/{made.json()['id']}").status_code == 204
    assert client.get("/version", headers={"X-API-Key": key}).status_code == 401
    assert client.delete("/keys/nonsense").status_code == 404
    lines = client.get("/audit").json()["items"]
    assert [line["action"] for line in lines] == ["key.revoke", "key.create"]
    assert key not in json.dumps(lines)


def test_a_key_cannot_be_asked_for_twice(client: Client) -> None:
    refused = client.post("/keys", json={"name": "ann"}, headers={"Idempotency-Key": "k1"})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_input")
    assert "shown once" in refused.json()["error"]
    assert client.get("/keys").json()["items"] == []
    said = client.get("/openapi.json").json()["paths"]["/keys"]["post"]["parameters"]
    assert "Refused" in {each["name"].lower(): each["description"] for each in said}["idempotency-key"]


def test_only_an_admin_of_all_models_makes_keys_or_sees_the_audit_log(client: Client, key: Any) -> None:
    for headers in (key("reader"), key("writer"), key("admin", "team-*")):
        for method, path in (("GET", "/keys"), ("POST", "/keys"), ("DELETE", "/keys/abc"), ("GET", "/audit")):
            answer = client.request(method, path, headers=headers, json={"name": "x"} if method == "POST" else None)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert client.get("/keys", headers=key("admin")).status_code == 200


def test_errors_have_one_shape(client: Client) -> None:
    for method, path, status in (
        ("GET", "/nowhere", 404),
        ("GET", "/models/", 404),
        ("PUT", "/models", 405),
        ("TRACE", "/models", 405),
        ("POST", "/health", 405),
        ("GET", "/models/iris", 404),
        ("GET", "/models?limit=x", 422),
    ):
        answer = client.request(method, path)
        assert (answer.status_code, answer.json().keys()) == (status, {"error", "code"}), path
        assert answer.headers["x-request-id"]
    assert "limit" in client.get("/models?limit=0").json()["error"]


def test_a_body_that_is_no_json_or_too_large_is_refused(client: Client) -> None:
    headers = {"Content-Type": "application/json"}
    for content in (b"", b"{", b"\xff", b'{"name": NaN}', b"[" * 200_000, b'{"name":' + b"1" * 5000 + b"}"):
        answer = client.post("/models", content=content, headers=headers)
        assert (answer.status_code, answer.json().keys()) == (422, {"error", "code"}), content[:20]
    large = b'{"name":"iris","description":"' + b"x" * edge.BODY_BYTES + b'"}'
    bodies: list[Any] = [large, iter([large[:1000], large[1000:]])]
    for content in bodies:
        answer = client.post("/models", content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    kinds = [("Content-Type", "application/json"), ("Content-Type", "multipart/form-data; boundary=b")]
    for path in ("/models", "/models/iris/versions"):
        assert client.post(path, content=iter([large]), headers=kinds).status_code == 413


def test_an_upload_that_is_too_large_is_refused_and_leaves_nothing(
    client: Client, service: Service, draft: Drafts
) -> None:
    version = draft("v1", contents={"model.onnx": bytes(5 << 20)})
    form = body_of(version)
    answer = client.post("/models/iris/versions", **form)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    request = client.build_request("POST", "/models/iris/versions", **form)
    headers = {"Content-Type": request.headers["content-type"]}
    answer = client.post("/models/iris/versions", content=iter([request.read()]), headers=headers)
    assert answer.status_code == 413
    assert list(service.uploads.iterdir()) == []


def test_an_upload_that_is_given_up_leaves_nothing(client: Client, service: Service, draft: Drafts) -> None:
    request = client.build_request(
        "POST", "/models/iris/versions", **body_of(draft("v1", contents={"model.onnx": bytes(3 << 20)}))
    )
    head = f"POST /models/iris/versions HTTP/1.1\r\nHost: x\r\nX-API-Key: {ADMIN}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in request.headers.items() if name.startswith("content-"))
    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as connection:
        connection.sendall(head.encode() + b"\r\n" + request.read()[: 2 << 20])
        wait(lambda: any(service.uploads.glob(f"{uploads.PREFIX}*/0")))
    wait(lambda: list(service.uploads.iterdir()) == [])
    assert client.get("/models/iris").status_code == 404


def test_a_body_that_does_not_arrive_is_not_waited_for(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "RECEIVE_SECONDS", 0.1)
    head = f"POST /models HTTP/1.1\r\nHost: x\r\nX-API-Key: {ADMIN}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as connection:
        connection.sendall(head.encode() + b"{")
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")


def test_a_page_of_another_site_changes_nothing(client: Client) -> None:
    for site in ("cross-site", "same-site"):
        headers = {"Sec-Fetch-Site": site}
        assert client.post("/models", json={"name": "iris"}, headers=headers).status_code == 403
        assert client.get("/models", headers=headers).status_code == 200
    assert client.post("/models", json={"name": "iris"}, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 201


def test_over_plain_http_the_origin_of_a_page_must_be_this_host(client: Client) -> None:
    host = f"{client.base_url.host}:{client.base_url.port}"
    for origin in ("http://evil.example", "null", f"http://{client.base_url.host}", f"http://evil.example?://{host}"):
        headers = {"Origin": origin}
        assert client.post("/models", json={"name": "iris"}, headers=headers).status_code == 403, origin
        assert client.get("/models", headers=headers).status_code == 200
    assert client.post("/models", json={"name": "iris"}, headers={"Origin": f"http://{host}"}).status_code == 201
    assert client.post("/models", json={"name": "rose"}).status_code == 201  # a program


def test_a_request_id_is_taken_or_made(client: Client) -> None:
    assert client.get("/health", headers={"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    for odd in ("a b", "x" * 200, "a\tb"):
        made = client.get("/health", headers={"X-Request-Id": odd}).headers["x-request-id"]
        assert len(made) == 32


def test_requests_are_counted_by_route(client: Client) -> None:
    def counted() -> float:
        text = client.get("/metrics").text
        assert "mlplat_registry_database_up 1.0" in text
        line = 'mlplat_registry_requests_total{method="GET",route="/models/{name}",status="404"} '
        return float(text.partition(line)[2].partition("\n")[0] or 0)

    before = counted()
    client.get("/models/iris")
    client.get("/models/rose")
    assert counted() == before + 2


def test_the_documents_are_there_and_load_nothing_from_elsewhere(client: Client) -> None:
    page = client.get("/docs").text
    assert "http" not in page.replace("<html", "")
    for asset in ("start.js", "swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"):
        assert client.get(f"/docs/{asset}").status_code == 200
    document = client.get("/openapi.json").json()
    assert document["paths"]["/health"]["get"]["security"] == []
    assert set(document["components"]["securitySchemes"]) == {"key", "bearer", "password"}


def test_without_its_database_the_registry_says_when_to_come_back_and_recovers(
    postgresql: Any, tmp_path: Any, draft: Drafts
) -> None:
    store = open_object_store(str(tmp_path / "store"))
    url = postgresql.new_url(tables=True)
    database = Database(url)
    service = Service(database, store, KeyRing(database, admin_key=ADMIN), tmp_path, 1 << 20, RegistryMetrics())
    version = draft("v1")
    with serving(service) as base, Client(base_url=base, headers={"X-API-Key": ADMIN}, timeout=60) as client:
        assert service.prepared.wait(30)
        with database.write() as connection:
            other = make_key(connection, NewKey(name="ann"), now=utc_now()).key
        client.post("/models", json={"name": "iris"})
        postgresql.go(url)
        for method, path, body in (
            ("GET", "/models", None),
            ("GET", "/models/iris", None),
            ("GET", "/search?q=x", None),
            ("GET", "/audit", None),
            ("POST", "/models", {"name": "rose"}),
            ("PUT", "/models/iris/aliases/champion", {"version": "v1"}),
            ("DELETE", "/models/iris", None),
            ("GET", "/models/iris/versions/v1/files/model.onnx", None),
        ):
            answer = client.request(method, path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), path
            assert int(answer.headers["retry-after"]) > 0
        assert client.post("/models/iris/versions", **body_of(version)).status_code == 503
        assert client.get("/models", headers={"X-API-Key": other}).status_code == 503
        assert client.get("/health").status_code == 200
        ready = client.get("/ready")
        assert (ready.status_code, ready.json()["status"], ready.json()["database"]) == (503, "unready", "away")
        assert "mlplat_registry_database_up 0.0" in client.get("/metrics").text
        postgresql.come(url)
        wait(lambda: client.get("/ready").status_code == 200)
        assert client.get("/models").json()["items"][0]["name"] == "iris"
        assert client.post("/models/iris/versions", **body_of(version)).status_code in {200, 201}


def test_a_registry_that_starts_without_its_database_waits_for_it(postgresql: Any, tmp_path: Any) -> None:
    store = open_object_store(str(tmp_path / "store"))
    url = postgresql.new_url()
    postgresql.go(url)
    database = Database(url)
    service = Service(database, store, KeyRing(database, admin_key=ADMIN), tmp_path, 1 << 20, RegistryMetrics())
    with serving(service) as base, Client(base_url=base, headers={"X-API-Key": ADMIN}, timeout=60) as client:
        assert client.get("/health").status_code == 200
        assert client.get("/ready").status_code == 503
        answer = client.get("/models")
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "unavailable", "2")
        postgresql.come(url)
        wait(lambda: client.get("/ready").status_code == 200)
        assert client.get("/models").json() == {"items": [], "next": None}


def test_without_its_store_the_registry_answers_from_the_catalogue(
    database: Database, tmp_path: Any, draft: Drafts
) -> None:
    store = open_object_store(str(tmp_path / "store"))
    service = Service(database, store, KeyRing(database, admin_key=ADMIN), tmp_path, 4 << 20, RegistryMetrics())
    version = draft("v1")
    with (
        serving(service, sync_seconds=0.05) as base,
        Client(base_url=base, headers={"X-API-Key": ADMIN}, timeout=60) as client,
    ):
        assert service.prepared.wait(30)
        assert client.post("/models/iris/versions", **body_of(version)).status_code == 201
        (tmp_path / "store").rename(tmp_path / "away")
        wait(lambda: client.get("/ready").json()["store"] == "away")
        assert client.get("/ready").status_code == 200
        assert client.get("/models/iris/versions/v1").json()["card"] == "# A card\n"
        for method, path, body in (
            ("GET", "/models/iris/versions/v1/files/model.onnx", None),
            ("GET", "/models/iris/versions/v1/manifest", None),
            ("GET", "/models/iris/versions/v9", None),
            ("PUT", "/models/iris/aliases/champion", {"version": "v1"}),
            ("DELETE", "/models/iris/versions/v1", None),
        ):
            answer = client.request(method, path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), path
            assert int(answer.headers["retry-after"]) > 0
        assert client.post("/models/iris/versions", **body_of(draft("v2"))).status_code == 503
        (tmp_path / "away").rename(tmp_path / "store")
        assert client.get("/models/iris/versions/v1/files/model.onnx").status_code == 200
        wait(lambda: client.get("/ready").json()["store"] == "ok")


def test_what_others_publish_appears_by_itself(database: Database, tmp_path: Any, draft: Drafts) -> None:
    store = open_object_store(str(tmp_path / "store"))
    service = Service(database, store, KeyRing(database, open_to_all=True), tmp_path, 4 << 20, RegistryMetrics())
    with serving(service, sync_seconds=0.05) as base, Client(base_url=base, timeout=60) as client:
        version = draft("v1")
        store.publish(version.manifest, version.files)
        store.move("iris", "champion", "v1", reason="", by="")
        wait(lambda: bool(client.get("/models").json().get("items")))
        wait(lambda: client.get("/models").json()["items"][0]["aliases"] == {"champion": "v1"})
        assert client.get("/audit").status_code == 200  # everyone is an admin


def test_what_the_database_holds_alone_is_all_that_is_lost_with_it(
    url: str, postgresql: Any, tmp_path: Any, draft: Drafts
) -> None:
    """Descriptions, owners, tags, who published, when a model was changed, models without versions, keys, the audit log and
    idempotency keys; nothing else.
    """
    store = open_object_store(str(tmp_path / "store"))

    def ask(database: Database, act: Callable[[Client], Any]) -> Any:
        service = Service(database, store, KeyRing(database, open_to_all=True), tmp_path, 4 << 20, RegistryMetrics())
        with serving(service, sync_seconds=0.05) as base, Client(base_url=base, timeout=60) as client:
            assert service.prepared.wait(30)
            wait(lambda: "mlplat_registry_synced_timestamp_seconds 0.0" not in client.get("/metrics").text)
            return act(client)

    def write(client: Client) -> None:
        assert client.post("/models", json={"name": "planned"}).status_code == 201
        for version in ("v1", "v2", "v3"):
            assert client.post("/models/iris/versions", **body_of(draft(version))).status_code == 201
        for version in ("v1", "v2"):
            client.put("/models/iris/aliases/champion", json={"version": version, "reason": f"to {version}"})
        client.delete("/models/iris/versions/v3")
        client.patch("/models/iris", json={"description": "lost", "owner": "lost", "tags": {"lost": "x"}})
        client.patch("/models/iris/versions/v1", json={"tags": {"lost": "x"}})

    def read(client: Client) -> list[Any]:
        paths = ("versions", "versions/v1", "versions/v2", "versions/v3", "aliases", "aliases/champion/history")
        return [client.get("/models").json(), *(client.get(f"/models/iris/{path}").json() for path in paths)]

    first, second = Database(url), Database(postgresql.new_url())
    ask(first, write)
    before, after = ask(first, read), ask(second, read)
    assert [model["name"] for model in before[0]["items"]] == ["iris", "planned"]
    del before[0]["items"][1]  # it has no version
    assert before[-1] == after[-1]  # the history says who moved an alias, so that is not lost
    assert [known(each) for each in before[:-1]] == [known(each) for each in after[:-1]]
    assert before[:-1] != after[:-1]


def known(value: Any) -> Any:
    """An answer without what only the database holds."""
    if isinstance(value, list):
        return [known(each) for each in value]
    if isinstance(value, dict):
        return {name: known(each) for name, each in value.items() if name not in LOST}
    return value
