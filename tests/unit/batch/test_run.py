import gzip
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from mlplat.errors import DataError, NotFoundError, UsageError
from mlplat.objects import open_objects
from mlplat.runtime.predictor import Predictor
from mlplat.store import Cache, Store

Score = Callable[..., Any]
Flowers = Callable[..., Path]
Read = Callable[[Path], list[dict[str, str]]]
ADDED = ["prediction", "probability_setosa", "probability_versicolor", "probability_virginica", "model_version"]


@pytest.fixture
def predictor(store: Store, tmp_path: Path) -> Predictor:
    manifest = store.manifest("iris", "v1")
    path = Cache(tmp_path / "other").fetch(store, manifest, [manifest.model_file])[manifest.model_file]
    return Predictor.load(manifest, path)


def test_each_row_keeps_its_cells_and_gets_the_answer_of_the_predictor(
    scored: Score, flowers: Flowers, read: Read, predictor: Predictor, tmp_path: Path
) -> None:
    source = flowers(50)
    result = scored(source)
    before, after = read(source), read(tmp_path / "out.csv")
    assert [{name: row[name] for name in before[0]} for row in after] == before
    assert list(after[0]) == [*before[0], *ADDED]
    features = predictor.manifest.features
    inputs, _ = features.encode({name: [float(row[name]) for row in before] for name in features.names})
    expected = predictor.predict(inputs)
    classes = predictor.manifest.classes
    assert classes is not None
    assert expected.probabilities is not None
    assert [row["prediction"] for row in after] == [classes[index] for index in expected.values]
    for column, name in enumerate(ADDED[1:4]):
        assert [float(row[name]) for row in after] == pytest.approx(expected.probabilities[:, column], abs=1e-7)
    assert {row["model_version"] for row in after} == {"v1"}
    assert (result.counts.rows, result.counts.scored, result.complete) == (50, 50, True)
    assert result.outputs == ((tmp_path / "out.csv").as_uri(),)


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "csv.zst", "parquet"])
@pytest.mark.parametrize("start", ["csv", "csv.gz", "csv.zst", "parquet"])
def test_every_format_goes_to_every_format_with_the_same_answers(
    scored: Score, flowers: Flowers, tmp_path: Path, start: str, ending: str
) -> None:
    plain = flowers(40)
    scored(plain, tmp_path / "plain.csv")
    source = plain if start == "csv" else tmp_path / f"again.{start}"
    if start == "parquet":
        pq.write_table(pacsv.read_csv(plain), source, row_group_size=9)
    elif start != "csv":
        source.write_bytes(
            pa.Codec({"csv.gz": "gzip", "csv.zst": "zstd"}[start]).compress(plain.read_bytes(), asbytes=True)
        )
    output = tmp_path / f"scored.{ending}"
    scored(source, output)
    if ending == "parquet":
        found = pq.read_table(output)
    else:
        with pa.input_stream(output) as stream:
            found = pacsv.read_csv(stream)
    expected = pacsv.read_csv(tmp_path / "plain.csv")
    assert found.column_names == expected.column_names
    for name in ["prediction", "model_version", "petal_width", "note"]:
        assert found[name].to_pylist() == expected[name].to_pylist()
    for name in ADDED[1:4]:
        assert found[name].to_pylist() == pytest.approx(expected[name].to_pylist())


def test_python_reads_the_compressed_output_as_one_file(scored: Score, flowers: Flowers, tmp_path: Path) -> None:
    scored(flowers(30), tmp_path / "out.csv.gz")
    scored(flowers(30), tmp_path / "out.csv")
    assert gzip.decompress((tmp_path / "out.csv.gz").read_bytes()) == (tmp_path / "out.csv").read_bytes()


def test_the_sample_is_the_held_out_rows_of_the_version(
    scored: Score, store: Store, read: Read, tmp_path: Path
) -> None:
    result = scored("sample")
    held_out = store.manifest("iris", "v1").data.held_out
    rows = read(tmp_path / "out.csv")
    assert result.counts.scored == len(rows) == held_out
    assert sum(row["prediction"] == row["species"] for row in rows) > 0.8 * held_out


def test_a_regression_and_a_forecast_give_a_number_and_no_probabilities(
    scored: Score, read: Read, tmp_path: Path
) -> None:
    source = tmp_path / "lags.csv"
    source.write_text("lag_1,lag_2,lag_3,lag_4,lag_5\n1.0,2.0,3.0,4,5\n5,6,7,8,9\n")
    scored(source, model="forecast")
    rows = read(tmp_path / "out.csv")
    assert list(rows[0])[-3:] == ["lag_5", "prediction", "model_version"]
    assert all(float(row["prediction"]) > 0 for row in rows)


def test_the_alias_says_which_version(scored: Score, flowers: Flowers, read: Read, tmp_path: Path) -> None:
    result = scored(flowers(3), alias="champion")
    assert result.version == read(tmp_path / "out.csv")[0]["model_version"] == "v1"


def test_version_and_time_stand_in_the_name_of_the_output(scored: Score, flowers: Flowers, tmp_path: Path) -> None:
    result = scored(flowers(3), tmp_path / "{version}-{time}.csv")
    (found,) = tmp_path.glob("v1-20*T*Z.csv")
    assert result.outputs == (found.as_uri(),)


def test_many_inputs_go_to_one_output_in_order(scored: Score, flowers: Flowers, read: Read, tmp_path: Path) -> None:
    flowers(9, "in/b.csv", seed=1)
    flowers(9, "in/a.csv", seed=2)
    scored(tmp_path / "in" / "*.csv")
    notes = [row["note"] for row in read(tmp_path / "out.csv")]
    assert notes == [f"2:{row}" for row in range(9)] + [f"1:{row}" for row in range(9)]


def test_a_folder_as_output_gets_one_file_per_input(
    scored: Score, flowers: Flowers, read: Read, tmp_path: Path
) -> None:
    flowers(4, "in/a.csv")
    flowers(5, "in/deep/b.csv")
    result = scored(tmp_path / "in", f"{tmp_path}/out/")
    assert len(read(tmp_path / "out" / "a.csv")) == 4
    assert len(read(tmp_path / "out" / "deep" / "b.csv")) == 5
    assert len(result.outputs) == 2


def test_columns_of_later_inputs_may_be_in_another_order(scored: Score, read: Read, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("sepal_length,sepal_width,petal_length,petal_width,x\n1,2,3,4,a\n")
    (tmp_path / "b.csv").write_text("x,petal_width,petal_length,sepal_width,sepal_length\nb,4,3,2,1\n")
    scored([str(tmp_path / "a.csv"), str(tmp_path / "b.csv")])
    first, second = read(tmp_path / "out.csv")
    assert {**first, "x": ""} == {**second, "x": ""}
    assert (first["x"], second["x"]) == ("a", "b")


def test_inputs_with_different_columns_are_refused_for_one_output(
    scored: Score, flowers: Flowers, tmp_path: Path
) -> None:
    flowers(3, "a.csv")
    (tmp_path / "b.csv").write_text("sepal_length,sepal_width,petal_length,petal_width,x\n1,2,3,4,a\n")
    with pytest.raises(
        DataError, match=r"b\.csv lacks 'id', 'note' and has 'x' besides, expected the columns of .*a\.csv"
    ):
        scored([str(tmp_path / "a.csv"), str(tmp_path / "b.csv")])


def test_a_complete_output_is_skipped_and_not_looked_into(scored: Score, flowers: Flowers, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("whatever")
    result = scored(flowers(3))
    assert result.skipped == ((tmp_path / "out.csv").as_uri(),)
    assert (result.outputs, result.counts.rows, result.complete) == ((), 0, True)
    assert (tmp_path / "out.csv").read_text() == "whatever"


def test_overwrite_replaces_a_complete_output(scored: Score, flowers: Flowers, read: Read, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("whatever")
    assert scored(flowers(3), overwrite=True).skipped == ()
    assert len(read(tmp_path / "out.csv")) == 3


def test_only_the_inputs_that_lack_an_output_are_scored(scored: Score, flowers: Flowers, tmp_path: Path) -> None:
    flowers(3, "in/a.csv")
    scored(tmp_path / "in", f"{tmp_path}/out/")
    flowers(4, "in/b.csv")
    result = scored(tmp_path / "in", f"{tmp_path}/out/")
    assert (len(result.outputs), len(result.skipped), result.counts.rows) == (1, 1, 4)


def test_an_output_can_be_scored_again_by_another_version(
    scored: Score, flowers: Flowers, read: Read, tmp_path: Path
) -> None:
    scored(flowers(20), tmp_path / "first.parquet")
    scored(tmp_path / "first.parquet", version="v2")
    scored(flowers(20), tmp_path / "direct.csv", version="v2")
    again, direct = read(tmp_path / "out.csv"), read(tmp_path / "direct.csv")
    assert list(again[0]) == list(direct[0])
    assert [row["prediction"] for row in again] == [row["prediction"] for row in direct]
    assert {row["model_version"] for row in again} == {"v2"}


def test_a_column_with_the_name_of_an_added_one_is_refused(scored: Score, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("sepal_length,sepal_width,petal_length,petal_width,prediction\n1,2,3,4,x\n")
    with pytest.raises(DataError, match=r"in\.csv has a column 'prediction' of its own.*Rename it"):
        scored(source)


def test_all_missing_columns_are_named_and_what_is_there(scored: Score, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("sepal_length,petal_length,colour\n1,2,red\n")
    with pytest.raises(
        DataError, match=r"lacks the column 'sepal_width', 'petal_width' of iris v1; found 'sepal_length', "
    ):
        scored(source)


def test_semicolons_are_seen_as_the_reason_of_missing_columns(scored: Score, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("sepal_length;sepal_width;petal_length;petal_width\n1;2;3;4\n")
    with pytest.raises(DataError, match="Separate the columns with commas"):
        scored(source)


def test_a_version_that_does_not_exist_is_not_found_and_names_those_that_do(scored: Score, flowers: Flowers) -> None:
    with pytest.raises(NotFoundError, match=r"v9.*v1.*v2"):
        scored(flowers(3), version="v9")


@pytest.mark.parametrize(
    ("output", "message"),
    [("out.txt", "says no format"), ("in.csv", "is an input")],
)
def test_an_output_that_cannot_be_meant_is_refused(
    scored: Score, flowers: Flowers, tmp_path: Path, output: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        scored(flowers(3), tmp_path / output)


def test_csv_and_parquet_do_not_go_to_one_output(scored: Score, flowers: Flowers, tmp_path: Path) -> None:
    pq.write_table(pacsv.read_csv(flowers(3)), tmp_path / "in.parquet")
    with pytest.raises(UsageError, match="CSV and Parquet"):
        scored([str(tmp_path / "in.csv"), str(tmp_path / "in.parquet")])


def test_two_inputs_do_not_go_to_one_name(scored: Score, flowers: Flowers, tmp_path: Path) -> None:
    flowers(3, "a/in.csv")
    flowers(3, "b/in.csv")
    with pytest.raises(UsageError, match=r"would both be written"):
        scored([str(tmp_path / "a/in.csv"), str(tmp_path / "b/in.csv")], f"{tmp_path}/out/")


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "csv.zst", "parquet"])
def test_inputs_and_outputs_may_be_in_a_bucket(
    scored: Score, flowers: Flowers, read: Read, s3: Any, ending: str
) -> None:
    url = s3.new_url()
    local = flowers(30)
    tmp_path = local.parent
    with open_objects(url).open_writer("in/a.csv") as stream:
        stream.write(local.read_bytes())
    first = scored(f"{url}/in/*.csv", f"{url}/out/scored.{ending}")
    second = scored(f"{url}/out", tmp_path / "again.csv")
    scored(local)
    assert first.outputs == (f"{url}/out/scored.{ending}",)
    assert second.counts.rows == 30
    assert [row["prediction"] for row in read(tmp_path / "again.csv")] == [
        row["prediction"] for row in read(tmp_path / "out.csv")
    ]
    assert scored(f"{url}/in/a.csv", f"{url}/out/scored.{ending}").skipped == first.outputs


ENDLESS = """
import sys, threading
from pathlib import Path
from mlplat.batch import score
from mlplat.store import Cache, open_store

store, cache, source, output = sys.argv[1:]

def tell(total):
    from contextlib import nullcontext
    return nullcontext(lambda rows, size: print(rows, flush=True))

score(store=open_store(store), cache=Cache(Path(cache)), model="iris", version="v1", inputs=[source], output=output,
      chunk_rows=7, progress=tell)
"""


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("signal", ["SIGKILL", "SIGTERM"])
def test_a_killed_run_leaves_nothing_visible_and_the_next_one_succeeds(
    scored: Score, flowers: Flowers, store: Store, signal: str, ending: str
) -> None:
    source = flowers(20_000)
    out = source.parent / "out"
    out.mkdir()
    output = out / f"scored.{ending}"
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, store.url, out.parent / "cache", source, output], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    for _ in range(20):
        assert process.stdout.readline()
    process.kill() if signal == "SIGKILL" else process.terminate()
    process.stdout.close()
    assert process.wait(timeout=30) != 0
    assert [path for path in out.iterdir() if not path.name.startswith(".")] == []
    assert scored(source, output, chunk_rows=1 << 16).counts.scored == 20_000


def test_a_failed_run_leaves_nothing_visible(scored: Score, flowers: Flowers, tmp_path: Path) -> None:
    source = flowers(100)
    source.write_text(source.read_text() + "1,2,3,x,5,6\n")
    with pytest.raises(DataError):
        scored(source, tmp_path / "out" / "scored.parquet")
    assert list((tmp_path / "out").iterdir()) == []


def test_progress_adds_up_to_the_rows_and_the_size(scored: Score, flowers: Flowers, tmp_path: Path) -> None:
    from contextlib import contextmanager

    pq.write_table(pacsv.read_csv(flowers(100)), tmp_path / "in.parquet", row_group_size=30)
    for source in (tmp_path / "in.csv", tmp_path / "in.parquet"):
        told = [0, 0, 0]

        @contextmanager
        def progress(total: int) -> Any:
            def advance(rows: int, size: int) -> None:
                told[1] += rows  # noqa: B023
                told[2] += size  # noqa: B023

            told[0] = total  # noqa: B023
            yield advance

        scored(source, overwrite=True, progress=progress)
        assert told == [source.stat().st_size, 100, source.stat().st_size]


def test_a_file_without_rows_gives_a_file_without_rows(scored: Score, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("sepal_length,sepal_width,petal_length,petal_width\n")
    assert scored(source).counts.rows == 0
    assert (tmp_path / "out.csv").read_text().startswith("sepal_length,")
    assert scored(source, tmp_path / "out.parquet").counts.rows == 0
    assert pq.read_table(tmp_path / "out.parquet").column_names[-1] == "model_version"


def test_no_thread_outlives_a_run(scored: Score, flowers: Flowers) -> None:
    import threading

    source = flowers(50)
    scored(source)
    source.write_text(source.read_text() + "1,2,3,x,5,6\n")
    with pytest.raises(DataError):
        scored(source, overwrite=True)
    deadline = time.monotonic() + 10
    while names := [each.name for each in threading.enumerate() if each.name.startswith(("read", "score"))]:
        assert time.monotonic() < deadline, names


def test_scoring_does_not_import_pandas_which_takes_longer_than_a_small_file(
    flowers: Flowers, store: Store, tmp_path: Path
) -> None:
    program = (
        "import sys; from pathlib import Path; from mlplat.batch import score; from mlplat.store import Cache, open_store;"
        "score(store=open_store(sys.argv[1]), cache=Cache(Path(sys.argv[2])), model='iris', version='v1',"
        "inputs=[sys.argv[3]], output=sys.argv[4]); print('pandas' in sys.modules, 'sklearn' in sys.modules)"
    )
    for name in ("out.csv", "out.parquet"):
        paths = [tmp_path / "cache", flowers(20), tmp_path / name]
        command = [sys.executable, "-c", program, store.url, *map(str, paths)]
        assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "False False\n"
