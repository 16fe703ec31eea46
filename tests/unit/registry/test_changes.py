"""Each write has one line in the audit log, of who made it, also if the database was away when the line was due."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from httpx import Client, Response
from sqlalchemy import func, select, update

from mlplat.errors import ConflictError, MlplatError, StoreError
from mlplat.registry import indexing
from mlplat.registry.audit import Author
from mlplat.registry.database import DatabaseError
from mlplat.registry.service import Service
from mlplat.registry.tables import audit
from mlplat.store import ObjectStore
from mlplat.store.aliases import utc_now

from .conftest import Publish

CHAMPION = "/models/iris/aliases/champion"
VERSION = "/models/iris/versions/v3"
WHY = {"reason": "a test"}
WRITES: dict[str, tuple[str, str, dict[str, str]]] = {
    "alias.move": ("PUT", CHAMPION, {"version": "v2", **WHY}),
    "alias.stay": ("POST", f"{CHAMPION}/stays", WHY),
    "alias.end": ("DELETE", CHAMPION, WHY),
    "version.delete": ("DELETE", VERSION, WHY),
    "model.delete": ("DELETE", "/models/rose", WHY),
}


@pytest.fixture(autouse=True)
def _published(client: Client, service: Service, publish: Publish) -> None:
    for version in ("v1", "v2", "v3"):
        publish(version)
    publish("v1", model="rose")
    indexing.index_store(service.database, service.store)
    client.put(CHAMPION, json={"version": "v1", "reason": "the first"})


def lines(client: Client, action: str) -> list[Any]:
    found: list[Any] = client.get(f"/audit?action={action}").json()["items"]
    return [line for line in found if (line["after"] or {}).get("reason") != "the first"]


def gone(answer: Response) -> bool:
    return (answer.status_code, answer.json()["code"]) == (404, "deleted")


def lose_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the database be away once, when the next line is due; the store has taken the write by then."""
    real = Author.note

    def note(*_: Any, **__: Any) -> None:
        monkeypatch.setattr(Author, "note", real)
        raise DatabaseError("The database does not answer: it is a test.", retry_after=2)

    monkeypatch.setattr(Author, "note", note)


@pytest.mark.parametrize("action", WRITES)
@pytest.mark.parametrize("is_synced", [False, True])
def test_a_write_whose_line_was_lost_leaves_it_when_it_is_sent_again(
    client: Client, service: Service, monkeypatch: pytest.MonkeyPatch, action: str, is_synced: bool
) -> None:
    method, path, body = WRITES[action]
    lose_a_line(monkeypatch)
    assert client.request(method, path, json=body).status_code == 503
    assert lines(client, action) == []
    if is_synced:
        indexing.index_store(service.database, service.store)
    again = client.request(method, path, json=body).status_code
    if is_synced and action == "alias.end":
        assert again == 404  # no one can say any more who ended it; docs/registry.md
        return
    assert again < 300
    client.request(method, path, json=body)
    (line,) = lines(client, action)
    assert (line["who"], line["after"]["reason"]) == ("admin", "a test")
    assert client.get(CHAMPION).status_code == (404 if action == "alias.end" else 200)


def test_a_line_is_dated_as_the_history_is(client: Client) -> None:
    for method, path, body in (WRITES["alias.move"], WRITES["alias.stay"]):
        assert client.request(method, path, json=body).is_success
    history = client.get(f"{CHAMPION}/history").json()["items"]
    said = [*lines(client, "alias.stay"), *lines(client, "alias.move")]
    assert [line["at"] for line in said] == [entry["at"] for entry in history[:2]]
    assert [line["before"] for line in said] == [{"version": "v2", "number": 2}, {"version": "v1", "number": 1}]
    assert [line["after"]["number"] for line in said] == [3, 2]


def test_a_line_of_an_older_release_is_not_written_again(client: Client, service: Service) -> None:
    said = {"alias.move": {"version": "v2", "number": 2, **WHY}, "alias.stay": WHY}  # a stay has no number there
    for action, after in said.items():
        method, path, body = WRITES[action]
        assert client.request(method, path, json=body).is_success
        with service.database.write() as connection:
            its = audit.c.action == action, audit.c.target == "champion"
            last = connection.scalar(select(func.max(audit.c.id)).where(*its))
            connection.execute(update(audit).where(audit.c.id == last).values(at=utc_now(), after=after))
        assert client.request(method, path, json=body).is_success
        (line,) = lines(client, action)
        assert line["after"] == after


def test_an_alias_that_is_made_anew_has_lines_of_its_own(client: Client) -> None:
    for reason in ("once", "twice"):
        assert client.request("DELETE", CHAMPION, json={"reason": reason}).status_code == 204
        assert client.put(CHAMPION, json={"version": "v1", "reason": reason}).status_code == 201
    for action in ("alias.end", "alias.move"):
        assert [line["after"]["reason"] for line in lines(client, action)] == ["twice", "once"]


def test_an_alias_that_is_made_anew_while_it_ends_has_its_new_history(
    client: Client, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("v2", "v3"):
        assert client.put(CHAMPION, json={"version": version, **WHY}).status_code == 200
    real = store.end

    def end(*given: str) -> list[int]:
        ended = real(*given)
        store.move("iris", "champion", "v2", reason="made anew", by="ann")
        return ended

    monkeypatch.setattr(store, "end", end)
    assert client.request("DELETE", CHAMPION, json=WHY).status_code == 204
    history = client.get(f"{CHAMPION}/history").json()["items"]
    assert [(entry["number"], entry["version"], entry["reason"]) for entry in history] == [(1, "v2", "made anew")]
    assert client.get(CHAMPION).json()["version"] == "v2"
    assert client.get("/models/iris").json()["aliases"]["champion"] == "v2"


def test_of_two_who_make_the_same_move_only_the_one_who_did_has_a_line(
    client: Client, store: ObjectStore, key: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = key("writer")
    real = store.move

    def meanwhile(*given: Any, **rest: Any) -> Any:
        monkeypatch.setattr(store, "move", real)
        faster = client.put(CHAMPION, json={"version": "v2", "reason": "mine"}, headers=other)
        assert faster.status_code == 200
        return real(*given, **rest)

    monkeypatch.setattr(store, "move", meanwhile)
    assert client.put(CHAMPION, json={"version": "v2", "reason": "too late"}).json()["reason"] == "mine"
    assert [(line["who"], line["after"]["reason"]) for line in lines(client, "alias.move")] == [("a writer", "mine")]


def test_of_two_who_delete_a_version_only_the_one_who_did_has_a_line(client: Client, store: ObjectStore) -> None:
    tombstone = store.delete("iris", "v3", by="ann", reason="by hand")
    assert client.request("DELETE", VERSION, json=WHY).status_code == 204
    (line,) = lines(client, "version.delete")
    assert (line["who"], line["key_id"], line["after"]) == ("ann", None, {"reason": "by hand"})
    assert datetime.fromisoformat(line["at"]) == tombstone.at
    assert "accuracy" in line["before"]["metrics"]
    assert gone(client.request("DELETE", VERSION, json=WHY))
    assert lines(client, "version.delete") == [line]


@pytest.mark.parametrize("is_another", [False, True])
def test_a_lost_line_of_a_deletion_is_left_by_who_deletes_again_for_another_reason(
    client: Client, key: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch, is_another: bool
) -> None:
    lose_a_line(monkeypatch)
    assert client.request("DELETE", VERSION, json=WHY).status_code == 503
    headers = key("admin") if is_another else {}
    reason = WHY if is_another else {"reason": "another"}
    assert client.request("DELETE", VERSION, json=reason, headers=headers).status_code == 204
    (line,) = lines(client, "version.delete")
    assert (line["who"], line["role"], line["after"]) == ("admin", "admin", WHY)
    assert gone(client.request("DELETE", VERSION, json=WHY))
    assert lines(client, "version.delete") == [line]


@pytest.mark.parametrize("is_kept", [False, True])
def test_what_the_line_of_a_model_tells_has_no_line_of_its_own(
    client: Client, store: ObjectStore, publish: Publish, monkeypatch: pytest.MonkeyPatch, is_kept: bool
) -> None:
    real = store.delete

    def meanwhile(*given: str, **rest: Any) -> Any:
        if is_kept:
            publish("v2", model="rose")
        return real(*given, **rest)

    monkeypatch.setattr(store, "delete", meanwhile)
    assert client.request("DELETE", "/models/rose", json=WHY).status_code == 204
    assert client.get("/models/rose").status_code == (200 if is_kept else 404)
    for reason in (WHY, {"reason": "another"}):
        assert gone(client.request("DELETE", "/models/rose/versions/v1", json=reason))
    assert lines(client, "version.delete") == []


@pytest.mark.parametrize("stopped", [ConflictError, StoreError])
def test_what_was_deleted_before_the_store_stopped_is_gone_and_has_lines(
    client: Client, service: Service, store: ObjectStore, monkeypatch: pytest.MonkeyPatch, stopped: type[MlplatError]
) -> None:
    assert client.request("DELETE", CHAMPION, json=WHY).status_code == 204
    real = store.delete

    def meanwhile(model: str, version: str, **rest: Any) -> Any:
        if version == "v1":  # someone else is faster, and a look at the store takes it out of the catalogue
            real(model, version, by="ann", reason="by hand")
            indexing.index_model(service.database, store, model)
        if version == "v3":
            raise stopped("It is a test.")
        return real(model, version, **rest)

    monkeypatch.setattr(store, "delete", meanwhile)
    refused = client.request("DELETE", "/models/iris", json=WHY)
    assert refused.status_code == stopped.status
    assert [each["version"] for each in client.get("/models/iris/versions").json()["items"]] == ["v3"]
    (line,) = lines(client, "version.delete")
    assert (line["target"], line["who"], line["after"]) == ("v2", "admin", WHY)
    assert "accuracy" in line["before"]["metrics"]
    monkeypatch.setattr(store, "delete", real)
    assert client.request("DELETE", "/models/iris", json=WHY).status_code == 204
    (whole,) = lines(client, "model.delete")
    assert whole["after"] == {**WHY, "versions": ["v3"]}


def test_what_was_deleted_before_an_alias_kept_a_version_is_said_and_gone(
    client: Client, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.request("DELETE", CHAMPION, json=WHY).status_code == 204
    real = store.delete

    def meanwhile(model: str, version: str, **rest: Any) -> Any:
        if version == "v2":
            store.move(model, "champion", version, reason="promoted meanwhile", by="ann")
        return real(model, version, **rest)

    monkeypatch.setattr(store, "delete", meanwhile)
    refused = client.request("DELETE", "/models/iris", json=WHY)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "'champion' names 'v2'" in refused.json()["error"]
    assert "Of its 3 versions 1 were deleted before." in refused.json()["error"]
    assert [each["version"] for each in client.get("/models/iris/versions?sort=version").json()["items"]] == [
        "v2",
        "v3",
    ]
    (line,) = lines(client, "version.delete")
    assert (line["target"], line["after"], "accuracy" in line["before"]["metrics"]) == ("v1", WHY, True)


def test_a_line_tells_the_key_of_those_who_have_one_name(client: Client) -> None:
    made = [client.post("/keys", json={"name": "ann", "role": "writer"}).json() for _ in range(2)]
    for number, each in enumerate(made):
        headers = {"X-API-Key": each["key"]}
        assert client.post("/models", json={"name": f"m{number}"}, headers=headers).status_code == 201
    said = client.get("/audit?action=model.create").json()["items"]
    assert [(line["who"], line["key_id"]) for line in said] == [("ann", each["id"]) for each in made[::-1]]
    assert {line["key_id"] for line in client.get("/audit?who=admin").json()["items"]} == {"admin"}
