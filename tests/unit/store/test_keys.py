"""Where things are in the store, and what lies there besides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.store import keys


@pytest.mark.parametrize("version", ["v1", "2", "2026-01-31", "a.json"])
def test_a_version_is_found_by_its_key(version: str) -> None:
    assert keys.version_of(keys.manifest("iris", version)) == version


@pytest.mark.parametrize(
    "name", ["v1", "v1.json.tmp", ".json", ".v1.json", "v1.JSON", "a b.json", "-.json", f"{'x' * 300}.json"]
)
def test_anything_else_is_no_version(name: str) -> None:
    assert keys.version_of(f"iris/versions/{name}") is None


@given(number=st.integers(1, 99_999_999))
def test_a_move_is_found_by_its_key_and_the_keys_are_in_the_order_of_the_numbers(number: int) -> None:
    key = keys.move("iris", "champion", number)
    assert keys.number_of(key) == number
    assert key >= keys.move("iris", "champion", number - 1)


@pytest.mark.parametrize(
    "name",
    ["7.json", "00000007", "00000007.json.tmp", "0000000\N{ARABIC-INDIC DIGIT SEVEN}.json", "000000007.json", "x.json"],
)
def test_anything_else_is_no_move(name: str) -> None:
    assert keys.number_of(f"iris/aliases/champion/{name}") is None


def test_versions_are_sorted_as_people_count() -> None:
    names = ["v10", "v2", "v1", "v2b", "10", "9", "v1.10", "v1.9"]
    assert sorted(names, key=keys.natural) == ["9", "10", "v1", "v1.9", "v1.10", "v2", "v2b", "v10"]
