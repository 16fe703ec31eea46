"""Names: safe in a URL, a file name and a label."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mlplat.bundle.names import Name, check, is_valid
from mlplat.errors import UsageError
from mlplat.objects.base import is_key

LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?\Z")
"""A Kubernetes label value: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/"""

near = st.text(alphabet=string.ascii_letters + string.digits + "._-/\\ \n\0é", max_size=66)


@pytest.mark.parametrize("name", ["v1", "2", "a", "iris-2026.01.31_b", "x" * 63, "A.b-C"])
def test_usual_names_are_valid(name: str) -> None:
    assert check(name, "model") == name


@pytest.mark.parametrize("name", ["", ".", "..", "a..b", "-a", "a-", "a/b", "a\\b", "a b", "a\n", "é", "x" * 64, "a\0"])
def test_names_that_could_mean_something_else_are_refused_by_name(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a version") as caught:
        check(name, "version")
    assert repr(name) in caught.value.message
    assert "1 to 63 letters" in caught.value.hint


@given(near)
def test_a_valid_name_is_a_label_and_one_part_of_a_key(name: str) -> None:
    if is_valid(name):
        assert LABEL.match(name)
        assert len(name) <= 63
        assert is_key(f"{name}/versions/{name}.json")
        assert "/" not in name


@given(near)
def test_what_a_manifest_takes_as_a_name_is_what_the_store_takes(name: str) -> None:
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError:
        assert not is_valid(name)
    else:
        assert is_valid(name) or ".." in name  # the store refuses those besides
