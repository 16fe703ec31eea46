"""Whatever goes wrong at a page is said by a page; programs are answered as ever."""

from collections.abc import Callable
from typing import Any

import pytest
from httpx import Client

from mlplat.objects.files import FileObjects
from mlplat.registry import catalogue
from mlplat.registry.database import Database
from mlplat.registry.service import Service
from mlplat.registry.ui.rendering import HEADERS
from mlplat.store import ObjectStore

from .conftest import Person, words

Make = Callable[..., Person]


REFUSED = [
    ("/ui/nowhere", 404, "There is nothing at /ui/nowhere"),
    ("/ui/models/nothing", 404, "There is no model 'nothing'."),
    ("/ui/models/nothing/versions/v1", 404, "There is no model 'nothing' with versions."),
    ("/ui/models/nothing/aliases/champion", 404, "There is no model 'nothing'."),
    ("/ui/models/nothing/compare", 422, "Choose two versions"),
    ("/ui/models/-x-", 422, "path.name"),
    ("/ui?sort=sideways", 422, "sort: found 'sideways'"),
    ("/ui?cursor=x", 422, "The cursor is none of this list."),
    ("/ui/audit?since=tomorrow", 422, "since: found 'tomorrow', expected a day such as 2026-01-31."),
    ("/ui/", 404, "There is nothing at /ui/"),
]


def test_an_error_is_a_page_with_its_sentence_and_status(person: Make) -> None:
    someone = person("admin")
    for path, status, sentence in REFUSED:
        assert sentence in words(someone.open(path, status)), path


def test_every_answer_beneath_ui_has_the_headers_that_keep_it_apart(person: Make) -> None:
    someone = person()
    answers = [
        someone.client.get(path) for path in ("/ui", "/ui/nowhere", "/ui/login", "/ui/static/ui.css", "/ui/audit")
    ]
    answers += [
        someone.client.post("/ui/login"),
        someone.client.put("/ui"),
        someone.client.request("TRACE", "/ui"),
    ]
    for answer in answers:
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, answer.url
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-request-id"]
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}


def test_no_page_holds_what_the_policy_forbids(client: Client, person: Make, publish: Any) -> None:
    publish("v1")
    publish("v2")
    client.put("/models/iris/aliases/champion", json={"version": "v1"})
    someone = person("admin")
    for path in (
        "/ui",
        "/ui/login",
        "/ui/audit",
        "/ui/models/iris",
        "/ui/models/iris/versions/v2",
        "/ui/models/iris/aliases/champion",
        "/ui/models/iris/compare?left=v1&right=v2",
    ):
        page = someone.open(path)
        for forbidden in ("<script", " style=", "<style", "javascript:", "http://", "https://", " onclick"):
            if forbidden == "http://":
                page = page.replace("http://REGISTRY", "")
            assert forbidden not in page, path


def test_a_method_that_is_not_allowed_is_said_by_a_page(person: Make) -> None:
    someone = person()
    answer = someone.client.put("/ui", headers={"Origin": someone.url})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert "PUT is not allowed at /ui" in words(answer.text)


def test_who_may_not_see_the_audit_log_is_told(person: Make) -> None:
    for someone in (person("writer"), person("admin", "team-*")):
        someone.open("/ui/audit", 403)


def test_a_database_that_is_away_is_a_page_that_says_when_to_come_back(
    client: Client, person: Make, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    someone = person()
    service.prepared.clear()
    answer = someone.client.get("/ui")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert "The registry has not reached its database yet." in words(answer.text)
    assert client.get("/models").json()["code"] == "unavailable"
    service.prepared.set()
    someone.open("/ui")


def test_a_database_that_went_away_is_a_page_too(person: Make, service: Service, url: str, request: Any) -> None:
    if service.database.is_shared:
        someone = person()
        postgresql = request.getfixturevalue("postgresql")
        postgresql.go(url)
        try:
            answer = someone.client.get("/ui")
            assert (answer.status_code, "The database does not answer" in words(answer.text)) == (503, True)
            assert int(answer.headers["retry-after"]) > 0
        finally:
            postgresql.come(url)
        someone.open("/ui")


def test_a_store_that_is_away_leaves_what_the_catalogue_knows(person: Make, publish: Any, store: ObjectStore) -> None:
    assert isinstance(store.objects, FileObjects)
    folder = store.objects.root
    away = folder.with_name("away")
    publish("v1")
    someone = person()
    someone.open("/ui/models/iris/versions/v1")
    folder.rename(away)
    page = someone.open("/ui/models/iris/versions/v1")
    assert "They cannot be read now." in words(page)
    answer = someone.client.get("/ui/models/iris/versions/v1/files/model.onnx")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    moved = someone.send(page, "/ui/models/iris/versions/v1", {"alias": "champion", "reason": "x"})
    assert (moved.status_code, "Away for a moment" in words(moved.text)) == (503, True)
    away.rename(folder)
    moved = someone.send(page, "/ui/models/iris/versions/v1", {"alias": "champion", "reason": "x"})
    assert moved.status_code == 303


def test_what_nobody_foresaw_is_a_page_without_details(person: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    someone = person()

    def fail(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(catalogue, "list_models", fail)
    page = someone.open("/ui", 500)
    assert "The registry failed on this request; the reason is in its log." in words(page)
    assert "a secret" not in page


def test_programs_are_answered_as_ever(client: Client, database: Database) -> None:
    for path in ("/nowhere", "/uix", "/models/nothing"):
        assert client.get(path, headers={"Accept": "text/html"}).json()["code"] == "not_found"
    assert not [path for path in client.get("/openapi.json").json()["paths"] if path.startswith("/ui") or path == "/"]


def test_a_form_that_is_none_is_said_so(person: Make) -> None:
    someone = person()
    headers = {"Content-Type": "multipart/form-data", "Origin": someone.url}
    answer = someone.client.post("/ui/login", content=b"nonsense", headers=headers)
    assert answer.status_code == 422
    assert "The body is not a form." in answer.text
