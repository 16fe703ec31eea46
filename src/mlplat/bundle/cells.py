"""Cells of CSV, which are text, as raw values of a column.

Numbers are as JSON writes them (also +1, .5 and 1.), "nan" for a missing one; true and false in any case, 1 and 0; dates
and categories as they are. Space around numbers, booleans and dates does not count.
"""

import re
from typing import Any

from mlplat.bundle.features import EXACT_INTEGER, Column

_INTEGER = re.compile(r"[+-]?[0-9]{1,300}")
_NUMBER = re.compile(
    r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE | re.ASCII
)
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


def parse_cell(column: Column, text: str | None) -> Any:
    """A cell of CSV as a raw value; text that is none of the column's kind stays text."""
    if text is None or column.kind in {"category", "string"}:
        return text
    trimmed = text.strip()
    if not trimmed:
        return None
    if column.kind == "boolean":
        return _BOOLEANS.get(trimmed.lower(), trimmed)
    if column.kind == "date":
        return trimmed
    return _number(trimmed)


def _number(text: str) -> Any:
    if text.isascii() and "_" not in text:  # the usual: what Python takes besides has one of these
        try:
            number = float(text)
        except ValueError:
            return text
        if -EXACT_INTEGER < number < EXACT_INTEGER:
            return number
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text
