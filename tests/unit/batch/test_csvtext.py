import csv
import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.batch.csvtext import header, render

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
ROWS = st.lists(st.tuples(st.one_of(st.none(), TEXT), TEXT, st.floats(width=32), st.booleans()), max_size=20)


def parsed(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


@given(ROWS, st.integers(0, 3))
def test_a_csv_reader_gets_back_what_was_rendered(rows: list[tuple[Any, ...]], start: int) -> None:
    columns = list(zip(*rows, strict=True)) or [()] * 4
    types = [pa.string(), pa.string(), pa.float32(), pa.bool_()]
    batch = pa.record_batch([pa.array(c, t) for c, t in zip(columns, types, strict=True)], names=list("abcd"))
    found = parsed(bytes(render(batch.slice(start))))
    expected = rows[start:]
    assert [row[:2] for row in found] == [[row[0] or "", row[1]] for row in expected]
    np.testing.assert_array_equal(
        np.array([row[2] for row in found], dtype=np.float32), np.array([row[2] for row in expected], dtype=np.float32)
    )
    assert [row[3] for row in found] == [str(row[3]).lower() for row in expected]


def test_only_cells_that_need_it_are_quoted() -> None:
    batch = pa.record_batch(
        [pa.array(["a,b", "c", 'd"e', "f\ng", "h\ri", " j "]), pa.array(range(6))], names=["x", "y"]
    )
    assert bytes(render(batch)) == b'"a,b",0\nc,1\n"d""e",2\n"f\ng",3\n"h\ri",4\n j ,5\n'


def test_a_header_is_quoted_as_a_row_is() -> None:
    assert header(["a", "b,c", 'd"e']) == b'a,"b,c","d""e"\n'


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        (pa.array([1, None]), b"1\n\n"),
        (pa.array([0.1, 1e300]), b"0.1\n1e+300\n"),
        (pa.array([0.1] * 3 + [None], pa.float32()), b"0.1\n0.1\n0.1\n\n"),
        (pa.array(["a", None, "a"]).dictionary_encode(), b"a\n\na\n"),
        (pa.array(["a,"], pa.large_string()), b'"a,"\n'),
        (pa.array([b"a,"], pa.binary()), b'"a,"\n'),
        (pa.array([18262], pa.date32()), b"2020-01-01\n"),
        (pa.array([], pa.string()), b""),
    ],
)
def test_every_type_has_its_text(cells: pa.Array, text: bytes) -> None:
    assert bytes(render(pa.record_batch([cells], names=["x"]))) == text
