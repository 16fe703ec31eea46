"""The list of models and the page of one: what is there, a page at a time, for who may see it."""

from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from httpx import Client
from tests.unit.registry.conftest import counted
from tests.unit.registry.ui.conftest import Person, words

from mlplat.registry.service import Service

Make = Callable[..., Person]


def test_an_empty_registry_teaches_how_to_catalogued(person: Make) -> None:
    page = words(person().open("/ui"))
    assert "mlplat train --recipe iris --version v1 --store http://REGISTRY" in page


def test_models_are_listed_with_what_people_say_of_them(client: Client, person: Make, catalogued: Any) -> None:
    catalogued("v1")
    catalogued("v2")
    client.put("/models/iris/aliases/champion", json={"version": "v1"})
    client.patch("/models/iris", json={"description": "of flowers", "owner": "botany", "tags": {"stage": "production"}})
    someone = person()
    page = someone.open("/ui")
    for said in ("iris of flowers stage: production v2 of 2 champion v1 botany",):
        assert said in words(page)
    for link in ("models/iris", "models/iris/versions/v2", "models/iris/aliases/champion"):
        assert f'href="./ui/{link}"' in page
    assert 'href="./ui?tag=stage%3Aproduction"' in page
    assert "iris" in words(someone.open("/ui?tag=stage%3Aproduction"))
    assert "There is no such model" in words(someone.open("/ui?owner=zoology"))


def test_models_are_found_by_words(client: Client, person: Make) -> None:
    client.post("/models", json={"name": "iris", "description": "Three kinds of flowers"})
    client.post("/models", json={"name": "churn"})
    someone = person()
    page = words(someone.open("/ui?q=flow%20kin"))
    assert "iris" in page
    assert "churn" not in page
    assert "There is no such model" in words(someone.open("/ui?q=%3Cscript%3E"))
    assert "<script" not in someone.open("/ui?q=%22%3E%3Cscript%3E")
    assert "churn" in words(someone.open("/ui?q=++"))


def test_lists_go_on_from_page_to_page(client: Client, person: Make) -> None:
    for index in range(52):
        client.post("/models", json={"name": f"m{index:02}", "tags": {"a": "b"}})
    someone = person("reader")
    first = someone.open("/ui?tag=a%3Ab&sort=-created_at")
    following = first.split('href="?tag')[1].split('"')[0].replace("&amp;", "&")
    second = words(someone.open(f"/ui?tag{following}"))
    assert ("m51" in words(first), "m02" in words(first), "m01" in words(first)) == (True, True, False)
    assert ("m01" in second, "m00" in second, "m02" in second) == (True, True, False)
    assert "To the first page" in second
    assert "Next page" not in second


def test_the_page_of_a_model_shows_versions_aliases_and_metrics(client: Client, person: Make, catalogued: Any) -> None:
    for index, accuracy in enumerate((0.5, 0.75, 0.25), 1):
        catalogued(f"v{index}", metrics={"accuracy": accuracy})
    client.put("/models/iris/aliases/champion", json={"version": "v2", "reason": "the best"})
    someone = person()
    page = someone.open("/ui/models/iris")
    assert "by admin: the best" in words(page)
    assert 'aria-label="accuracy: from 0.5 of v1 to 0.25 of v3"' in page
    assert page.count('type="radio" name="left"') == 3
    best = words(someone.open("/ui/models/iris?sort=-metric:accuracy"))
    rows = best.split("made recipe")[1]
    assert rows.index("v2") < rows.index("v1") < rows.index("v3")
    some = words(someone.open("/ui/models/iris?metric=accuracy%3E%3D0.5&sort=-created_at")).split("made recipe")[1]
    assert ("v1 " in some, "v2 " in some, "v3 " in some) == (True, True, False)
    assert "No version is like that." in words(someone.open("/ui/models/iris?metric=accuracy%3E0.9"))
    someone.open("/ui/models/iris?metric=nonsense", 422)


def test_a_model_without_versions_teaches_how_to_publish_one(client: Client, person: Make) -> None:
    client.post("/models", json={"name": "iris"})
    assert "mlplat train --recipe RECIPE --model iris" in words(person().open("/ui/models/iris"))


def test_a_model_that_the_key_is_not_for_is_none(client: Client, person: Make, catalogued: Any) -> None:
    catalogued("v1", model="iris")
    catalogued("v1", model="team-a")
    someone = person("writer", "team-*")
    page = someone.open("/ui/models/team-a/versions/v1")
    assert "iris" not in words(someone.open("/ui")).replace("RECIPE iris", "").replace("--recipe iris", "")
    for path in (
        "",
        "/versions/v1",
        "/versions/v1/manifest",
        "/versions/v1/files/model.onnx",
        "/aliases/champion",
        "/compare?left=v1&right=v1",
    ):
        assert "There is no model 'iris'." in words(someone.open(f"/ui/models/iris{path}", 404))
    answer = someone.send(page, "/ui/models/iris/versions/v1", {"alias": "champion", "reason": "x"})
    assert (answer.status_code, client.get("/models/iris/aliases").json()) == (404, {})


def test_each_page_costs_few_queries(client: Client, person: Make, service: Service, catalogued: Any) -> None:
    for index in range(60):
        client.post("/models", json={"name": f"m{index:02}"})
    for version in ("v1", "v2", "v3"):
        catalogued(version)
        client.put("/models/iris/aliases/champion", json={"version": version})
    client.put("/models/iris/aliases/canary", json={"version": "v1"})
    someone = person()
    for path, most in (
        ("/ui", 3),
        ("/ui?q=m", 3),
        ("/ui/models/iris", 6),
        ("/ui/models/iris/versions/v1", 6),
        ("/ui/models/iris/aliases/champion", 4),
        ("/ui/models/iris/compare?left=v1&right=v2", 5),
    ):
        with counted(service.database) as statements:
            someone.open(path)
        assert len(statements) <= most, (path, statements)


@pytest.mark.parametrize("of", ["/models/iris", "/models/iris/versions/v1"])
def test_tags_are_changed_by_a_form_unless_someone_else_changed_them(
    client: Client, person: Make, catalogued: Any, of: str
) -> None:
    catalogued("v1")
    client.patch(of, json={"tags": {"stage": "trial", "who": '"ann" <a>'}})
    someone = person()
    page = someone.open(f"/ui{of}")
    before = unescape(page.split('name="before" value="')[1].split('"')[0])
    answer = someone.send(page, f"/ui{of}/tags", {"before": before, "tags": "stage: live\r\nteam: a & b\r\n"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{'../' * of.count('/')}../ui{of}")
    assert client.get(of).json()["tags"] == {"stage": "live", "team": "a & b"}
    (line,) = client.get("/audit?who=a writer").json()["items"]
    assert line["action"] in {"model.patch", "version.patch"}
    assert (line["before"]["tags"]["stage"], line["after"]["tags"]["stage"]) == ("trial", "live")
    late = someone.send(page, f"/ui{of}/tags", {"before": before, "tags": "stage: late"})
    assert late.status_code == 412
    assert "The tags were changed meanwhile; nothing was changed now." in words(late.text)
    assert "stage: late</textarea>" in late.text
    wrong = someone.send(page, f"/ui{of}/tags", {"before": before, "tags": "live"})
    assert (wrong.status_code, "expected key: value" in words(wrong.text)) == (422, True)
    assert client.get(of).json()["tags"] == {"stage": "live", "team": "a & b"}
    assert "Change the tags" not in person("reader").open(f"/ui{of}")
