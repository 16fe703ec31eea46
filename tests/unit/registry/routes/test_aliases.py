"""Aliases over HTTP: moved under a condition, so that of two promoters at once one is told."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from httpx import Client

from mlplat.store import Store

from .uploading import upload

Drafts = Callable[..., Any]
ALIAS = "/models/iris/aliases/champion"


@pytest.fixture(autouse=True)
def _published(client: Client, draft: Drafts) -> None:
    for version in ("v1", "v2", "v3"):
        assert upload(client, draft(version)).status_code == 201


def move(client: Client, version: str, **headers: str) -> Any:
    body = {"version": version, "reason": f"to {version}"}
    return client.put(ALIAS, json=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_an_alias_is_made_and_moved(client: Client, store: Store) -> None:
    made = move(client, "v1")
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    moved = move(client, "v2")
    assert (moved.status_code, moved.headers["etag"]) == (200, '"2"')
    found = client.get(ALIAS)
    assert (found.json(), found.headers["etag"]) == (moved.json(), '"2"')
    assert (found.json()["previous"], found.json()["by"], found.json()["reason"]) == ("v1", "admin", "to v2")
    assert store.alias("iris", "champion").version == "v2"
    assert client.get("/models/iris/aliases").json() == {"champion": found.json()}
    assert client.get("/models/iris").json()["aliases"] == {"champion": "v2"}
    assert client.get(ALIAS, headers={"If-None-Match": '"2"'}).status_code == 304


def test_a_move_to_what_it_names_is_none(client: Client) -> None:
    first = move(client, "v1")
    again = move(client, "v1")
    assert (again.status_code, again.json()) == (200, first.json())
    assert len(client.get("/audit?action=alias.move").json()["items"]) == 1


def test_a_move_after_another_one_is_refused(client: Client) -> None:
    move(client, "v1")
    move(client, "v2", If_Match='"1"')
    for condition in ('"1"', '"7"', "1", 'W/"2"', "x", '""', '"' + "9" * 30 + '"'):
        late = move(client, "v3", If_Match=condition)
        assert (late.status_code, late.json()["code"]) == (412, "changed"), condition
    assert move(client, "v2", If_Match='"1"').status_code == 200  # its reply may have been lost
    assert move(client, "v3", If_Match='"1", "2"').status_code == 200
    assert move(client, "v1", If_Match="*").status_code == 200


def test_an_alias_that_must_be_new_is(client: Client) -> None:
    assert move(client, "v1", If_Match="*").status_code == 412
    assert move(client, "v1", If_None_Match="*").status_code == 201
    assert move(client, "v2", If_None_Match="*").json()["code"] == "changed"
    assert move(client, "v2", If_None_Match='"1"').status_code == 422


def test_of_two_promoters_at_once_one_is_told(client: Client) -> None:
    move(client, "v1")
    with ThreadPoolExecutor(8) as threads:
        statuses = sorted(threads.map(lambda n: move(client, f"v{2 + n % 2}", If_Match='"1"').status_code, range(8)))
    assert set(statuses) == {200, 412}
    assert client.get(ALIAS).json()["number"] == 2


def test_a_move_that_another_made_in_the_store_is_seen(client: Client, store: Store) -> None:
    move(client, "v1")
    store.move("iris", "champion", "v2", reason="by hand", by="ann")
    assert move(client, "v3", If_Match='"1"').status_code == 412
    assert client.get(ALIAS).json()["number"] == 2
    store.move("iris", "other", "v2", reason="by hand", by="ann")
    assert client.get("/models/iris/aliases/other").json()["by"] == "ann"


def test_the_history_holds_every_decision(client: Client) -> None:
    for version in ("v1", "v2", "v1"):
        move(client, version)
    stay = client.post(f"{ALIAS}/stays", json={"reason": "v3 is no better"})
    assert (stay.status_code, stay.json()["version"], stay.json()["reason"]) == (201, "v1", "v3 is no better")
    again = client.post(f"{ALIAS}/stays", json={"reason": "v3 is no better"})
    assert (again.status_code, again.json()) == (201, stay.json()), "said once, in the log and in the audit"
    first = client.get(f"{ALIAS}/history?limit=3").json()
    rest = client.get(f"{ALIAS}/history", params={"cursor": first["next"]}).json()
    assert [each["number"] for each in first["items"] + rest["items"]] == [4, 3, 2, 1]
    assert [line["action"] for line in client.get("/audit?limit=2").json()["items"]] == ["alias.stay", "alias.move"]


def test_what_does_not_exist_is_not_named(client: Client) -> None:
    for path in (ALIAS, f"{ALIAS}/history", "/models/rose/aliases", "/models/rose/aliases/champion"):
        assert client.get(path).status_code == 404, path
    assert client.post(f"{ALIAS}/stays", json={"reason": "x"}).status_code == 404
    assert move(client, "v9").status_code == 404
    assert client.get("/models/iris/aliases").json() == {}


def test_roles_and_names(client: Client, key: Any) -> None:
    assert client.put(ALIAS, json={"version": "v1"}, headers=key("reader")).status_code == 403
    assert client.put(ALIAS, json={"version": "v1"}, headers=key("writer")).json()["by"] == "a writer"
    for alias in ("..", "a%2Fb", "-x", "a b", "%00"):
        assert client.put(f"/models/iris/aliases/{alias}", json={"version": "v1"}).status_code in {404, 405, 422}
    for body in ({}, {"version": "a/b"}, {"version": "v1", "reason": "\0"}, {"version": "v1", "by": "me"}):
        assert client.put(ALIAS, json=body).status_code == 422
