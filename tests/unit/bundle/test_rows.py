"""Rows value by value: the same numbers as column by column, or none."""

import json
from typing import Any

import numpy as np
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
    StringColumn,
)
from mlplat.bundle.rows import row_encoder

COLUMNS = (
    NumericColumn(name="strict"),
    NumericColumn(name="filled", fill=1.5),
    BooleanColumn(name="flag"),
    BooleanColumn(name="maybe", fill=1),
    DateColumn(name="day"),
    DateColumn(name="perhaps", fill=3.0),
    CategoryColumn(name="plan", categories=("basic", "pro")),
    CategoryColumn(name="colour", categories=("red", "blue"), missing=True),
)
FEATURES = Features(columns=COLUMNS)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, 1, 2**53, 2**53 + 1, -(2**53), 3.4028234663852886e38, 3.402823466385289e38, -0.0, 1e39]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        ["basic", "pro", "red", "2026-01-31", "2026-01-31T08:00:00Z", "2026-02-30", "1970-01-01T00:00+05:00"]
    ),
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.text(max_size=4),
    st.just([1]),
    st.just({}),
)


@given(row=st.tuples(*[VALUES] * len(COLUMNS)))
def test_a_row_is_encoded_as_its_columns_are_or_left_to_them(row: tuple[Any, ...]) -> None:
    row = tuple(json.loads(json.dumps(row)))
    encode = row_encoder(FEATURES)
    assert encode is not None
    numbers = encode(row)
    if numbers is not None:
        inputs, problems = FEATURES.encode({name: [value] for name, value in zip(FEATURES.names, row, strict=True)})
        assert problems == []
        assert np.array([numbers], dtype=np.float32).tobytes() == inputs[TENSOR].tobytes()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (COLUMNS[0], 5),
        (COLUMNS[0], 0.1),
        (COLUMNS[1], None),
        (COLUMNS[2], True),
        (COLUMNS[3], None),
        (COLUMNS[4], "2026-01-31"),
        (COLUMNS[5], None),
        (COLUMNS[6], "gold"),
        (COLUMNS[7], None),
        (COLUMNS[7], "red"),
    ],
)
def test_what_is_usual_is_not_left_to_the_slow_way(column: Any, value: Any) -> None:
    encode = row_encoder(Features(columns=(column,)))
    assert encode is not None
    assert encode([value]) is not None


def test_a_model_with_an_input_for_each_column_has_no_such_way() -> None:
    assert row_encoder(Features(columns=(StringColumn(name="text"),), layout="columns")) is None
