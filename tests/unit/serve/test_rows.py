"""Rows as clients send them, into the model's inputs."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.bundle.features import (
    TENSOR,
    BooleanColumn,
    CategoryColumn,
    DateColumn,
    Features,
    NumericColumn,
    Problem,
    StringColumn,
    as_inputs,
)
from mlplat.errors import RequestError
from mlplat.serve.rows import (
    FEW_ROWS,
    SHOWN_PROBLEMS,
    Limits,
    RowReader,
    json_decoder,
    number_rows,
    parse_json,
    parse_object,
    summarize,
)

from .protocols.manifests import FLOWER

MIXED = Features(
    columns=(
        NumericColumn(name="age", fill=40.0),
        BooleanColumn(name="member"),
        DateColumn(name="since", fill=0.5),
        CategoryColumn(name="plan", categories=("basic", "pro"), missing=True),
    )
)
APART = Features(columns=(NumericColumn(name="age"), StringColumn(name="note")), layout="columns")
LIMITS = Limits(max_rows=50)

ROW, NAMED = [1.0, 2.0, 3.0], {"stem": 3.0, "sepal": 1.0, "petal": 2.0}


def read(found: Any, *, spare: bool = False) -> tuple[list[Any], bool]:
    return RowReader(FLOWER, LIMITS, spare=spare).rows(found, "features")


def refusal(found: Any, *, spare: bool = False) -> RequestError:
    with pytest.raises(RequestError) as caught:
        read(found, spare=spare)
    return caught.value


class TestJson:
    @pytest.mark.parametrize("text", ["1e999", "-1e400", "1" + "0" * 400 + ".5"])
    def test_a_number_that_no_double_holds_is_infinite(self, text: str) -> None:
        found = parse_json(f'{{"a": [1, {text}], "b": 2}}'.encode())
        assert math.isinf(found["a"][1])
        assert (found["a"][0], found["b"]) == (1, 2)

    def test_an_integer_is_exact_and_one_of_thousands_of_digits_is_refused(self) -> None:
        assert parse_json(b"1" + b"0" * 400) == 10**400
        with pytest.raises(RequestError, match="A number in the body is out of range") as caught:
            parse_json(b"[1e999, 1" + b"0" * 5000 + b"]")
        assert caught.value.status == 422

    def test_of_a_form_all_else_is_refused_as_before(self) -> None:
        decode = json_decoder(dict[str, list[Any] | None])
        assert decode(b'{"a": [1e999], "b": null}') == {"a": [math.inf], "b": None}
        for body in (b'{"a": 1e999}', b'{"a": [1e999], "b": 1}', b"[1e999]"):
            with pytest.raises(msgspec.ValidationError):
                decode(body)

    @given(st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False), st.lists))
    def test_numbers_are_the_same_beside_one_that_is_too_large(self, value: Any) -> None:
        body = msgspec.json.encode(value)
        assert parse_json(b"[%b,1e999]" % body) == [parse_json(body), math.inf]

    @pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"a"'])
    def test_what_is_no_object_is_a_400_with_an_example(self, body: bytes) -> None:
        with pytest.raises(RequestError, match=r'expected an object such as \{"a": 1\}') as caught:
            parse_object(body, '{"a": 1}')
        assert caught.value.status == 400


class TestForms:
    @pytest.mark.parametrize("one", [ROW, NAMED])
    def test_one_row_is_told_from_a_list_of_one(self, one: Any) -> None:
        assert read(one) == ([ROW], True)
        assert read([one]) == ([ROW], False)
        assert read([one, one]) == ([ROW, ROW], False)

    @pytest.mark.parametrize(
        ("found", "code", "words"),
        [
            (5, "invalid_rows", "'features': found 5, expected a row or a list of rows"),
            (None, "invalid_rows", "found null"),
            ([], "empty", "'features' is empty"),
            ([ROW, NAMED], "invalid_rows", "row 1: found {'petal'"),
            ([NAMED, ROW], "invalid_rows", "row 1: found [1.0, 2.0, 3.0], expected {'petal'"),
            ([ROW, 1], "invalid_rows", "row 1: found 1, expected [1.0, 2.0, 3.0] as row 0 is"),
            ([ROW, [1]], "wrong_length", "row 1: found 1 values, expected 3: 'sepal', 'petal', 'stem'"),
            ([1, 2], "wrong_length", "row 0: found 2 values, expected 3"),
            ([NAMED, {"stem": 3}], "missing_columns", "row 1: missing columns 'sepal', 'petal'"),
            ([NAMED, NAMED | {"leaf": 1}], "unknown_columns", "row 1: unknown columns 'leaf'"),
            ([ROW] * 51, "too_many_rows", "Found 51 rows, expected at most 50"),
            ([NAMED] * 51, "too_many_rows", "Found 51 rows, expected at most 50"),
        ],
    )
    def test_all_else_is_refused_by_name(self, found: Any, code: str, words: str) -> None:
        error = refusal(found)
        assert (error.status, error.code) == (422, code)
        assert words in error.message

    def test_columns_that_the_model_does_not_have_may_be_passed_over(self) -> None:
        assert read(NAMED | {"leaf": "x"}, spare=True) == ([ROW], True)
        assert refusal({"leaf": 1, "stem": 2}, spare=True).code == "missing_columns"


cells = st.tuples(
    st.none() | st.integers(-(2**60), 2**60) | st.floats() | st.just("x"),
    st.none() | st.booleans() | st.sampled_from([0, 1, 2, "true"]),
    st.none() | st.sampled_from(["2026-01-31", "2026-01-31T08:00:00Z", "", 5]),
    st.none() | st.sampled_from(["basic", "pro", "gold", 1, True]),
)


@given(rows=st.lists(cells, min_size=1, max_size=4))
def test_few_rows_and_many_are_encoded_the_same_or_refused_in_the_same_words(rows: list[tuple[Any, ...]]) -> None:
    """Few go value by value; of many, whose first are just these, numpy does a column at once."""
    reader, fit = RowReader(MIXED, LIMITS), (25, True, "2026-01-31", "pro")

    def encoded(given: list[Any]) -> Any:
        try:
            return as_inputs(reader.encode(given))[TENSOR][: len(rows)].tolist()
        except RequestError as error:
            return str(error)

    assert encoded(list(rows)) == encoded([*rows, *[fit] * FEW_ROWS])


@pytest.mark.parametrize(
    ("problems", "ending"), [(SHOWN_PROBLEMS, "expected b."), (SHOWN_PROBLEMS + 1, "; and 1 more.")]
)
def test_the_first_problems_are_told_by_row(problems: int, ending: str) -> None:
    text = summarize([Problem(row, "x", "a", "b") for row in reversed(range(problems))])
    assert text.startswith("row 0, column 'x': found a, expected b; row 1, column 'x'")
    assert text.endswith(ending)


class TestNumberRows:
    @pytest.mark.parametrize("features", [MIXED, APART])
    def test_there_are_none_where_a_column_is_no_number(self, features: Features) -> None:
        assert number_rows(features, LIMITS) is None

    @pytest.mark.parametrize(
        ("row", "fits"),
        [
            ("[1,2.5,-3e9]", True),
            (f"[1,2,{2**53 - 1}]", True),
            (f"[1,2,{2**53}]", False),
            ("[1,2]", False),
            ("[1,2,3,4]", False),
            ("[1,2,null]", False),
            ("[1,2,true]", False),
            ('[1,2,"3"]', False),
            ("[1,2,1e999]", False),
        ],
    )
    def test_they_are_what_needs_no_further_look(self, row: str, fits: bool) -> None:
        forms = number_rows(FLOWER, Limits(max_rows=2))
        assert forms is not None
        one, many = (msgspec.json.Decoder(form) for form in forms)
        bodies = [(one, row), (many, f"[{row}]"), (many, f"[[1,2,3],{row}]")]
        for decoder, body in bodies:
            if fits:
                decoder.decode(body.encode())
            else:
                with pytest.raises(msgspec.ValidationError):
                    decoder.decode(body.encode())
        for body in ("[]", f"[{','.join([row] * 3)}]"):
            with pytest.raises(msgspec.ValidationError):
                many.decode(body.encode())
