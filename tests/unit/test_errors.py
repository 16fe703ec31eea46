"""Errors carry what a person and a program need."""

import pytest

from mlplat import errors
from mlplat.errors import Exit, MlplatError, NotFoundError, RequestError


def all_errors() -> list[type[MlplatError]]:
    return [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, MlplatError)]


def test_an_error_reads_as_a_sentence_and_what_to_do() -> None:
    assert str(NotFoundError("No such version.", hint="Try v1.")) == "No such version. Try v1."
    assert str(NotFoundError("No such version.")) == "No such version."


@pytest.mark.parametrize("kind", all_errors())
def test_every_error_has_an_exit_code_a_status_and_a_code(kind: type[MlplatError]) -> None:
    assert kind.exit_code in set(Exit) - {Exit.DONE}
    assert 400 <= kind.status < 600
    assert kind.code.replace("_", "").isalpha()


def test_the_exit_codes_are_the_documented_ones() -> None:
    assert {code.name: code.value for code in Exit} == {
        "DONE": 0,
        "FAILED": 1,
        "USAGE": 2,
        "NOT_FOUND": 3,
        "CONFLICT": 4,
    }


def test_a_request_error_says_its_own_status() -> None:
    error = RequestError("Too large.", status=413, code="body_too_large")
    assert (error.status, error.code) == (413, "body_too_large")
