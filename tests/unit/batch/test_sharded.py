import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from mlplat.batch import Share
from mlplat.batch.shards import Run
from mlplat.errors import ConflictError, CorruptError, UsageError
from mlplat.store import Store

Score = Callable[..., Any]
Flowers = Callable[..., Path]
Read = Callable[[Path], list[dict[str, str]]]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small that a short file makes several."""
    monkeypatch.setattr("mlplat.batch.deal.BLOCK_ROWS", 4)


def notes_of(folder: Path, read: Read, ending: str) -> list[str]:
    """The notes of all rows in the parts."""
    paths = sorted(folder.glob(f"part-*-of-*.{ending}"))
    if ending == "csv":
        return [row["note"] for path in paths for row in read(path)]
    return [note for path in paths for note in pq.read_table(path)["note"].to_pylist()]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("start", ["csv", "parquet"])
def test_the_parts_of_all_shards_hold_every_row_once(
    scored: Score, flowers: Flowers, read: Read, start: str, ending: str
) -> None:
    source = flowers(300)
    folder = source.parent / f"run.{ending}"
    if start == "parquet":
        pq.write_table(pacsv.read_csv(source), source.with_suffix(".parquet"), row_group_size=70)
        source = source.with_suffix(".parquet")
    results = [scored(source, folder, share=Share(index, 3)) for index in (2, 0, 1)]
    assert [result.complete for result in results] == [False, False, True]
    assert sum(result.counts.scored for result in results) == 300
    assert min(result.counts.scored for result in results) > 0
    assert sorted(notes_of(folder, read, ending)) == sorted(f"0:{row}" for row in range(300))


def test_whole_files_are_dealt_out_where_there_are_enough(
    scored: Score, flowers: Flowers, read: Read, tmp_path: Path
) -> None:
    for number in range(5):
        flowers(10, f"in/{number}.csv", seed=number)
    results = [scored(tmp_path / "in" / "*.csv", f"{tmp_path}/out/", share=Share(index, 2)) for index in (0, 1)]
    assert [result.counts.rows for result in results] == [30, 20]
    assert len(set(notes_of(tmp_path / "out", read, "csv"))) == 50
    assert Run.model_validate_json((tmp_path / "out" / "_run.json").read_bytes()).csv_block_rows is None


def test_more_shards_than_work_gives_parts_without_rows(
    scored: Score, flowers: Flowers, read: Read, tmp_path: Path
) -> None:
    source = flowers(10)
    results = [scored(source, f"{tmp_path}/out", share=Share(index, 4)) for index in range(4)]
    assert [result.counts.rows for result in results] == [10, 0, 0, 0]
    assert results[-1].complete
    assert read(tmp_path / "out" / "part-00003-of-00004.csv") == []


def test_all_shards_use_the_version_that_the_first_one_found(
    scored: Score, flowers: Flowers, models: Store, read: Read, tmp_path: Path
) -> None:
    source = flowers(30)
    scored(source, f"{tmp_path}/out", store=models, alias="champion", share=Share(0, 2))
    models.move("iris", "champion", "v2", reason="test", by="test")
    result = scored(source, f"{tmp_path}/out", store=models, alias="champion", share=Share(1, 2))
    assert (result.version, result.complete) == ("v1", True)


def test_shards_that_start_together_agree_on_one_run(
    scored: Score, flowers: Flowers, models: Store, tmp_path: Path
) -> None:
    source = flowers(100)
    for attempt in range(10):
        out = f"{tmp_path}/out{attempt}"

        def one(index: int, out: str = out) -> Any:
            models.move("iris", "champion", f"v{index % 2 + 1}", reason="test", by=str(index))
            return scored(
                source, out, store=models, alias="champion", share=Share(index, 4), cache=cache_of(tmp_path, index)
            )

        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(one, range(4)))
        assert len({result.version for result in results}) == 1
        assert any(result.complete for result in results)


def cache_of(folder: Path, number: int) -> Any:
    from mlplat.store import Cache

    return Cache(folder / f"cache{number}")


def test_a_shard_that_finished_is_skipped(scored: Score, flowers: Flowers, tmp_path: Path) -> None:
    source = flowers(30)
    scored(source, f"{tmp_path}/out", share=Share(0, 1))
    part = tmp_path / "out" / "part-00000-of-00001.csv"
    part.write_text("not looked into")
    result = scored(source, f"{tmp_path}/out", share=Share(0, 1))
    assert result.skipped == (part.as_uri(),)
    assert (result.counts.rows, result.complete) == (0, True)
    assert scored(source, f"{tmp_path}/out", share=Share(0, 1), overwrite=True).counts.rows == 30


def test_a_part_without_its_manifest_is_written_again(scored: Score, flowers: Flowers, tmp_path: Path) -> None:
    source = flowers(30)
    scored(source, f"{tmp_path}/out", share=Share(0, 1))
    (tmp_path / "out" / "_parts" / "00000-of-00001.json").unlink()
    assert scored(source, f"{tmp_path}/out", share=Share(0, 1)).counts.rows == 30


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"share": Share(0, 3)}, r"has shards: 2, this shard 3"),
        ({"version": "v2"}, r"has the version v1, this shard v2"),
        ({"on_error": "null"}, r"has on_error fail, this shard null"),
        ({"inputs": "longer.csv"}, r"has the inputs .*in\.csv \(\d+ bytes\), this shard .*longer\.csv \(\d+ bytes\)"),
    ],
)
def test_a_shard_of_another_run_is_refused(
    scored: Score, flowers: Flowers, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    source = flowers(30)
    flowers(40, "longer.csv")
    scored(source, f"{tmp_path}/out", share=Share(0, 2))
    inputs = tmp_path / change.pop("inputs") if "inputs" in change else source
    with pytest.raises(ConflictError, match=message + r"; nothing was written\. Use another output"):
        scored(inputs, f"{tmp_path}/out", **{"share": Share(1, 2), **change})


def test_an_input_that_changed_since_the_first_shard_is_refused(
    scored: Score, flowers: Flowers, tmp_path: Path
) -> None:
    scored(flowers(30), f"{tmp_path}/out", share=Share(0, 2))
    with pytest.raises(ConflictError, match="has the inputs"):
        scored(flowers(31), f"{tmp_path}/out", share=Share(1, 2))


@pytest.mark.parametrize("output", ["{time}.csv", "{version}.csv"])
def test_an_output_that_may_differ_between_shards_is_refused(
    scored: Score, flowers: Flowers, tmp_path: Path, output: str
) -> None:
    with pytest.raises(UsageError, match="All shards need the same output"):
        scored(flowers(3), tmp_path / output, alias="champion", share=Share(0, 2))


@pytest.mark.usefixtures("small_blocks")
def test_each_shard_rejects_rows_of_its_own(scored: Score, flowers: Flowers, read: Read) -> None:
    source = flowers(40)
    source.write_text(source.read_text().replace(",0:7\n", ",0:7,surplus\n").replace("00021,", "00021,x"))
    out = source.parent / "out"
    results = [scored(source, f"{out}/", share=Share(index, 2), on_error="reject") for index in (0, 1)]
    assert [result.counts.rejected for result in results] == [0, 2]
    rejects = read(out / "part-00001-of-00002.csv.rejects.csv")
    assert [(row["row"], row["id"]) for row in rejects] == [("8", "00007"), ("22", "00021")]


def test_a_damaged_run_is_refused(scored: Score, flowers: Flowers, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "_run.json").write_text("{}")
    with pytest.raises(CorruptError, match=r"_run\.json is no batch run"):
        scored(flowers(3), f"{tmp_path}/out", share=Share(0, 2))


def test_the_parts_of_a_run_can_be_scored_again_as_a_folder(scored: Score, flowers: Flowers, tmp_path: Path) -> None:
    for index in range(2):
        scored(flowers(30), f"{tmp_path}/out", share=Share(index, 2))
    assert scored(tmp_path / "out", version="v2").counts.rows == 30


def test_shards_meet_in_a_bucket(scored: Score, flowers: Flowers, s3: Any) -> None:
    source = flowers(30)
    url = s3.new_url()
    results = [scored(source, f"{url}/run.parquet", share=Share(index, 2)) for index in (0, 1)]
    assert [result.complete for result in results] == [False, True]
    assert scored(source, f"{url}/run.parquet", share=Share(0, 2)).skipped == results[0].outputs


def test_a_killed_shard_leaves_no_part_and_succeeds_when_it_is_tried_again(
    scored: Score, flowers: Flowers, store: Store, tmp_path: Path
) -> None:
    source = flowers(20_000)
    out = tmp_path / "run.csv"
    program = (
        "import sys; from pathlib import Path; from contextlib import nullcontext; from mlplat.batch import Share, score;"
        "from mlplat.store import Cache, open_store;"
        "score(store=open_store(sys.argv[1]), cache=Cache(Path(sys.argv[2])), model='iris', version='v1',"
        "inputs=[sys.argv[3]], output=sys.argv[4], share=Share(0, 1), chunk_rows=7,"
        "progress=lambda total: nullcontext(lambda rows, size: print(rows, flush=True)))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, store.url, tmp_path / "cache", source, out], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    for _ in range(20):
        assert process.stdout.readline()
    process.kill()
    process.stdout.close()
    process.wait()
    assert [path.name for path in out.iterdir() if not path.name.startswith(".")] == ["_run.json"]
    result = scored(source, out, share=Share(0, 1), chunk_rows=1 << 16)
    assert (result.counts.rows, result.complete) == (20_000, True)
    shutil.rmtree(out)
