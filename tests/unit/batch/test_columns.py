from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlplat.batch import parquetfile
from mlplat.batch.columns import added_fields, labels
from mlplat.errors import DataError, NotFoundError, UsageError
from mlplat.store import Store

Score = Callable[..., Any]

NAMES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


def write(path: Path, columns: dict[str, Any], rows: int = 3, **options: Any) -> Path:
    table = pa.table({name: pa.array(np.ones(rows)) for name in NAMES} | columns)
    pq.write_table(table, path, **options)
    return path


@pytest.mark.parametrize(
    ("classes", "kind", "names"),
    [
        (("a", "b"), pa.string(), ["probability_a", "probability_b"]),
        ((0, 1), pa.int64(), ["probability_0", "probability_1"]),
        ((False, True), pa.bool_(), ["probability_false", "probability_true"]),
        ((0.5, 1.5), pa.float64(), ["probability_0.5", "probability_1.5"]),
        ((1, "other"), pa.string(), ["probability_1", "probability_other"]),
    ],
)
def test_predictions_are_of_the_type_of_the_classes(
    store: Store, classes: tuple[Any, ...], kind: pa.DataType, names: list[str]
) -> None:
    manifest = store.manifest("iris", "v1").model_copy(update={"classes": classes})
    schema = added_fields(manifest)
    assert schema.names == ["prediction", *names, "model_version"]
    assert schema.field("prediction").type == labels(classes).type == kind
    assert labels(classes).to_pylist() == ([str(each) for each in classes] if kind == pa.string() else list(classes))


def test_parquet_of_all_types_is_carried_through_unchanged(scored: Score, tmp_path: Path) -> None:
    extra = {
        "list": pa.array([[1], None, []]),
        "struct": pa.array([{"a": 1}] * 3),
        "time": pa.array([0, None, 1], pa.timestamp("ns", "UTC")),
        "colour": pa.array(["red", None, "red"]).dictionary_encode(),
        "bytes": pa.array([b"\xff", None, b""]),
    }
    source = write(tmp_path / "in.parquet", extra)
    scored(source, tmp_path / "out.parquet")
    before, after = pq.read_table(source), pq.read_table(tmp_path / "out.parquet")
    assert after.select(before.column_names).equals(before)


def test_a_column_that_csv_cannot_hold_is_refused(scored: Score, tmp_path: Path) -> None:
    source = write(tmp_path / "in.parquet", {"tags": pa.array([["a"]] * 3)})
    with pytest.raises(DataError, match=r"'tags' is of type list<.*>, which CSV cannot hold\. Write Parquet"):
        scored(source)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(1), pa.dictionary(pa.int32(), pa.binary())])
def test_bytes_go_to_csv_if_they_are_text_and_are_refused_by_name_if_not(
    scored: Score, tmp_path: Path, kind: pa.DataType
) -> None:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    for content, text in ((b"a", "a"), (b"\xff", None)):
        values = pa.array([content, None, content], plain).cast(kind)
        source = write(tmp_path / "in.parquet", {"raw": values})
        if text is None:
            with pytest.raises(DataError, match=r"in\.parquet: the column 'raw' is of type .*binary"):
                scored(source, overwrite=True)
        else:
            scored(source)
            assert [line.split(",")[4] for line in (tmp_path / "out.csv").read_text().splitlines()] == [
                "raw", text, "", text,
            ]  # fmt: skip


def test_a_quote_that_is_never_closed_gives_a_short_message(scored: Score, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text('sepal_length,"sepal_width\n' + "1,2\n" * 10_000)
    with pytest.raises(
        DataError, match=r"lacks the column 'sepal_width', .*found 'sepal_length', 'sepal_width"
    ) as error:
        scored(source)
    assert len(str(error.value)) < 1000


def test_types_of_later_files_are_cast_to_those_of_the_first(scored: Score, tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"id": pa.array([1, 2, 3], pa.int64())})
    write(tmp_path / "b.parquet", {"id": pa.array([4, 5, 6], pa.int32())})
    scored(tmp_path / "?.parquet", tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet")["id"].to_pylist() == [1, 2, 3, 4, 5, 6]


def test_types_that_do_not_fit_are_refused(scored: Score, tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"id": pa.array([1, 2, 3])})
    write(tmp_path / "b.parquet", {"id": pa.array(["4", "x", "6"])})
    with pytest.raises(DataError, match=r"b\.parquet: the column 'id' is of type string, expected int64"):
        scored(tmp_path / "?.parquet", tmp_path / "out.parquet")


def test_two_columns_of_one_name_are_refused(scored: Score, tmp_path: Path) -> None:
    table = pa.table([pa.array([1.0])] * 5, names=[*NAMES, "petal_width"])
    pq.write_table(table, tmp_path / "in.parquet")
    with pytest.raises(DataError, match=r"in\.parquet: the column 'petal_width' is there more than once"):
        scored(tmp_path / "in.parquet")


@pytest.mark.parametrize("data", [b"", b"not parquet at all", b"PAR1" + b"\0" * 50 + b"PAR1"])
def test_what_is_no_parquet_is_refused(scored: Score, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "in.parquet").write_bytes(data)
    with pytest.raises(DataError, match=r"in\.parquet is damaged or no Parquet file"):
        scored(tmp_path / "in.parquet")


def test_damaged_pages_of_parquet_are_refused(scored: Score, tmp_path: Path) -> None:
    path = write(tmp_path / "in.parquet", {}, rows=1000, use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[40:400] = b"\xff" * 360
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"in\.parquet is damaged or no Parquet file"):
        scored(path)


def test_the_metadata_of_pandas_is_left_behind(scored: Score, tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({name: [1.0, 2.0] for name in NAMES}, index=pd.Index([7, 8], name="key"))
    frame.to_parquet(tmp_path / "in.parquet")
    scored(tmp_path / "in.parquet", tmp_path / "out.parquet")
    assert pq.read_schema(tmp_path / "out.parquet").metadata is None
    assert pq.read_table(tmp_path / "out.parquet")["key"].to_pylist() == [7, 8]


def test_long_rows_come_in_smaller_chunks(scored: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquetfile, "CHUNK_BYTES", 1000)
    write(tmp_path / "in.parquet", {"text": pa.array([f"{row:0500}" for row in range(20)])}, rows=20)
    from mlplat.batch.inputs import expand

    (source,) = expand([str(tmp_path / "in.parquet")])
    assert max(chunk.rows.num_rows for chunk in parquetfile.read_chunks(source, None, 100)) <= 2
    assert scored(source.name).counts.scored == 20


def test_row_groups_of_the_output_are_bounded(scored: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlplat.batch.writers.ROW_GROUP_ROWS", 14)
    scored(write(tmp_path / "in.parquet", {}, rows=50), tmp_path / "out.parquet")
    metadata = pq.read_metadata(tmp_path / "out.parquet")
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [14, 14, 14, 8]


def test_sample_stands_alone(scored: Score) -> None:
    with pytest.raises(UsageError, match=r"'sample' stands alone"):
        scored(["sample", "in.csv"])


def test_a_version_without_held_out_rows_has_no_sample(scored: Score, models: Store) -> None:
    manifest = models.manifest("iris", "v1")
    files = {name: entry for name, entry in manifest.files.items() if name != "held_out.parquet"}
    bare = manifest.model_copy(update={"version": "bare", "files": files})
    folder = Path(models.url.removeprefix("file://"))
    models.publish(bare, {name: folder / "iris" / "files" / entry.sha256 for name, entry in files.items()})
    with pytest.raises(NotFoundError, match="iris bare was published without held-out rows"):
        scored("sample", store=models, version="bare")


@pytest.mark.parametrize("options", [{"threads": 0}, {"chunk_rows": 0}])
def test_numbers_below_one_are_refused(scored: Score, options: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        scored("sample", **options)
