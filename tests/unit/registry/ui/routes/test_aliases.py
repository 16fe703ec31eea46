"""The page of an alias: its history, and the way back."""

from collections.abc import Callable
from typing import Any

import pytest
from httpx import Client
from tests.unit.registry.ui.conftest import Person, words

Make = Callable[..., Person]
PAGE = "/ui/models/iris/aliases/champion"


@pytest.fixture(autouse=True)
def _moved(client: Client, catalogued: Any) -> None:
    for version in ("v1", "v2", "v3"):
        catalogued(version)
        client.put("/models/iris/aliases/champion", json={"version": version, "reason": f"to {version}"})


def names(client: Client) -> tuple[str, str, str]:
    move = client.get("/models/iris/aliases/champion").json()
    return move["version"], move["by"], move["reason"]


def test_the_history_is_shown_from_the_newest(client: Client, person: Make) -> None:
    client.post("/models/iris/aliases/champion/stays", json={"reason": "no better one"})
    page = words(person("reader").open(PAGE))
    parts = ["stays with v3 #4", "no better one", "v2 → v3 #3", "to v3", "v1 → v2 #2", "begins with v1 #1"]
    assert [page.index(part) for part in parts] == sorted(page.index(part) for part in parts)
    assert "it may look, and not roll back" in page


def test_it_goes_back_to_the_version_before_or_to_any_that_is_listed(client: Client, person: Make) -> None:
    someone = person()
    page = someone.open(PAGE)
    assert '<option value="v2">v2 (the one before)</option><option value="v1">v1</option>' in page
    answer = someone.send(page, PAGE, {"version": "v2", "reason": "slow"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"../../../..{PAGE}?moved=1")
    assert names(client) == ("v2", "a writer", "slow")
    page = someone.open(f"{PAGE}?moved=1")
    assert "champion names v2 since" in words(page)
    assert someone.send(page, PAGE, {"version": "v1", "reason": "slow, too"}).status_code == 303
    assert names(client) == ("v1", "a writer", "slow, too")


def test_what_was_deleted_is_no_way_back(client: Client, person: Make) -> None:
    someone = person()
    page = someone.open(PAGE)
    client.request("DELETE", "/models/iris/versions/v2", json={"reason": "it leaks"})
    answer = someone.send(page, PAGE, {"version": "v2", "reason": "x"})
    assert (answer.status_code, "was deleted on" in words(answer.text)) == (404, True)
    page = someone.open(PAGE)
    assert '<option value="v1">' in page
    assert '<option value="v2">' not in page
    assert "v2 deleted" in words(page)


def test_one_that_moved_meanwhile_is_left(client: Client, person: Make) -> None:
    someone = person()
    page = someone.open(PAGE)
    client.put("/models/iris/aliases/champion", json={"version": "v1", "reason": "I know better"})
    answer = someone.send(page, PAGE, {"version": "v2", "reason": "slow"})
    assert answer.status_code == 412
    assert "champion was moved meanwhile, from v3 to v1, by admin on" in words(answer.text)
    assert names(client) == ("v1", "admin", "I know better")
    assert 'value="slow"' in answer.text
    assert '<option value="v2" selected>' in answer.text
    assert someone.send(answer.text, PAGE, {"version": "v2", "reason": "slow", "seen": "4"}).status_code == 303


def test_it_says_why_and_is_done_by_who_may(client: Client, person: Make) -> None:
    someone = person()
    page = someone.open(PAGE)
    assert someone.send(page, PAGE, {"version": "v2", "reason": ""}).status_code == 422
    assert someone.send(page, PAGE, {"version": "v2", "reason": "x", "seen": "x"}).status_code == 422
    assert someone.send(page, PAGE, {"version": "", "reason": "x"}).status_code == 400
    assert someone.send(page, PAGE, {"version": "../v2", "reason": "x"}).status_code == 400
    reader = person("reader")
    page = reader.open(PAGE)
    assert reader.send(page, PAGE, {"version": "v2", "reason": "x", "seen": "3"}).status_code == 403
    assert names(client)[0] == "v3"


def test_a_long_history_goes_on_from_page_to_page(client: Client, person: Make) -> None:
    for index in range(50):
        client.put("/models/iris/aliases/champion", json={"version": f"v{index % 2 + 1}"})
    someone = person()
    first = someone.open(PAGE)
    following = first.split('href="?cursor')[1].split('"')[0]
    second = words(someone.open(f"{PAGE}?cursor{following}"))
    assert ("#53" in words(first), "#4 " in words(first), "#3 " in words(first)) == (True, True, False)
    assert ("#3 " in second, "#1 " in second, "#4 " in second) == (True, True, False)
