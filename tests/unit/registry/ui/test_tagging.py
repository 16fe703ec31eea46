"""Tags as lines, which are read as they are written, and what is no tag is named."""

import json

import pytest

from mlplat.errors import RequestError
from mlplat.registry.ui import tagging


def test_lines_are_read_as_they_were_written() -> None:
    tags = {"stage": "live", "cost/centre": "a: b", "empty": "", "who": "Größe & <co>", "note": "a\u2028b: c\x85d"}
    assert tagging.read(tagging.lines(tags)) == tags
    assert tagging.read("\r\n stage :live \r\n\r\n") == {"stage": "live"}
    assert tagging.read("") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stage", "found 'stage', expected key: value"),
        ("a: 1\na: 2", "'a' is there twice"),
        ("a b: 1", "tags.a b"),
        (": 1", "tags"),
        ("a: \0", "tags.a"),
        ("a: " + "x" * 256, "tags.a"),
        ("\n".join(f"k{number}: v" for number in range(65)), "tags"),
    ],
)
def test_what_is_no_tag_is_named(text: str, said: str) -> None:
    with pytest.raises(RequestError, match=r"^[Tt]ags") as caught:
        tagging.read(text)
    assert said in str(caught.value)


def test_what_was_shown_is_exactly_what_there_was() -> None:
    assert tagging.shown(json.dumps({"a": " b "})) == {"a": " b "}
    for text in ("", "[]", '{"a": 1}'):
        with pytest.raises(RequestError, match="load the page anew"):
            tagging.shown(text)
