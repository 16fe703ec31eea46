"""Models over HTTP."""

from collections.abc import Callable
from typing import Any

import pytest
from httpx import Client

from mlplat.registry import entries
from mlplat.registry.service import Service
from mlplat.store import ObjectStore

from .uploading import upload

Drafts = Callable[..., Any]
Key = Callable[..., dict[str, str]]


def test_a_model_is_made_changed_and_found(client: Client) -> None:
    asked = {"name": "iris", "description": "Which flower?", "owner": "ann", "tags": {"team": "blue"}}
    made = client.post("/models", json=asked)
    assert (made.status_code, made.headers["location"]) == (201, "/models/iris")
    assert made.json() | asked == made.json()
    assert (made.json()["versions"], made.json()["latest"], made.json()["aliases"]) == (0, None, {})
    changed = client.patch("/models/iris", json={"owner": None, "tags": {"stage": "live"}}).json()
    assert (changed["owner"], changed["tags"], changed["description"]) == (None, {"stage": "live"}, "Which flower?")
    assert changed["updated_at"] > made.json()["updated_at"]
    assert client.get("/models/iris").json() == changed
    for found in ("/models?tag=stage:live", "/search?q=flow", "/search?q=LIVE", "/models?sort=-updated_at"):
        assert client.get(found).json() == {"items": [changed], "next": None}, found
    for nothing in ("/models?tag=team:blue", "/models?owner=ann", "/search?q=blue"):
        assert client.get(nothing).json() == {"items": [], "next": None}, nothing


def test_a_key_says_before_it_is_needed_what_it_is_for(client: Client, key: Key) -> None:
    writer = key("writer", "team-*")
    assert client.get("/models/team-a/access?role=writer", headers=writer).status_code == 204
    for path, words in (("team-a/access?role=admin", "the role admin"), ("iris/access?role=reader", "named team-*")):
        refused = client.get(f"/models/{path}", headers=writer)
        assert (refused.status_code, refused.json()["code"], words in refused.json()["error"]) == (
            403,
            "forbidden",
            True,
        )
    assert client.get("/models/team-a/access?role=owner").status_code == 422


def test_a_name_is_taken_once(client: Client) -> None:
    assert client.post("/models", json={"name": "iris"}).status_code == 201
    again = client.post("/models", json={"name": "iris"})
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


def test_a_create_that_is_sent_twice_is_answered_twice_alike(client: Client) -> None:
    key = {"Idempotency-Key": "k1"}
    first, second = (client.post("/models", json={"name": "iris"}, headers=key) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    assert client.post("/models", json={"name": "rose"}, headers=key).json()["code"] == "idempotency_mismatch"


def test_a_model_is_deleted_with_its_versions_unless_an_alias_names_one(
    client: Client, draft: Drafts, store: ObjectStore
) -> None:
    for version in ("v1", "v2"):
        assert upload(client, draft(version)).status_code == 201
    store.move("iris", "champion", "v1", reason="", by="")
    refused = client.delete("/models/iris")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert store.versions("iris") == ["v1", "v2"]
    upload(client, draft("v1", model="rose"))
    assert client.request("DELETE", "/models/rose", json={"reason": "a test"}).status_code == 204
    assert client.get("/models/rose").status_code == 404
    tombstone = store.tombstone("rose", "v1")
    assert tombstone is not None
    assert (tombstone.by, tombstone.reason) == ("admin", "a test")
    assert upload(client, draft("v1", model="rose")).json()["code"] == "deleted"


def test_what_is_published_while_its_model_is_deleted_stays(
    client: Client, draft: Drafts, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.post("/models", json={"name": "iris", "description": "kept"}).status_code == 201
    assert upload(client, draft("v1")).status_code == 201
    real = store.delete

    def meanwhile(*given: Any, **rest: Any) -> Any:
        assert upload(client, draft("v2")).status_code == 201
        return real(*given, **rest)

    monkeypatch.setattr(store, "delete", meanwhile)
    assert client.delete("/models/iris").status_code == 204
    assert [each["version"] for each in client.get("/models/iris/versions").json()["items"]] == ["v2"]
    model = client.get("/models/iris").json()
    assert (model["versions"], model["latest"], model["description"]) == (1, "v2", "kept")


def test_a_version_that_is_deleted_before_the_catalogue_has_it_is_not_in_it(
    client: Client, draft: Drafts, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert upload(client, draft("v1")).status_code == 201
    real = entries.read_entry

    def meanwhile(*given: Any) -> Any:
        entry = real(*given)
        assert client.delete("/models/iris").status_code == 204
        return entry

    monkeypatch.setattr("mlplat.registry.changes.read_entry", meanwhile)
    assert upload(client, draft("v2")).json()["code"] == "deleted"
    assert client.get("/models/iris/versions").status_code == 404


def test_a_model_whose_aliases_were_ended_can_be_deleted(client: Client, draft: Drafts, store: ObjectStore) -> None:
    assert upload(client, draft("v1")).status_code == 201
    for version in ("v1", "v1"):
        store.move("iris", "champion", version, reason="", by="")
    refused = client.delete("/models/iris")
    assert "DELETE /models/iris/aliases/champion" in refused.json()["error"]
    assert client.request("DELETE", "/models/iris/aliases/champion", json={"reason": "over"}).status_code == 204
    assert client.get("/models/iris/aliases/champion").status_code == 404
    assert client.delete("/models/iris/aliases/champion").status_code == 404
    line = client.get("/audit?action=alias.end").json()["items"][0]
    assert (line["target"], line["before"]["version"], line["after"]) == ("champion", "v1", {"reason": "over"})
    assert client.delete("/models/iris").status_code == 204
    assert client.get("/models/iris").status_code == 404


def test_a_model_that_only_the_store_knows_is_found(client: Client, draft: Drafts, store: ObjectStore) -> None:
    version = draft("v1")
    store.publish(version.manifest, version.files)
    assert client.get("/models/iris").json()["versions"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "../x"},
        {"name": "a..b"},
        {"name": "a\n"},
        {"name": "iris", "other": 1},
        {"name": "iris", "owner": "x" * 256},
        {"name": "iris", "owner": "a\nb"},
        {"name": "iris", "description": "a\0b"},
        {"name": "iris", "description": "x" * 70_000},
        {"name": "iris", "tags": {"": "x"}},
        {"name": "iris", "tags": {"a b": "x"}},
        {"name": "iris", "tags": {"a": "x\0"}},
        {"name": "iris", "tags": {"a": 1}},
        {"name": "iris", "tags": {f"k{number}": "" for number in range(65)}},
        {"name": ["iris"]},
        [],
        "iris",
        None,
    ],
)
def test_what_is_no_model_is_refused(client: Client, body: Any) -> None:
    answer = client.post("/models", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json().keys() == {"error", "code"}


def test_a_lone_surrogate_is_refused(client: Client) -> None:
    for field in ('"name":"iris","description":"\\ud800"', '"name":"\\udfff"', '"name":"iris","tags":{"a":"\\ud800"}'):
        answer = client.post("/models", content="{" + field + "}", headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("text", ["'; DROP TABLE models; --", "%", "_", "\\", '"', "$1", ":name", "{}", "ünï\u2028"])
def test_sql_is_only_a_text(client: Client, text: str) -> None:
    line = text.replace("\u2028", "")
    made = client.post("/models", json={"name": "iris", "description": text, "owner": line, "tags": {"a": line}})
    assert made.status_code == 201, made.text
    assert client.get("/models/iris").json()["description"] == text
    assert client.get("/models", params={"owner": line}).json()["items"] == [made.json()]
    assert client.get("/models", params={"tag": f"a:{line}"}).json()["items"] == [made.json()]
    for field in ("owner", "tag", "sort", "cursor", "limit"):
        assert client.get("/models", params={field: text}).status_code in {200, 422}
    assert client.get("/search", params={"q": text}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/models?limit=0",
        "/models?limit=201",
        "/models?limit=x",
        "/models?cursor=x",
        "/models?sort=owner",
        "/models?tag=",
        "/search",
        "/search?q=",
        "/models/a..b",
        "/models/-x",
        "/models/%00",
        "/models/..%5Cx",
        "/models/" + "x" * 64,
    ],
)
def test_what_cannot_be_asked_is_a_422(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"]


def test_nul_in_a_query_finds_nothing_or_is_refused(client: Client) -> None:
    for query in ("owner=%00", "tag=a%00:b", "tag=a:%00", "cursor=%00", "sort=%00"):
        assert client.get(f"/models?{query}").status_code in {200, 422}
    assert client.get("/search?q=%00").json()["items"] == []


def test_what_a_key_is_not_for_is_hidden(client: Client, key: Key) -> None:
    for name in ("team-a", "other"):
        client.post("/models", json={"name": name})
    mine = key("writer", "team-*")
    assert [model["name"] for model in client.get("/models", headers=mine).json()["items"]] == ["team-a"]
    assert client.get("/search?q=other", headers=mine).json()["items"] == []
    assert client.get("/models/team-a", headers=mine).status_code == 200
    assert client.get("/models/other", headers=mine).status_code == 404
    for method, path, body in (
        ("PATCH", "/models/other", {}),
        ("POST", "/models", {"name": "mine"}),
        ("POST", "/models/other/versions", {"version": "v1"}),
        ("PUT", "/models/other/aliases/champion", {"version": "v1"}),
        ("POST", "/models/other/aliases/champion/stays", {"reason": ""}),
        ("PATCH", "/models/other/versions/v1", {}),
        ("DELETE", "/models/team-a", None),
    ):
        answer = client.request(method, path, json=body, headers=mine)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), (method, path)


def test_every_write_leaves_a_line(client: Client, service: Service) -> None:
    client.post("/models", json={"name": "iris", "owner": "ann"}, headers={"X-Request-Id": "r-1"})
    client.patch("/models/iris", json={"owner": "bob"})
    client.delete("/models/iris")
    lines = client.get("/audit?model=iris").json()["items"]
    assert [line["action"] for line in lines] == ["model.delete", "model.patch", "model.create"]
    assert (lines[1]["before"], lines[1]["after"]) == ({"owner": "ann"}, {"owner": "bob"})
    assert (lines[2]["who"], lines[2]["role"], lines[2]["request_id"]) == ("admin", "admin", "r-1")
