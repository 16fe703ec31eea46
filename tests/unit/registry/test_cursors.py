"""Cursors: back as they were, and anything else refused."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.errors import RequestError
from mlplat.registry import cursors

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.mark.parametrize(("value", "kind"), [("iris", str), (0.1 + 0.2, float), (7, int), (MOMENT, datetime)])
def test_what_is_encoded_is_decoded(value: object, kind: type) -> None:
    cursor = cursors.encode("-created_at", value, 12)
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert cursors.decode(cursor, "-created_at", kind) == (value, 12)


def test_a_cursor_of_another_list_is_refused() -> None:
    with pytest.raises(RequestError, match="cursor is none of this list") as caught:
        cursors.decode(cursors.encode("name", "iris", 1), "-created_at", str)
    assert caught.value.status == 422


@pytest.mark.parametrize(
    ("value", "last"), [("iris", 2**63), ("iris", -1), ("a\0b", 1), (1.5, 1), (None, 1), ({"a": 1}, 1)]
)
def test_what_no_row_has_is_refused(value: object, last: int) -> None:
    with pytest.raises(RequestError):
        cursors.decode(cursors.encode("name", value, last), "name", str)


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(RequestError):
        cursors.decode(cursors.encode("at", "2026-01-01T00:00:00", 1), "at", datetime)


@given(st.text())
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    with pytest.raises(RequestError):
        cursors.decode(text, "name", str)
