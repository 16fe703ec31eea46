"""Markup escapes whatever is not markup already."""

import pytest

from mlplat.web.markup import cut, join, number, percent, tag

HOSTILE = "<script>alert(1)</script>"


def test_text_is_escaped_and_markup_is_not() -> None:
    assert tag("p", HOSTILE, tag("b", "x")) == "<p>&lt;script&gt;alert(1)&lt;/script&gt;<b>x</b></p>"
    assert join([HOSTILE, tag("b")]) == "&lt;script&gt;alert(1)&lt;/script&gt;<b></b>"


def test_an_attribute_cannot_be_left() -> None:
    assert tag("a", title="\"' onclick=alert(1) <") == '<a title="&quot;&#x27; onclick=alert(1) &lt;"></a>'


def test_attributes_are_written_as_html_has_them() -> None:
    assert tag("input", class_="c", data_kind="k", checked=True, selected=False, title=None, name="n") == (
        '<input class="c" data-kind="k" checked name="n">'
    )


def test_shapes_end_themselves() -> None:
    assert tag("path", d="M0 0") == '<path d="M0 0"/>'
    assert tag("circle", tag("title", "t")) == "<circle><title>t</title></circle>"


def test_what_was_joined_to_markup_is_no_markup() -> None:
    assert tag("p", tag("b") + HOSTILE) == "<p>&lt;b&gt;&lt;/b&gt;&lt;script&gt;alert(1)&lt;/script&gt;</p>"


def test_a_long_text_is_cut() -> None:
    assert cut("x" * 60) == "x" * 60
    assert cut("x" * 61) == "x" * 59 + "…"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (5.0, "5"),
        (0.9354838, "0.9355"),
        (-65849.6, "-65850"),
        (1234567.0, "1235000"),
        (1.5e9, "1.5e+09"),
        (0.00012345, "0.000123"),
        (1e-8, "1e-08"),
    ],
)
def test_numbers_have_four_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_shares_have_two_digits() -> None:
    assert [percent(share) for share in (0, 0.0312, 0.5, 1)] == ["0%", "3.1%", "50%", "100%"]
