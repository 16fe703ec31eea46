"""Where a run writes, and that it never writes over what it reads."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlplat.batch import Share
from mlplat.errors import UsageError
from mlplat.objects import open_objects

Score = Callable[..., Any]
Flowers = Callable[..., Path]
Read = Callable[[Path], list[dict[str, str]]]

BAD_ROW = "9,x,x,x,x,bad\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with names that a URL has to encode; `linked` leads to its `sub`."""
    folder = tmp_path / "my files"
    (folder / "sub").mkdir(parents=True)
    (folder / "linked").symlink_to(folder / "sub")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("a b.csv", "a b.csv"),
        ("a b.csv", "./a b.csv"),
        ("a b.csv", "sub/../a b.csv"),
        ("sub/c.csv", "linked/c.csv"),
        ("linked/c.csv", "sub/c.csv"),
        ("sub/c.csv", "linked/"),
        ("a b.csv", "FOLDER/a%20b.csv"),
        ("FOLDER/a%20b.csv", "a b.csv"),
        ("s.csv.rejects.csv", "s.csv"),
        ("s.csv.rejects.csv", "sub/../s.csv"),
    ],
)
def test_no_name_of_an_input_is_written_over_or_removed(
    scored: Score, flowers: Flowers, here: Path, source: str, output: str
) -> None:
    flowers(3, f"my files/{source.removeprefix('FOLDER/').replace('%20', ' ')}")
    before = {path: path.read_bytes() for path in here.rglob("*.csv")}
    given, wanted = (each.replace("FOLDER", here.as_uri()) for each in (source, output))
    with pytest.raises(UsageError, match="is an input"):
        scored(given, wanted, overwrite=True, on_error="reject")
    assert {path: path.read_bytes() for path in here.rglob("*.csv")} == before


def test_no_name_of_an_object_is_written_over(scored: Score, flowers: Flowers, s3: Any) -> None:
    bucket, _, name = s3.new_url().rpartition("/")
    open_objects(bucket).put_if_absent(f"{name}.csv", flowers(3))
    with pytest.raises(UsageError, match="is an input"):
        scored(f"{bucket}//{name}.csv", f"{bucket}/{name}.csv", overwrite=True)


def test_a_shard_does_not_write_over_an_input(scored: Score, flowers: Flowers, tmp_path: Path) -> None:
    source = flowers(3, "out/part-00000-of-00001.csv")
    with pytest.raises(UsageError, match="is an input"):
        scored(source, f"{tmp_path}/out/", share=Share(0, 1), overwrite=True)


def test_a_file_url_of_an_output_is_decoded_as_that_of_an_input(
    scored: Score, flowers: Flowers, read: Read, here: Path
) -> None:
    flowers(3, "my files/in put.csv")
    result = scored(f"{here.as_uri()}/in%20put.csv", f"{here.as_uri()}/out%20put.csv")
    assert len(read(here / "out put.csv")) == 3
    assert result.outputs == ((here / "out put.csv").as_uri(),)
    assert scored(f"{here.as_uri()}/in%20put.csv", f"{here.as_uri()}/sub").outputs == (
        (here / "sub" / "in put.csv").as_uri(),
    )


def test_each_output_has_a_rejects_file_of_its_own(scored: Score, flowers: Flowers, read: Read, tmp_path: Path) -> None:
    import gzip

    plain = flowers(3, "in/a.csv")
    plain.write_text(plain.read_text() + BAD_ROW)
    (tmp_path / "in/a.csv.gz").write_bytes(gzip.compress(flowers(3, "good.csv").read_bytes()))
    result = scored(tmp_path / "in", f"{tmp_path}/out/", on_error="reject")
    assert result.rejects == ((tmp_path / "out/a.csv.rejects.csv").as_uri(),)
    assert [row["note"] for row in read(tmp_path / "out/a.csv.rejects.csv")] == ["bad"]


def test_an_output_that_is_the_rejects_file_of_another_is_refused(
    scored: Score, flowers: Flowers, tmp_path: Path
) -> None:
    flowers(3, "in/a.csv")
    flowers(3, "in/a.csv.rejects.csv")
    with pytest.raises(UsageError, match=r"would both be written to .*out/a\.csv\.rejects\.csv"):
        scored(tmp_path / "in" / "*.csv", f"{tmp_path}/out/")


def test_an_old_rejects_file_goes_only_with_the_output_that_it_belongs_to(
    scored: Score, flowers: Flowers, tmp_path: Path
) -> None:
    old = tmp_path / "out.csv.rejects.csv"
    old.write_text("of whom?")
    scored(flowers(3))
    assert old.exists()
    scored(flowers(3), overwrite=True)
    assert not old.exists()


@pytest.mark.parametrize("pattern", ["in", "in/*"])
@pytest.mark.parametrize("output", ["in/scored.csv", "in/scored/"])
def test_an_output_among_the_inputs_is_no_input_of_the_second_run(
    scored: Score, flowers: Flowers, tmp_path: Path, pattern: str, output: str
) -> None:
    source = flowers(3, "in/a.csv")
    source.write_text(source.read_text() + BAD_ROW)
    first = scored(f"{tmp_path}/{pattern}", f"{tmp_path}/{output}", on_error="reject")
    again = scored(f"{tmp_path}/{pattern}", f"{tmp_path}/{output}", on_error="reject")
    assert (again.skipped, again.outputs) == (first.outputs, ())
    third = scored(f"{tmp_path}/{pattern}", f"{tmp_path}/{output}", on_error="reject", overwrite=True)
    assert third.counts == first.counts


def test_shards_below_the_folder_of_their_inputs_do_not_score_each_other(
    scored: Score, flowers: Flowers, tmp_path: Path
) -> None:
    flowers(30, "in/a.csv")
    results = [scored(tmp_path / "in", f"{tmp_path}/in/run/", share=Share(index, 2)) for index in (0, 1)]
    assert results[-1].complete
    assert sum(result.counts.rows for result in results) == 30


def test_a_glob_that_finds_only_the_output_is_refused(scored: Score, flowers: Flowers, tmp_path: Path) -> None:
    flowers(3, "scored.csv")
    with pytest.raises(UsageError, match="is an input"):
        scored(tmp_path / "sco*.csv", tmp_path / "scored.csv", overwrite=True)
    os.link(tmp_path / "scored.csv", tmp_path / "scored.csv.rejects.csv")
    with pytest.raises(UsageError, match="All files that were found are outputs"):
        scored(tmp_path / "sco*.csv", tmp_path / "scored.csv", overwrite=True)
