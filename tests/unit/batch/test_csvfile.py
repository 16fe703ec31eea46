import codecs
import csv
import gzip
import io
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.batch import csvfile
from mlplat.batch.chunks import Misfit
from mlplat.batch.formats import Format
from mlplat.batch.inputs import Source
from mlplat.errors import DataError

Row = list[str | None]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small that a few rows make several."""
    monkeypatch.setattr(csvfile, "BLOCK", 64)


def source_of(path: Path, data: bytes) -> Source:
    path.write_bytes(data)
    kind = Format.CSV if path.suffix == ".csv" else Format.CSV_GZIP
    return Source(path.name, path.name, len(data), kind, path)


def read(source: Source) -> tuple[list[str], list[Row], dict[int, Misfit]]:
    """The header, all rows, and the misfits by number of the row from 1."""
    names = csvfile.read_header(source)
    rows: list[Row] = []
    misfits: dict[int, Misfit] = {}
    for chunk in csvfile.read_chunks(source, names):
        assert chunk.first == len(rows) + 1
        misfits |= {chunk.first + index: misfit for index, misfit in chunk.misfits.items()}
        rows += [list(row.values()) for row in chunk.rows.to_pylist()]
    return names, rows, misfits


def read_bytes(tmp_path: Path, data: bytes) -> tuple[list[str], list[Row], dict[int, Misfit]]:
    return read(source_of(tmp_path / "in.csv", data))


@pytest.mark.parametrize(
    ("data", "names", "rows"),
    [
        (b"a,b\n1,2\n", ["a", "b"], [["1", "2"]]),
        (b"a,b\r\n1,2\r\n", ["a", "b"], [["1", "2"]]),
        (codecs.BOM_UTF8 + b"a,b\n1,2\n", ["a", "b"], [["1", "2"]]),
        (b"a,b\n1,2", ["a", "b"], [["1", "2"]]),
        (b"a,b\n001,\n", ["a", "b"], [["001", None]]),
        (b'"a,x","b\ny"\n"1\n2",""\n', ["a,x", "b\ny"], [["1\n2", None]]),
        (b'a,b\n"say ""hi""", 2\n', ["a", "b"], [['say "hi"', " 2"]]),
        (b"\n\na,b\n\n1,2\n\n\n3,4\n\n", ["a", "b"], [["1", "2"], ["3", "4"]]),
        (b"a,b\n", ["a", "b"], []),
        (b"a,b", ["a", "b"], []),
        (b",b\n1,2\n", ["", "b"], [["1", "2"]]),
        ("é,b\n1,ü\n".encode(), ["é", "b"], [["1", "ü"]]),
    ],
)
def test_csv_in_all_its_dresses_is_read(tmp_path: Path, data: bytes, names: list[str], rows: list[Row]) -> None:
    assert read_bytes(tmp_path, data) == (names, rows, {})


def test_a_row_of_another_width_keeps_its_place_and_all_of_its_cells(tmp_path: Path) -> None:
    names, rows, misfits = read_bytes(tmp_path, b'a,b\n1\n2,2\n3,"x,\ny",z\n4,4\n5,5,5\n')
    assert names == ["a", "b"]
    assert rows == [["1", None], ["2", "2"], ["3", "x,\ny"], ["4", "4"], ["5", "5"]]
    assert misfits == {1: Misfit(("1",), 2), 3: Misfit(("3", "x,\ny", "z"), 2), 5: Misfit(("5", "5", "5"), 2)}


CELL = st.text(st.sampled_from("ab,\"\n\r '"), max_size=4)


@given(st.lists(st.lists(CELL, min_size=1, max_size=4), max_size=30))
def test_any_rows_are_read_as_the_standard_library_reads_them(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(["a", "b"])
    writer.writerows(rows)
    path = tmp_path_factory.mktemp("any") / "in.csv"
    names, found, misfits = read(source_of(path, stream.getvalue().encode()))
    assert names == ["a", "b"]
    assert found == [[cell or None for cell in (*row, "", "")[:2]] for row in rows]
    assert {number: list(each.cells) for number, each in misfits.items()} == {
        number: row for number, row in enumerate(rows, start=1) if len(row) != 2
    }


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_blank_line_of_one_column_is_a_row_without_a_value(tmp_path: Path, end: str) -> None:
    lines = ["", "", "a", "1", "", "2,3", '""', '"x\n\ny"', "", "", "4"]
    source = source_of(tmp_path / "in.csv", end.join([*lines, ""]).encode())
    rows = [["1"], [None], ["2"], [None], ["x\n\ny"], [None], [None], ["4"]]
    assert read(source) == (["a"], rows, {3: Misfit(("2", "3"), 1)})
    assert [csvfile.line_of(source, row) for row in range(1, 10)] == [4, 5, 6, 7, 8, 11, 12, 13, None]


@given(st.lists(st.sampled_from(["", "1", '"2"', '""', '"y\n\nz"']), max_size=40), st.sampled_from(["\n", "\r\n"]))
def test_lines_of_one_column_are_rows_wherever_a_block_ends(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], end: str
) -> None:
    text = end.join(["a", *lines, ""])
    _, rows, _ = read(source_of(tmp_path_factory.mktemp("any") / "in.csv", text.encode()))
    read_by_python = list(csv.reader(io.StringIO(text, newline="")))[1:]
    assert rows == [[cells[0] or None] if cells else [None] for cells in read_by_python]


@pytest.mark.parametrize("name", ["in.csv", "in.csv.gz"])
@pytest.mark.parametrize("before", range(70))
def test_no_line_end_in_a_cell_is_lost_wherever_a_block_ends(tmp_path: Path, name: str, before: int) -> None:
    data = b"a,b\n" + b"x" * before + b',"1\r\n2\r\r\n3"\r\n5,"6\r\n",7\r\n'
    source = source_of(tmp_path / name, data if name == "in.csv" else gzip.compress(data, mtime=0))
    _, rows, misfits = read(source)
    assert rows == [["x" * before or None, "1\r\n2\r\r\n3"], ["5", "6\r\n"]]
    assert misfits == {2: Misfit(("5", "6\r\n", "7"), 2)}


def test_the_line_of_a_row_counts_blank_lines_and_those_in_cells(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in.csv", b'\na,b\n1,"x\ny"\n\n2,2\n3,3\n')
    assert [csvfile.line_of(source, row) for row in (1, 2, 3, 4)] == [3, 6, 7, None]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "in.csv is empty, expected a header line and rows"),
        (b"\n\r\n", "in.csv is empty, expected a header line and rows"),
        (b"a,b,a\n1,2,3\n", "in.csv: the column 'a' is there more than once"),
        (b"a,b\n1,2\n3,\xe9\n", "in.csv, line 3: found the byte 0xe9, expected UTF-8 text.*iconv"),
        (b"\xe9,b\n1,2\n", "in.csv, line 1: found the byte 0xe9, expected UTF-8 text"),
        ("a,b\n1,2\n".encode("utf-16"), "in.csv is UTF-16 text, expected CSV"),
        (b"PAR1....", "in.csv is Parquet, expected CSV"),
        (b"PK\x03\x04...", "in.csv is a zip or an Excel file, expected CSV"),
        (gzip.compress(b"a,b\n", mtime=0), "in.csv is gzip, expected CSV"),
        (b"a,b\n1,2\0\n", "in.csv is a binary file, expected CSV"),
        (b'a,b\n1,"2\n' + b"3,4\n" * 100, "in.csv has a row longer than .*a quote"),
    ],
)
def test_what_is_no_csv_is_refused_with_a_reason(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_bytes(tmp_path, data)


@pytest.mark.parametrize("data", [gzip.compress(b"a,b\n" + b"1,2\n" * 9999, mtime=0)[:-20], b"a,b\n1,2\n"])
def test_damaged_compressed_data_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(DataError, match="is damaged or no gzip file"):
        read(source_of(tmp_path / "in.csv.gz", data))


def test_a_file_of_misfits_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csvfile, "MOST_MISFITS", 10)
    with pytest.raises(DataError, match=r"in.csv is not CSV.*Row #12: Expected 2 columns, got 1"):
        read_bytes(tmp_path, b"a,b\n" + b"1\n" * 1000)


def test_progress_adds_up_to_the_size(tmp_path: Path) -> None:
    data = gzip.compress(b"a,b\n" + b"1,2\n" * 1000)
    source = source_of(tmp_path / "in.csv.gz", data)
    assert sum(chunk.progress for chunk in csvfile.read_chunks(source, ["a", "b"])) == len(data)


def test_all_cells_are_strings(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in.csv", b"a,b\n1,2\n")
    for chunk in csvfile.read_chunks(source, ["a", "b"]):
        assert chunk.rows.schema == pa.schema([("a", pa.string()), ("b", pa.string())])
