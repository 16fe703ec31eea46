"""The page of the routes, with nothing from other hosts."""

import re

import pytest

from mlplat.web.swagger import ASSETS, START, asset, page


def test_all_that_the_page_loads_is_beside_it() -> None:
    text = page("iris")
    assert "<title>iris</title>" in text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert {each.removeprefix("docs/") for each in loaded} == {*ASSETS, "start.js"}
    assert "//" not in text.replace("<!DOCTYPE html>", "")


def test_it_starts_with_the_document_beside_it() -> None:
    assert re.findall(r'url: "([^"]+)"', START) == ["openapi.json"]


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("swagger-ui-bundle.js", b"/*"),
        ("swagger-ui.css", b"."),
        ("favicon-32x32.png", b"\x89PNG"),
    ],
)
def test_each_file_is_the_one_that_its_name_says(name: str, start: bytes) -> None:
    assert name in ASSETS
    assert asset(name).startswith(start)
