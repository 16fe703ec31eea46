"""Reading data: every fault is an error that names the file, the line, the column and what was expected."""

import gzip
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlplat.errors import DataError, NotFoundError, UsageError
from mlplat.recipes import Dataset, find_recipe, read_table


def written(folder: Path, content: bytes | str, name: str = "data.csv") -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def csv(header: str, rows: list[str]) -> str:
    return "\n".join([header, *rows]) + "\n"


TWENTY = [f"{i},{'ab'[i % 2]}" for i in range(20)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty, expected a header line and rows"),
        (b" \n\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty, expected a header line and rows"),
        (b"\xef\xbb\xbf\r\n\r\n", "is empty, expected a header line and rows"),
        (b"\n\na\n1\n\n2,3\n", "line 6: found 2 cells, expected 1 as in the header"),
        (b"a,b\n", "has a header line and no rows"),
        (b"a,b", "has a header line and no rows"),
        (b'a,"b\n1,2\n', "has a header line and no rows"),
        (b"a,b,a\n1,2,3\n", "line 1: the name 'a' is there more than once"),
        (b"a,,c\n1,2,3\n", "line 1: column 2 has no name"),
        (b"a,b\n1,2\n\n3\n", "line 4: found 1 cells, expected 2 as in the header"),
        (b'a,b\n"1\n1",2\n3,4,5\n', "line 4: found 3 cells, expected 2"),
        (b"\x89PNG\r\n\x00\x01", "is a binary file, expected CSV or Parquet"),
        ("a,b\n1,é\n".encode("latin1"), "line 2: found the byte 0xe9, expected UTF-8 text"),
        ("a,b\n1,2\n".encode("utf-16"), "is UTF-16 text, expected UTF-8"),
        (b"PAR1 no parquet", "is a damaged Parquet file"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:-9], "is a damaged compressed file"),
        (b"\x28\xb5\x2f\xfd\x00", "is a damaged compressed file"),
    ],
)
def test_a_file_that_is_no_table_is_a_data_error(tmp_path: Path, content: bytes, message: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert path in str(caught.value)
    assert message in str(caught.value)


def test_a_missing_file_is_not_found_and_a_directory_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"There is no file .*nothing\.csv"):
        read_table(tmp_path / "nothing.csv")
    with pytest.raises(DataError, match="is a directory, expected a CSV or Parquet file"):
        read_table(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        read_table(written(tmp_path, "a\n1\n") + "/below")
    with pytest.raises(UsageError, match="unknown scheme"):
        read_table("ftp://host/data.csv")


def test_plain_gzip_zstandard_file_url_and_byte_order_mark_read_alike(tmp_path: Path) -> None:
    text = csv("x,y", TWENTY).encode()
    with pa.output_stream(str(tmp_path / "z.csv.zst"), compression="zstd") as stream:
        stream.write(text)
    sources = [
        written(tmp_path, text),
        written(tmp_path, gzip.compress(text), "g.csv.gz"),
        str(tmp_path / "z.csv.zst"),
        "file://" + written(tmp_path, text, "with space.csv").replace(" ", "%20"),
        written(tmp_path, b"\xef\xbb\xbf" + text, "bom.csv"),
    ]
    tables = [read_table(source) for source in sources]
    assert all(table.arrow.equals(tables[0].arrow) for table in tables)
    assert tables[0].sha256 == tables[3].sha256 != tables[1].sha256


def test_an_object_store_is_read_as_a_path_is(tmp_path: Path, s3: Any) -> None:
    from mlplat.objects import open_objects

    url = s3.new_url()
    text = csv("x,y", TWENTY)
    open_objects(url).put_if_absent("data.csv", text.encode())
    assert read_table(f"{url}/data.csv").sha256 == read_table(written(tmp_path, text)).sha256
    with pytest.raises(NotFoundError):
        read_table(f"{url}/nothing.csv")


def test_kinds_are_inferred_from_text(tmp_path: Path) -> None:
    path = written(tmp_path, csv("n,b,d,t,c,m", ["1.5,TRUE,2026-01-31,2026-01-31T08:00:00Z,x,", ",false,,,,9"]))
    table = read_table(path)
    columns = {name: table.column(name) for name in table.names}
    assert {name: column.kind for name, column in columns.items()} == {
        "n": "numeric",
        "b": "boolean",
        "d": "date",
        "t": "date",
        "c": "category",
        "m": "numeric",
    }
    assert columns["b"].cells.tolist() == [True, False]
    assert columns["c"].cells.tolist() == ["x", None]
    assert [column.missing.tolist() for column in columns.values()] == [
        [False, True],
        [False, False],
        [False, True],
        [False, True],
        [False, True],
        [True, False],
    ]


def test_kinds_of_parquet_are_its_types(tmp_path: Path) -> None:
    moment = pd.Timestamp("2026-01-31T08:00")
    frame = pd.DataFrame(
        {
            "i": pd.array([1, None], dtype="Int64"),
            "b": pd.array([True, None], dtype="boolean"),
            "t": [moment, pd.NaT],
            "z": pd.to_datetime(pd.Series(["2026-01-31T08:00", None])).dt.tz_localize("Europe/Rome"),
            "s": ["2026-01-31", None],
            "c": pd.Categorical(["x", None]),
            "f": ["true", "1"],
        }
    )
    frame.to_parquet(tmp_path / "data.parquet")
    table = read_table(tmp_path / "data.parquet")
    columns = {name: table.column(name) for name in table.names}
    kinds = ["numeric", "boolean", "date", "date", "date", "category", "category"]
    assert [column.kind for column in columns.values()] == kinds
    assert [column.missing.tolist() for column in columns.values()] == [[False, True]] * 6 + [[False, False]]
    assert str(columns["z"].cells[0]) == "2026-01-31T07:00:00.000000"


def test_a_parquet_type_that_no_model_takes_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [[1.0], [2.0]], "n": [1, 2]}), tmp_path / "data.parquet")
    table = read_table(tmp_path / "data.parquet")
    with pytest.raises(DataError, match=r"column 'x' holds list.*, expected numbers, booleans, dates or strings"):
        table.column("x")
    with pytest.raises(DataError, match="column 'n' holds int64, expected strings"):
        table.column("n", category=True)


def test_parquet_with_equal_names_or_no_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"]), path)
    with pytest.raises(DataError, match="'x' is there more than once"):
        read_table(path)
    pq.write_table(pa.table({"x": pa.array([], pa.float64())}), path)
    with pytest.raises(DataError, match="has no rows"):
        read_table(path)


def test_one_word_among_many_numbers_is_named_with_its_line(tmp_path: Path) -> None:
    rows = [f"{i}.5,{'ab'[i % 2]}" for i in range(40)]
    rows[16] = "n/a,a"
    with pytest.raises(DataError, match=r"line 18, column 'x': found \"n/a\", expected a number as in nearly all"):
        Dataset.from_table(read_table(written(tmp_path, csv("x,y", rows))), target="y")


def test_an_integer_that_a_double_cannot_hold_is_named_with_its_line(tmp_path: Path) -> None:
    rows = [f"{2**53 + 2 if i == 7 else i},{'ab'[i % 2]}" for i in range(20)]
    path = written(tmp_path, csv("x,y", rows))
    with pytest.raises(DataError, match=r"line 9, column 'x': found 9007199254740994, expected an integer of at most"):
        read_table(path).column("x")
    pq.write_table(pa.table({"x": [1, 2**60]}), tmp_path / "data.parquet")
    with pytest.raises(DataError, match=r"row 2, column 'x': found 1152921504606846976, expected an integer of at"):
        read_table(tmp_path / "data.parquet").column("x")


@pytest.mark.parametrize("number", ["9007199254740993", "-9007199254740995", "1" + "0" * 5000])
def test_an_integer_is_shown_as_it_is_written(tmp_path: Path, number: str) -> None:
    rows = [f"{number if i == 7 else i},{'ab'[i % 2]}" for i in range(20)]
    shown = number if len(number) <= 40 else number[:37] + r"\.\.\."
    with pytest.raises(DataError, match=f"line 9, column 'x': found {shown}, expected an integer") as error:
        read_table(written(tmp_path, csv("x,y", rows))).column("x")
    assert error.value.hint == "For names that look like numbers add --param categories=x."
    if len(number) < 20:
        pq.write_table(pa.table({"x": [1, int(number)]}), tmp_path / "data.parquet")
        with pytest.raises(DataError, match=f"row 2, column 'x': found {shown}, expected an integer"):
            read_table(tmp_path / "data.parquet").column("x")


@pytest.mark.parametrize("cell", ["", "  ", "nan", "NaN", '""'])
def test_a_column_without_any_value_is_refused_by_its_name(tmp_path: Path, cell: str) -> None:
    path = written(tmp_path, csv("x,gone,y", [f"{i % 7},{cell},{'ab'[i % 2]}" for i in range(20)]))
    for features in (None, ["x", "gone"]):
        with pytest.raises(DataError, match=r"column 'gone' has no values at all, expected some\. Leave it out"):
            Dataset.from_table(read_table(path), target="y", features=features)


@pytest.mark.parametrize(
    "values",
    [pa.array([float("nan")] * 20), pa.nulls(20), pa.nulls(20, pa.float32()), pa.nulls(20, pa.timestamp("us"))],
    ids=lambda values: f"{values.type}{values.null_count}",
)
def test_a_column_of_parquet_without_any_value_is_refused_by_its_name(tmp_path: Path, values: pa.Array) -> None:
    columns = {"x": [i % 7 for i in range(20)], "gone": values, "y": list("ab" * 10)}
    pq.write_table(pa.table(columns), tmp_path / "data.parquet")
    with pytest.raises(DataError, match="column 'gone' has no values at all"):
        Dataset.from_table(read_table(tmp_path / "data.parquet"), target="y")


def test_a_quote_that_is_never_closed_gives_a_short_message(tmp_path: Path) -> None:
    path = written(tmp_path, 'x,"left\n' + "1,2\n" * 100_000 + '1,"2"\n3,4\n')
    with pytest.raises(DataError, match=r"lacks the column 'y'; found the columns 'x', 'left\\n1,2.*\.\.\.'") as error:
        read_table(path).require(["y"])
    assert len(str(error.value)) < 1000


def test_huge_ids_are_left_out_as_other_ids_are(tmp_path: Path) -> None:
    rows = [f"{2**60 + 1000 * i},{i % 3},{'ab'[i % 2]}" for i in range(20)]
    data = Dataset.from_table(read_table(written(tmp_path, csv("tweet_id,x,y", rows))), target="y")
    assert list(data.left_out) == ["tweet_id"]


def test_space_around_numbers_booleans_and_dates_does_not_count_and_space_alone_is_missing(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, csv("n,b,d,c", [" 1 , True , 2026-01-31 , x", " , , , "])))
    assert [table.column(name).kind for name in table.names] == ["numeric", "boolean", "date", "category"]
    assert [table.column(name).missing.tolist() for name in "nbd"] == [[False, True]] * 3
    assert table.column("d").cells.tolist() == ["2026-01-31", None]
    assert table.column("c").cells.tolist() == [" x", " "]


def test_one_wrong_date_among_many_is_named_with_its_line(tmp_path: Path) -> None:
    rows = [f"2026-01-{1 + i % 28:02},{'ab'[i % 2]}" for i in range(40)]
    rows[3] = "2026-02-31,a"
    with pytest.raises(DataError, match=r"line 5, column 'x': found \"2026-02-31\", expected a date"):
        Dataset.from_table(read_table(written(tmp_path, csv("x,y", rows))), target="y")


def test_a_few_different_numbers_among_words_are_categories(tmp_path: Path) -> None:
    rows = [f"{['0', '1', '2', '3+'][i % 4]},{'ab'[i % 2]}" for i in range(40)]
    data = Dataset.from_table(read_table(written(tmp_path, csv("x,y", rows))), target="y")
    assert data.columns["x"].kind == "category"


def test_lines_are_counted_over_blank_lines_and_quoted_cells(tmp_path: Path) -> None:
    rows = [f'"{i}\n{i}",1,{"ab"[i % 2]}' for i in range(10)] + ["", "x,inf,a"] + ["x,1,b"] * 9
    table = read_table(written(tmp_path, csv("t,n,y", rows)))
    assert [table.where(row) for row in (0, 1, 9, 10, 11)] == ["line 2", "line 4", "line 20", "line 23", "line 24"]


@pytest.mark.parametrize("name", ["x", "xx"])
def test_a_line_end_within_a_cell_is_whole_wherever_it_lies_in_a_large_file(tmp_path: Path, name: str) -> None:
    cell = "\r\n" * 4  # so that one of both names has Arrow's blocks of 1 MiB end within a line end
    table = read_table(written(tmp_path, f"{name},n\r\n" + f'"{cell}",1\r\n' * 250_000))
    assert set(table.arrow.column(name).to_pylist()) == {cell}


def test_a_blank_line_of_one_column_is_a_row_without_a_value(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, '\n\nx\n1\n\n""\n2\n\n'))
    assert table.arrow.column("x").to_pylist() == ["1", None, None, "2", None]
    assert [table.where(row) for row in range(5)] == [f"line {line}" for line in (4, 5, 6, 7, 8)]


def test_a_gap_in_a_series_is_named_with_its_line(tmp_path: Path) -> None:
    lines = ["value", *map(str, range(60))]
    lines[30] = ""
    recipe = find_recipe("forecast").parse({"window": "5"})
    with pytest.raises(DataError, match=r"line 31, column 'value': found .*, expected a finite number in every row"):
        recipe.data(written(tmp_path, "\n".join(lines) + "\n"))


def test_a_missing_column_is_named_with_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lacks the columns 'p', 'q'; found the columns 'x', 'y'"):
        read_table(written(tmp_path, csv("x,y", TWENTY))).require(["x", "p", "q"])
    with pytest.raises(DataError, match="Separate the columns with commas"):
        read_table(written(tmp_path, "x;y\n1;2\n")).require(["x"])
