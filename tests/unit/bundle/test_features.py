"""Features turn any raw value into a float32 or a problem, the same by array and by value."""

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from mlplat.bundle.features import (
    TENSOR,
    UNKNOWN,
    BooleanColumn,
    CategoryColumn,
    Column,
    DateColumn,
    Features,
    NumericColumn,
    StringColumn,
    describe,
    encode_column,
    is_missing,
)

COLUMNS: list[Column] = [
    NumericColumn(name="x"),
    NumericColumn(name="x", fill=1.5),
    BooleanColumn(name="x"),
    BooleanColumn(name="x", fill=1),
    DateColumn(name="x"),
    DateColumn(name="x", fill=20_000.0),
    CategoryColumn(name="x", categories=("a", "b")),
    CategoryColumn(name="x", categories=("a", "b"), missing=True),
    StringColumn(name="x"),
    StringColumn(name="x", missing=True),
]

GARBAGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.dates(),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.decimals(),
    st.complex_numbers(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    st.sampled_from(
        [
            pd.NaT,
            pd.NA,
            np.datetime64("NaT", "us"),
            np.timedelta64("NaT", "us"),
            np.timedelta64(5, "D"),
            np.complex64(1),
            np.bool_(1),
            np.int64(3),
            np.uint64(2**64 - 1),
            10**5000,
            object(),
        ]
    ),
)


def encode(column: Column, values: Any) -> tuple[list[Any], list[int]]:
    problems: list[Any] = []
    encoded = encode_column(column, values, problems)
    return encoded.tolist(), sorted(problem.row for problem in problems)


@pytest.mark.parametrize("column", COLUMNS, ids=str)
@given(values=st.lists(GARBAGE, max_size=6))
def test_any_value_gives_a_finite_number_or_a_problem_and_never_an_exception(column: Column, values: list[Any]) -> None:
    problems: list[Any] = []
    encoded = encode_column(column, values, problems)
    assert len(encoded) == len(values)
    if column.kind != "string":
        assert encoded.dtype == np.float32
        assert np.isfinite(encoded).all()
    assert all(0 <= problem.row < len(values) and str(problem) for problem in problems)
    assert len({problem.row for problem in problems}) == len(problems)


@pytest.mark.parametrize("column", COLUMNS[:2], ids=str)
@given(values=st_numpy.arrays(np.float64, st.integers(0, 5)))
def test_numbers_encode_alike_by_array_and_by_value(column: Column, values: Any) -> None:
    assert encode(column, values) == encode(column, values.tolist()) == encode(column, values.astype(object))


@given(values=st_numpy.arrays(st.sampled_from([np.int64, np.uint64, np.int32]), st.integers(0, 5)))
def test_integers_encode_alike_by_array_and_by_value(values: Any) -> None:
    assert encode(COLUMNS[0], values) == encode(COLUMNS[0], values.tolist())


@given(values=st_numpy.arrays(np.bool_, st.integers(0, 5)))
def test_booleans_encode_alike_by_array_and_by_value(values: Any) -> None:
    assert encode(COLUMNS[2], values) == encode(COLUMNS[2], values.tolist()) == encode(COLUMNS[2], values.astype(int))


MOMENTS = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1))  # noqa: DTZ001  # meant as UTC


@pytest.mark.parametrize("column", COLUMNS[4:6], ids=str)
@given(moments=st.lists(st.none() | MOMENTS, max_size=5))
def test_dates_encode_alike_by_array_by_value_and_by_text(column: Column, moments: list[Any]) -> None:
    array = np.array(moments, dtype="datetime64[us]")
    texts = [None if moment is None else moment.isoformat() for moment in moments]
    assert encode(column, array) == encode(column, moments) == encode(column, texts) == encode(column, list(array))


def test_a_date_is_days_since_1970_in_utc() -> None:
    texts = ["1970-01-02", "1970-01-01T12:00:00Z", "1970-01-01T01:00:00+01:00", "1969-12-31"]
    assert encode(COLUMNS[4], texts) == ([1.0, 0.5, 0.0, -1.0], [])


def test_a_missing_value_is_filled_where_training_saw_one_and_refused_elsewhere() -> None:
    assert encode(NumericColumn(name="x", fill=1.5), [None, float("nan"), 2.0]) == ([1.5, 1.5, 2.0], [])
    assert encode(NumericColumn(name="x"), [None, 2.0]) == ([0.0, 2.0], [0])
    assert encode(BooleanColumn(name="x", fill=1), [None, False]) == ([1.0, 0.0], [])
    assert encode(DateColumn(name="x", fill=7.0), [pd.NaT, np.datetime64("NaT", "us")]) == ([7.0, 7.0], [])
    assert encode(CategoryColumn(name="x", categories=("a",), missing=True), [None, "a"]) == ([1.0, 0.0], [])
    assert encode(CategoryColumn(name="x", categories=("a",)), [None, "a"]) == ([0.0, 0.0], [0])
    assert encode(StringColumn(name="x", missing=True), [None, "a"]) == (["", "a"], [])


def test_an_unknown_category_is_minus_one_and_no_problem() -> None:
    assert encode(CategoryColumn(name="x", categories=("a", "b")), ["b", "zebra"]) == ([1.0, UNKNOWN], [])


def test_a_problem_names_row_column_found_and_expected() -> None:
    features = Features(columns=(NumericColumn(name="age"), CategoryColumn(name="city", categories=("Rome",))))
    _, problems = features.encode({"age": [1.0, "old", 2**60], "city": ["Rome", "Oslo", 5]})
    assert [str(problem) for problem in problems] == [
        "row 1, column 'age': found \"old\", expected a number",
        "row 2, column 'age': found 1152921504606846976, expected an integer of at most 2^53, or a float",
        "row 2, column 'city': found 5, expected a string",
    ]


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), 1e39])
def test_what_is_infinite_in_float32_is_a_problem(value: float) -> None:
    assert encode(NumericColumn(name="x"), [value]) == ([0.0], [0])


def test_the_layout_tensor_is_one_float32_tensor_in_the_order_of_the_columns() -> None:
    features = Features(columns=(NumericColumn(name="a"), BooleanColumn(name="b")))
    inputs, problems = features.encode({"b": [True, False], "a": [1, 2], "other": []})
    assert not problems
    assert inputs[TENSOR].dtype == np.float32
    assert inputs[TENSOR].tolist() == [[1.0, 1.0], [2.0, 0.0]]


def test_the_layout_columns_is_one_input_per_column() -> None:
    features = Features(columns=(NumericColumn(name="a"), StringColumn(name="b")), layout="columns")
    inputs, _ = features.encode({"a": [1.0], "b": ["x"]})
    assert {name: values.tolist() for name, values in inputs.items()} == {"a": [[1.0]], "b": [["x"]]}


def test_an_absent_column_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="a"):
        Features(columns=(NumericColumn(name="a"),)).encode({})


def test_names_must_differ_and_strings_need_the_layout_columns() -> None:
    with pytest.raises(ValueError, match="must differ"):
        Features(columns=(NumericColumn(name="a"), BooleanColumn(name="a")))
    with pytest.raises(ValueError, match="layout 'columns'"):
        Features(columns=(StringColumn(name="a"),))


def test_features_survive_json() -> None:
    features = Features(columns=tuple(c.model_copy(update={"name": str(i)}) for i, c in enumerate(COLUMNS[:8])))
    assert Features.model_validate_json(features.model_dump_json()) == features


@given(value=GARBAGE)
def test_any_value_can_be_described_in_a_line_of_a_message(value: Any) -> None:
    assert 0 < len(describe(value)) <= 40


def test_a_numpy_value_is_described_as_a_python_one() -> None:
    values = [np.float64("inf"), np.bool_(1), np.str_("x"), np.datetime64("2026-01-31")]
    assert [describe(value) for value in values] == ["inf", "true", '"x"', '"2026-01-31"']


def test_missing_values_are_none_nan_and_nat() -> None:
    missing = [None, float("nan"), np.float32("nan"), np.datetime64("NaT", "us"), pd.NaT]
    assert all(is_missing(value) for value in missing)
    assert not any(is_missing(value) for value in (0, "", False, 1.0, dt.date(2026, 1, 1)))
