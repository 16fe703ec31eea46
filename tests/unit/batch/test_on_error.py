import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from mlplat.errors import DataError

Score = Callable[..., Any]
Read = Callable[[Path], list[dict[str, str]]]

BAD = b'''sepal_length,sepal_width,petal_length,petal_width,note
5.1,3.5,1.4,0.2,"first
line"
5.1,abc,1.4,,"second, ""quoted"""
6.3,3.3,6.0,2.5,third
1,2
7,3,5,2,surplus,cells
6.3,3.3,6.0,inf,fourth
5.1,3.5,1.4,0.2,last
'''


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.csv"
    path.write_bytes(BAD)
    return path


def test_fail_names_file_row_line_column_found_and_expected(scored: Score, bad: Path) -> None:
    with pytest.raises(DataError) as error:
        scored(bad)
    assert str(error.value) == (
        f"{bad}, row 2 (line 4), column 'sepal_width': found \"abc\", expected a number; column 'petal_width': found a "
        "missing value, expected a number (training saw no missing values here). To go on without such rows use "
        "--on-error null or --on-error reject."
    )


def test_fail_names_a_row_with_too_few_cells(scored: Score, bad: Path) -> None:
    bad.write_bytes(b"\n".join(line for line in BAD.split(b"\n") if b"abc" not in line))
    with pytest.raises(DataError, match=r"bad\.csv, row 3 \(line 5\), found 2 cells, expected 5\."):
        scored(bad)


def test_fail_names_the_first_bad_row_of_many_chunks(scored: Score, flowers: Callable[..., Path]) -> None:
    lines = flowers(500).read_text().splitlines()
    for row in (60, 300, 490):
        lines[row] = lines[row].replace(".", "x", 1)
    path = flowers(1, "broken.csv")
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=r"broken\.csv, row 60 \(line 61\), column 'petal_width'"):
        scored(path, threads=4)


def test_null_keeps_each_row_and_leaves_its_answers_empty(scored: Score, bad: Path, read: Read, tmp_path: Path) -> None:
    result = scored(bad, on_error="null")
    rows = read(tmp_path / "out.csv")
    assert [row["note"] for row in rows] == [
        "first\nline",
        'second, "quoted"',
        "third",
        "",
        "surplus",
        "fourth",
        "last",
    ]
    assert [bool(row["prediction"]) for row in rows] == [True, False, True, False, False, False, True]
    assert [bool(row["probability_setosa"]) for row in rows] == [True, False, True, False, False, False, True]
    assert {row["model_version"] for row in rows} == {"v1"}
    assert rows[1]["sepal_width"] == "abc"
    assert rows[3]["sepal_length"] == "1"
    assert (result.counts.rows, result.counts.scored, result.counts.empty, result.counts.rejected) == (7, 3, 4, 0)
    assert result.rejects == ()


def test_reject_moves_bad_rows_to_a_file_that_says_why(scored: Score, bad: Path, read: Read, tmp_path: Path) -> None:
    result = scored(bad, tmp_path / "out.csv.gz", on_error="reject")
    with pa.input_stream(tmp_path / "out.csv.gz") as stream:
        kept = list(csv.DictReader(io.StringIO(stream.read().decode())))
    assert [row["note"] for row in kept] == ["first\nline", "third", "last"]
    rejects = read(tmp_path / "out.csv.gz.rejects.csv")
    assert list(rejects[0]) == [
        "file",
        "row",
        "reason",
        "sepal_length",
        "sepal_width",
        "petal_length",
        "petal_width",
        "note",
    ]
    missing = "column 'petal_width': found a missing value, expected a number (training saw no missing values here)"
    assert [(row["file"], row["row"], row["reason"]) for row in rejects] == [
        (
            str(bad),
            "2",
            f"column 'sepal_width': found \"abc\", expected a number; {missing}",
        ),
        (str(bad), "4", "found 2 cells, expected 5"),
        (str(bad), "5", "found 6 cells, expected 5; the surplus: cells"),
        (str(bad), "6", "column 'petal_width': found inf, expected a finite number of at most 3.403e+38"),
    ]
    assert [row["note"] for row in rejects] == ['second, "quoted"', "", "surplus", "fourth"]
    assert rejects[0]["sepal_width"] == "abc"
    assert (result.counts.rows, result.counts.scored, result.counts.empty, result.counts.rejected) == (7, 3, 0, 4)
    assert result.rejects == ((tmp_path / "out.csv.gz.rejects.csv").as_uri(),)


def test_without_rejects_there_is_no_rejects_file_not_even_an_older_one(
    scored: Score, flowers: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "out.csv.rejects.csv").write_text("of an earlier run")
    result = scored(flowers(20), on_error="reject")
    assert not (tmp_path / "out.csv.rejects.csv").exists()
    assert (result.rejects, result.counts.rejected) == ((), 0)


def test_rejects_of_parquet_are_text(scored: Score, read: Read, tmp_path: Path) -> None:
    table = pa.table(
        {
            "sepal_length": [1.0, None],
            "sepal_width": [2, 2],
            "petal_length": [3, 3],
            "petal_width": [4, 4],
            "vip": [True, None],
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    scored(tmp_path / "in.parquet", tmp_path / "out.parquet", on_error="reject")
    assert pq.read_table(tmp_path / "out.parquet")["vip"].to_pylist() == [True]
    (row,) = read(tmp_path / "out.parquet.rejects.csv")
    assert (row["row"], row["sepal_length"], row["sepal_width"], row["vip"]) == ("2", "", "2", "")


def test_a_row_of_parquet_is_named_by_its_number_in_the_file(scored: Score, tmp_path: Path) -> None:
    names = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    table = pa.table({name: [1.0] * 50 for name in names[:3]} | {names[3]: [1.0] * 40 + [None] + [1.0] * 9})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=15)
    with pytest.raises(DataError, match=r"in\.parquet, row 41, column 'petal_width': found a missing value"):
        scored(tmp_path / "in.parquet")


HUGE = b"""sepal_length,sepal_width,petal_length,petal_width
5.1,3.5,1.4,0.2
5.1,3.4e38,1.4,-3.4e38
5.1,abc,1.4,0.2
"""
NO_NUMBER = "the model has no number for these values, which are too large for its 32-bit arithmetic"


def test_a_row_for_which_the_model_has_no_number_is_like_one_that_cannot_be_read(
    scored: Score, read: Read, tmp_path: Path
) -> None:
    """A linear model adds and multiplies in float32; so it cannot tell before it has run."""
    source = tmp_path / "huge.csv"
    source.write_bytes(HUGE)
    with pytest.raises(DataError, match=rf"huge\.csv, row 2 \(line 3\), {NO_NUMBER}\. To go on without"):
        scored(source, version="v2")
    empty = scored(source, version="v2", on_error="null")
    rows = read(tmp_path / "out.csv")
    assert [bool(row["prediction"]) for row in rows] == [True, False, False]
    assert [row["probability_setosa"] != "" for row in rows] == [True, False, False]
    assert (empty.counts.scored, empty.counts.empty) == (1, 2)
    rejected = scored(source, version="v2", on_error="reject", overwrite=True)
    assert len(read(tmp_path / "out.csv")) == 1
    rejects = read(tmp_path / "out.csv.rejects.csv")
    assert [(row["row"], row["reason"]) for row in rejects] == [
        ("2", NO_NUMBER),
        ("3", "column 'sepal_width': found \"abc\", expected a number"),
    ]
    assert (rejected.counts.scored, rejected.counts.rejected) == (1, 2)


def test_numbers_of_csv_are_numbers_in_parquet_and_null_where_they_were_none(
    scored: Score, bad: Path, tmp_path: Path
) -> None:
    scored(bad, tmp_path / "out.parquet", on_error="null")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.schema.field("sepal_width").type == pa.float64()
    assert table["sepal_width"].to_pylist() == [3.5, None, 3.3, 2.0, 3.0, 3.3, 3.5]
    assert table["note"].type == pa.string()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_of_all_kinds_with_missing_values_gets_the_same_answers_in_both_formats(
    scored: Score, trained: Path, read: Read, tmp_path: Path, ending: str
) -> None:
    source = tmp_path / "in.csv"
    source.write_text(
        "age,plan,member,since\n31,pro,TRUE,2021-02-03\n,,0,2024-05-06T07:08:09Z\n40,gold,false,2020-01-01\n"
    )
    scored(source, tmp_path / "direct.csv", model="customers")
    other = tmp_path / f"in2.{ending}"
    if ending == "csv":
        other.write_text(source.read_text().replace("TRUE", "1").replace("0,2024", " False ,2024"))
    else:
        table = pacsv.read_csv(source, convert_options=pacsv.ConvertOptions(null_values=[""], strings_can_be_null=True))
        member = pa.array([True, False, False])
        pq.write_table(table.set_column(2, "member", member), other)
    scored(other, model="customers")
    direct, again = read(tmp_path / "direct.csv"), read(tmp_path / "out.csv")
    assert [row["probability_yes"] for row in direct] == [row["probability_yes"] for row in again]
    assert all(row["prediction"] for row in direct)
