import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.batch.decode import decode
from mlplat.bundle.features import (
    BooleanColumn,
    CategoryColumn,
    Column,
    DateColumn,
    Features,
    NumericColumn,
    StringColumn,
    as_inputs,
)
from mlplat.errors import RequestError
from mlplat.serve.protocols import Limits
from mlplat.serve.rows import RowReader

FEATURES = Features(
    columns=(
        NumericColumn(name="n", fill=1.5),
        NumericColumn(name="strict"),
        BooleanColumn(name="b", fill=0),
        DateColumn(name="d", fill=3.0),
        CategoryColumn(name="c", categories=("red", "green, blue", 'the "best"'), missing=True),
    )
)
NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False, width=64),
    st.integers(-(2**60), 2**60),
    st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1, 3.5e38, 0, -0.0]),
)
VALUES = {
    "n": st.one_of(st.none(), NUMBERS),
    "strict": st.one_of(st.none(), NUMBERS),
    "b": st.one_of(st.none(), st.booleans(), st.sampled_from([0, 1])),
    "d": st.one_of(
        st.none(),
        st.dates().map(date.isoformat),
        st.datetimes(timezones=st.sampled_from([None, UTC])).map(datetime.isoformat),
        st.sampled_from(["31.12.2025", "2025-02-30", "yesterday"]),
    ),
    "c": st.one_of(
        st.none(),
        st.sampled_from(["red", "green, blue", 'the "best"', "unknown"]),
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
    ),
}
ROWS = st.lists(st.fixed_dictionaries(VALUES), min_size=1, max_size=20)


def served(rows: list[dict[str, Any]]) -> list[list[float] | str]:
    """What serving makes of each row as a request of its own: the tensor, or the refusal."""
    answers: list[list[float] | str] = []
    for row in rows:
        reader = RowReader(FEATURES, Limits())
        received = json.loads(json.dumps([row]))
        try:
            answers.append(as_inputs(reader.encode(reader.rows(received, "features")[0]))["input"][0].tolist())
        except RequestError as error:
            answers.append(error.message)
    return answers


def batched(batch: pa.RecordBatch, *, text: bool) -> list[list[float] | str]:
    """What batch makes of each row, in the same form."""
    decoded = decode(FEATURES, batch, text=text)
    answers: list[list[float] | str] = list(decoded.inputs["input"].tolist())
    for index in {problem.row for problem in decoded.problems}:
        found = [problem for problem in decoded.problems if problem.row == index]
        answers[index] = "; ".join(str(problem).replace(f"row {index},", "row 0,") for problem in found) + "."
    return answers


def as_text(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else json.dumps(value)


@given(ROWS)
def test_csv_gets_the_answers_and_the_refusals_of_serving(rows: list[dict[str, Any]]) -> None:
    cells = [{name: as_text(value) for name, value in row.items()} for row in rows]
    batch = pa.RecordBatch.from_pylist(cells, pa.schema([(name, pa.string()) for name in FEATURES.names]))
    assert batched(batch, text=True) == served(rows)


@given(ROWS)
def test_parquet_gets_the_answers_and_the_refusals_of_serving(rows: list[dict[str, Any]]) -> None:
    rows = [{**row, "n": as_float(row["n"]), "b": bool(row["b"])} for row in rows]
    rows = [{**row, "strict": row["strict"] if isinstance(row["strict"], int) else None} for row in rows]
    types = {"n": pa.float64(), "strict": pa.int64(), "b": pa.bool_(), "d": pa.string(), "c": pa.string()}
    batch = pa.RecordBatch.from_pylist(rows, pa.schema(list(types.items())))
    assert batched(batch, text=False) == served(rows)


def as_float(value: float | None) -> float | None:
    return None if value is None else float(value)


@given(st.lists(st.one_of(st.none(), NUMBERS.map(str), st.sampled_from(["nan", "NaN", "+1", ".5", "1.", "1e5", "01"]))))
def test_whole_columns_and_single_cells_of_text_are_read_alike(cells: list[str | None]) -> None:
    features = Features(columns=(NumericColumn(name="x", fill=0),))
    whole = decode(features, pa.record_batch([pa.array(cells, pa.string())], names=["x"]), text=True)
    spaced = [*(None if cell is None else f" {cell} " for cell in cells), "odd"]
    single = decode(features, pa.record_batch([pa.array(spaced, pa.string())], names=["x"]), text=True)
    assert single.problems[:-1] == whole.problems
    np.testing.assert_array_equal(single.inputs["input"][:-1], whole.inputs["input"])


def one(column: Column, cells: pa.Array, *, text: bool = False) -> tuple[list[Any], list[str]]:
    layout = "columns" if column.kind == "string" else "tensor"
    decoded = decode(
        Features(columns=(column,), layout=layout), pa.record_batch([cells], names=[column.name]), text=text
    )
    return next(iter(decoded.inputs.values()))[:, 0].tolist(), [str(problem) for problem in decoded.problems]


def test_the_text_nan_is_a_missing_number_and_infinity_a_problem() -> None:
    cells = pa.array(["nan", "NaN", "inf", "-Infinity", "1"])
    values, problems = one(NumericColumn(name="x", fill=7), cells, text=True)
    assert values == [7, 7, 0, 0, 1]
    assert problems == [
        "row 2, column 'x': found inf, expected a finite number of at most 3.403e+38",
        "row 3, column 'x': found -inf, expected a finite number of at most 3.403e+38",
    ]
    assert one(NumericColumn(name="x"), pa.array(["nan"]), text=True)[1] == [
        "row 0, column 'x': found a missing value, expected a number (training saw no missing values here)"
    ]


@pytest.mark.parametrize(
    ("column", "cells", "expected"),
    [
        (NumericColumn(name="x", fill=9), pa.array([1, None, 3], pa.int8()), [1, 9, 3]),
        (NumericColumn(name="x", fill=9), pa.array([1.5, None, float("nan")], pa.float32()), [1.5, 9, 9]),
        (NumericColumn(name="x"), pa.array([Decimal("1.25")]), [1.25]),
        (NumericColumn(name="x", fill=9), pa.nulls(2), [9, 9]),
        (NumericColumn(name="x", fill=9), pa.array([1.5, None, 1.5]).dictionary_encode(), [1.5, 9, 1.5]),
        (BooleanColumn(name="x", fill=1), pa.array([True, False, None]), [1, 0, 1]),
        (BooleanColumn(name="x"), pa.array([1, 0], pa.int64()), [1, 0]),
        (DateColumn(name="x", fill=9), pa.array([date(1970, 1, 3), None]), [2, 9]),
        (DateColumn(name="x"), pa.array([129_600 * 10**9], pa.timestamp("ns")), [1.5]),
        (DateColumn(name="x"), pa.array([86_400], pa.timestamp("s", "Europe/Berlin")), [1]),
        (DateColumn(name="x"), pa.array(["1970-01-02T00:00:00+01:00"]), [1 - 1 / 24]),
        (CategoryColumn(name="x", categories=("a", "b")), pa.array(["b", "a", "z"]), [1, 0, -1]),
        (CategoryColumn(name="x", categories=("a",), missing=True), pa.array(["a", None]).dictionary_encode(), [0, 1]),
        (CategoryColumn(name="x", categories=("a",)), pa.array(["a"], pa.large_string()), [0]),
        (StringColumn(name="x", missing=True), pa.array(["a", None]), ["a", ""]),
    ],
)
def test_parquet_columns_of_all_suitable_types_are_taken(column: Column, cells: pa.Array, expected: list[Any]) -> None:
    values, problems = one(column, cells)
    assert problems == []
    assert values == (expected if column.kind == "string" else np.array(expected, dtype=np.float32).tolist())
    padded = pa.concat_arrays([cells, cells]) if not pa.types.is_dictionary(cells.type) else cells
    assert one(column, padded.slice(len(padded) - len(cells)))[0] == values


@pytest.mark.parametrize(
    ("column", "cells", "found"),
    [
        (NumericColumn(name="x"), pa.array(["5.1"]), 'found "5.1", expected a number'),
        (NumericColumn(name="x"), pa.array([True]), "found true, expected a number"),
        (NumericColumn(name="x"), pa.array([2**53 + 1]), "expected an integer of at most 2^53, or a float"),
        (NumericColumn(name="x"), pa.array([[1]]), "found [1], expected a number"),
        (BooleanColumn(name="x"), pa.array([2]), "found 2, expected true or false"),
        (DateColumn(name="x"), pa.array([1]), "found 1, expected a date"),
        (CategoryColumn(name="x", categories=("a",)), pa.array([1]), "found 1, expected a string"),
    ],
)
def test_parquet_cells_of_another_type_are_problems(column: Column, cells: pa.Array, found: str) -> None:
    _, (problem,) = one(column, cells)
    assert found in problem


def test_a_problem_is_one_of_each_row_that_has_it_in_order_of_rows() -> None:
    features = Features(columns=(NumericColumn(name="x"), NumericColumn(name="y")))
    batch = pa.record_batch([pa.array(["1", "a", "a"]), pa.array(["b", "2", "b"])], names=["x", "y"])
    problems = decode(features, batch, text=True).problems
    assert [(problem.row, problem.column) for problem in problems] == [(0, "y"), (1, "x"), (2, "x"), (2, "y")]


def test_numbers_and_booleans_of_text_are_also_given_with_their_type() -> None:
    batch = pa.RecordBatch.from_pylist(
        [
            {"n": "1", "strict": "x", "b": "TRUE", "d": None, "c": "red"},
            {"n": None, "strict": "2", "b": "maybe", "d": None, "c": None},
        ],
        pa.schema([(name, pa.string()) for name in FEATURES.names]),
    )
    typed = decode(FEATURES, batch, text=True).typed
    assert {name: cells.to_pylist() for name, cells in typed.items()} == {
        "n": [1.0, None],
        "strict": [None, 2.0],
        "b": [True, None],
    }
