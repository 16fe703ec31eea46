"""`/`, its files and `/drift` on a real server."""

from pathlib import Path

import pytest

from ..conftest import FLOWER, Running, Start, poll  # noqa: TID252 - tests are not a package


def test_the_page_may_load_nothing_but_its_own_files(iris: Running) -> None:
    answer = iris.client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'self';")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("page.css", "text/css"), ("page.js", "text/javascript"), ("icon.svg", "image/svg+xml")],
)
def test_its_files_are_there(iris: Running, name: str, media_type: str) -> None:
    answer = iris.client.get(f"/page/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(media_type)
    assert answer.content


def test_drift_is_told_by_version(iris: Running) -> None:
    answer = iris.client.get("/drift")
    assert answer.headers["content-type"] == "application/json"
    report = answer.json()
    assert (report["model_name"], report["model_version"]) == ("iris", "v1")
    assert [feature["name"] for feature in report["features"]] == [
        "sepal_length",
        "sepal_width",
        "petal_length",
        "petal_width",
    ]


def test_drift_is_measured_once_there_are_rows_enough(trained: Path, start: Start) -> None:
    running = start(str(trained), model="iris", version="v1").ready()
    assert running.client.get("/drift").json()["predictions"]["psi"] is None
    assert running.predict({"features": [FLOWER["features"]] * 600}).status_code == 200
    report = running.client.get("/drift").json()
    assert report["rows"] == 600
    assert report["predictions"]["status"] == "drifted"


def test_a_server_that_is_not_ready_has_a_page_but_no_drift(trained: Path, start: Start) -> None:
    running = start(str(trained), model="iris", version="v9")
    poll(lambda: "v9" in running.client.get("/").text, "the page names the version")
    assert running.client.get("/").status_code == 200
    answer = running.client.get("/drift")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


def test_the_page_wants_a_key_where_there_are_keys(trained: Path, start: Start) -> None:
    running = start(str(trained), model="iris", version="v1", api_keys="secret").ready()
    assert running.client.get("/").status_code == 401
    assert running.client.get("/drift").status_code == 401
    assert running.client.get("/", headers={"X-API-Key": "secret"}).status_code == 200
