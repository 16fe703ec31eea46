"""The page of a version, and promoting it: after what its page showed, with a reason, by who may."""

from collections.abc import Callable
from typing import Any

import pytest
from httpx import Client
from tests.unit.registry.ui.conftest import Person, words

Make = Callable[..., Person]
PAGE = "/ui/models/iris/versions/v2"


@pytest.fixture(autouse=True)
def _published(client: Client, catalogued: Any) -> None:
    catalogued("v1", metrics={"accuracy": 0.5, "log_loss": 0.25, "odd": 1.0})
    catalogued("v2", metrics={"accuracy": 0.75, "log_loss": 0.5, "odd": 2.0})
    catalogued("v3")
    client.put("/models/iris/aliases/champion", json={"version": "v1", "reason": "the first"})


def moves(client: Client, alias: str = "champion") -> list[tuple[str, str, str]]:
    items = client.get(f"/models/iris/aliases/{alias}/history").json()["items"]
    return [(move["version"], move["by"], move["reason"]) for move in items]


def test_the_page_says_what_is_known_about_a_version(client: Client, person: Make) -> None:
    client.patch("/models/iris/versions/v2", json={"tags": {"reviewed": "yes"}})
    page = person("reader").open(PAGE)
    for said in (
        "iris v2",
        "reviewed: yes",
        "In grey those of v1, which champion names.",
        "accuracy 0.75 better 0.5",
        "log_loss 0.5 worse 0.25",
        "odd 2 1",
        "A card",
        "one of 2 classes: a, b.",
        "1 column",
        "a (75%) 1",
        "model.onnx 267 B",
        "made with numpy 2.0",
        "No alias ever named it.",
    ):
        assert said in words(page), said
    assert 'aria-label="0.75, the other 0.5"' in page
    assert 'href="../../../../ui/models/iris/compare?left=v1&amp;right=v2"' in page
    assert f'href="../../../..{PAGE}/files/model.onnx" download' in page


def test_a_promotion_moves_the_alias_and_says_so(client: Client, person: Make) -> None:
    someone = person()
    answer = someone.send(someone.open(PAGE), PAGE, {"alias": " champion ", "reason": " it is better\r\n "})
    assert (answer.status_code, answer.headers["location"]) == (303, f"../../../..{PAGE}?moved=champion")
    page = words(someone.open(f"{PAGE}?moved=champion"))
    assert "champion names v2 since" in page
    assert "champion v1 → v2" in page
    assert moves(client) == [("v2", "a writer", "it is better"), ("v1", "admin", "the first")]
    (line,) = client.get("/audit?who=a writer").json()["items"]
    assert (line["action"], line["target"], line["before"]["version"], line["after"]) == (
        "alias.move",
        "champion",
        "v1",
        {"version": "v2", "number": 2, "reason": "it is better"},
    )


def test_a_new_alias_is_made(client: Client, person: Make) -> None:
    someone = person()
    assert someone.send(someone.open(PAGE), PAGE, {"alias": "canary", "reason": "try"}).status_code == 303
    assert moves(client, "canary") == [("v2", "a writer", "try")]


def test_an_alias_that_moved_meanwhile_is_left_and_the_page_says_who_moved_it(client: Client, person: Make) -> None:
    someone = person()
    page = someone.open(PAGE)
    client.put("/models/iris/aliases/champion", json={"version": "v3", "reason": "in a <hurry>"})
    answer = someone.send(page, PAGE, {"alias": "champion", "reason": "it is better"})
    assert answer.status_code == 412
    assert "champion was moved meanwhile, from v1 to v3, by admin on " in words(answer.text)
    assert "in a <hurry>. Nothing was changed; look again." in words(answer.text)
    assert moves(client)[0] == ("v3", "admin", "in a <hurry>")
    assert 'value="champion:2"' in answer.text
    assert 'value="it is better"' in answer.text
    assert someone.send(answer.text, PAGE, {"alias": "champion", "reason": "still"}).status_code == 303
    assert moves(client)[0] == ("v2", "a writer", "still")


def test_an_alias_that_was_made_meanwhile_is_left(client: Client, person: Make) -> None:
    someone = person()
    page = someone.open(PAGE)
    client.put("/models/iris/aliases/canary", json={"version": "v3"})
    answer = someone.send(page, PAGE, {"alias": "canary", "reason": "try"})
    assert (answer.status_code, "canary was moved meanwhile, to v3" in words(answer.text)) == (412, True)


def test_an_alias_that_was_kept_meanwhile_is_left(client: Client, person: Make) -> None:
    someone = person()
    page = someone.open(PAGE)
    client.post("/models/iris/aliases/champion/stays", json={"reason": "v2 is too slow"})
    answer = someone.send(page, PAGE, {"alias": "champion", "reason": "better"})
    assert answer.status_code == 412
    assert "Meanwhile it was decided that champion stays with v1, by admin" in words(answer.text)


def test_an_alias_that_names_it_already_stays(client: Client, person: Make) -> None:
    someone = person()
    page = someone.open(PAGE)
    client.put("/models/iris/aliases/champion", json={"version": "v2", "reason": "faster"})
    assert someone.send(page, PAGE, {"alias": "champion", "reason": "better"}).status_code == 303
    assert moves(client)[0] == ("v2", "admin", "faster")


WRONG: list[tuple[dict[str, str], str]] = [
    ({"alias": "champion", "reason": " "}, "Say why"),
    ({"alias": "champion"}, "Say why"),
    ({"alias": "champion", "reason": "\0"}, "Say why"),
    ({"alias": "champion", "reason": "x" * 70_000}, "Say why"),
    ({"alias": "<b>", "reason": "x"}, "'<b>' cannot name an alias."),
    ({"alias": "../x", "reason": "x"}, "'../x' cannot name an alias."),
    ({"alias": "", "reason": "x"}, "'' cannot name an alias."),
]


def test_a_form_that_is_not_filled_right_is_shown_again(client: Client, person: Make) -> None:
    someone = person()
    page = someone.open(PAGE)
    for fields, sentence in WRONG:
        answer = someone.send(page, PAGE, fields)
        assert (answer.status_code, sentence in words(answer.text)) == (422, True), fields
        assert "Promote v2" in words(answer.text)
    assert len(moves(client)) == 1


def test_a_reader_has_no_form_and_is_refused(client: Client, person: Make) -> None:
    reader = person("reader")
    page = reader.open(PAGE)
    assert 'name="reason"' not in page
    answer = reader.send(page, PAGE, {"alias": "champion", "reason": "x", "seen": ["champion:1"]})
    assert (answer.status_code, "This needs a key with the role writer" in words(answer.text)) == (403, True)
    assert len(moves(client)) == 1


def test_a_version_that_is_none_or_was_deleted_is_not_promoted(client: Client, person: Make) -> None:
    someone = person()
    page = someone.open(PAGE)
    client.request("DELETE", "/models/iris/versions/v3", json={"reason": "it leaks"})
    for version, sentence in (("v9", "There is no version 'v9'"), ("v3", "by admin (it leaks)")):
        answer = someone.send(page, f"/ui/models/iris/versions/{version}", {"alias": "champion", "reason": "x"})
        assert (answer.status_code, sentence in words(answer.text)) == (404, True)
    assert len(moves(client)) == 1


def test_a_number_that_is_none_counts_as_none_seen(client: Client, person: Make) -> None:
    someone = person()
    page = someone.open(PAGE)
    for seen in (["x"], ["champion:x"], ["champion:-1"], ["champion:99999999999"], ["a" * 9000], [":1"], []):
        answer = someone.send(page, PAGE, {"alias": "champion", "reason": "x", "seen": seen})
        assert answer.status_code == 412
    assert len(moves(client)) == 1


def test_two_versions_are_compared(person: Make) -> None:
    page = words(person("reader").open("/ui/models/iris/compare?left=v1&right=v2"))
    assert "accuracy 0.5 0.75 better +0.25" in page
    assert "log_loss 0.25 better 0.5 +0.25" in page
    assert "odd 1 2 +1" in page
    assert "All 2 are alike." in page
