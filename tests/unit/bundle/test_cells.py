"""Cells of CSV, by the kind of their column."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.bundle.cells import parse_cell
from mlplat.bundle.features import BooleanColumn, CategoryColumn, DateColumn, NumericColumn


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("5.1", 5.1),
        (" 5 ", 5),
        ("1e3", 1000.0),
        ("+.5", 0.5),
        ("", None),
        ("  ", None),
        (None, None),
        ("-inf", float("-inf")),
        ("1,5", "1,5"),
        ("1_0", "1_0"),
        ("0x10", "0x10"),
        ("\u0663", "\u0663"),
        ("\u0131nf", "\u0131nf"),
        ("null", "null"),
        ("9007199254740993", 9007199254740993),
        ("9" * 301, 1e301),
    ],
)
def test_a_number_is_written_as_in_json(cell: str | None, value: Any) -> None:
    assert parse_cell(NumericColumn(name="x"), cell) == value


@pytest.mark.parametrize(
    ("cell", "value"),
    [("true", True), ("FALSE", False), (" True ", True), ("1", True), ("0", False), ("yes", "yes"), ("", None)],
)
def test_a_boolean_is_true_or_false_in_any_case_or_one_or_zero(cell: str, value: Any) -> None:
    assert parse_cell(BooleanColumn(name="x"), cell) is value or parse_cell(BooleanColumn(name="x"), cell) == value


def test_a_date_is_trimmed_and_a_category_is_not() -> None:
    assert parse_cell(DateColumn(name="x"), " 2026-01-31 ") == "2026-01-31"
    assert parse_cell(DateColumn(name="x"), " ") is None
    assert parse_cell(CategoryColumn(name="x", categories=()), " a ") == " a "


NUMBER = re.compile(r"[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|nan|inf|infinity)", re.IGNORECASE | re.ASCII)


@given(
    text=st.text("+-.0159eEnaiftyNAIFTY_ \t\u0663\u00b2\u0131", max_size=8)
    | st.floats().map(str)
    | st.integers().map(str)
)
def test_any_text_is_a_number_just_where_it_reads_as_one(text: str) -> None:
    value = parse_cell(NumericColumn(name="x"), text)
    if NUMBER.fullmatch(text.strip()):
        assert value == float(text) or value != value or value == int(text)  # noqa: PLR0124 - a large integer is exact
    else:
        assert value == (text.strip() or None)
