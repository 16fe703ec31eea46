from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.batch.formats import Format, format_of, stem_of
from mlplat.batch.inputs import _regex, expand
from mlplat.errors import NotFoundError, UsageError
from mlplat.objects import open_objects

FILES = ["a.csv", "b.csv.gz", "c.txt", "deep/d.parquet", "deep/er/e.csv", "[x].csv", "_parts/p.csv", "a.rejects.csv"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def found(folder: Path, *specs: str) -> list[str]:
    return [
        Path(source.name).relative_to(folder).as_posix() for source in expand([f"{folder}/{each}" for each in specs])
    ]


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        (["a.csv"], ["a.csv"]),
        (["[x].csv"], ["[x].csv"]),
        (["*.csv"], ["[x].csv", "a.csv", "a.rejects.csv"]),
        (["?.csv*"], ["a.csv", "b.csv.gz"]),
        (["[ab].csv*"], ["a.csv", "b.csv.gz"]),
        (["**/*.parquet"], ["deep/d.parquet"]),
        (["deep/**/*.csv"], ["deep/er/e.csv"]),
        (["deep"], ["deep/d.parquet", "deep/er/e.csv"]),
        (["deep/", "a.csv"], ["deep/d.parquet", "deep/er/e.csv", "a.csv"]),
        (["a.csv", "a.*v", "deep/../a.csv"], ["a.csv", "a.rejects.csv"]),
    ],
)
def test_paths_folders_and_globs_name_files_once_and_in_order(
    folder: Path, specs: list[str], expected: list[str]
) -> None:
    assert found(folder, *specs) == expected


def test_a_whole_folder_leaves_out_rejects_and_bookkeeping(folder: Path) -> None:
    (folder / "c.txt").unlink()
    assert found(folder, "") == ["[x].csv", "a.csv", "b.csv.gz", "deep/d.parquet", "deep/er/e.csv"]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("a.csv", ["a.csv"]),
        ("*.csv", ["[x].csv", "a.csv", "a.rejects.csv"]),
        ("[ab].csv*", ["a.csv", "b.csv.gz"]),
        ("[!b].csv", ["a.csv"]),
        ("**/*.csv", ["[x].csv", "_parts/p.csv", "a.csv", "a.rejects.csv", "deep/er/e.csv"]),
        ("deep", ["deep/d.parquet", "deep/er/e.csv"]),
        ("deep/", ["deep/d.parquet", "deep/er/e.csv"]),
        ("d*/*", ["deep/d.parquet"]),
    ],
)
def test_urls_name_objects_as_paths_name_files(s3: Any, spec: str, expected: list[str]) -> None:
    url = s3.new_url()
    objects = open_objects(url)
    for name in FILES:
        objects.put_if_absent(name, name.encode())
    sources = expand([f"{url}/{spec}"])
    assert [source.name.removeprefix(f"{url}/") for source in sources] == expected
    assert [source.size for source in sources] == [len(name) for name in expected]
    with sources[0].open() as stream:
        assert stream.read() == expected[0].encode()


def test_a_file_url_is_a_path(folder: Path) -> None:
    assert [source.location for source in expand([f"file://{folder}/a.csv"])] == [folder / "a.csv"]


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("none.csv", NotFoundError, r"There is no file .*none\.csv\. There are: \[x\]\.csv, a\.csv"),
        ("nowhere/none.csv", NotFoundError, r"There is no file .*none\.csv"),
        ("*.parquet", NotFoundError, r"No file matches .*\*\.parquet\."),
        ("empty", NotFoundError, r"is a folder without a file that ends in \.csv, "),
        ("c.txt", UsageError, r"c\.txt says no format\. Let it end in one of \.csv, \.csv\.gz"),
    ],
)
def test_what_names_no_file_is_refused(folder: Path, spec: str, error: type[Exception], message: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(error, match=message):
        expand([f"{folder}/{spec}"])


@pytest.mark.parametrize("spec", ["", "https://host/a.csv"])
def test_what_is_neither_a_path_nor_a_known_url_is_refused(spec: str) -> None:
    with pytest.raises(UsageError):
        expand([spec])


@pytest.mark.parametrize("spec", ["none.csv", "none/", "*.csv"])
def test_what_names_no_object_is_not_found(s3: Any, spec: str) -> None:
    with pytest.raises(NotFoundError):
        expand([f"{s3.new_url()}/{spec}"])


def test_a_file_that_is_gone_is_not_found(folder: Path) -> None:
    (source,) = expand([f"{folder}/a.csv"])
    (folder / "a.csv").unlink()
    with pytest.raises(NotFoundError, match="There is no file"):
        source.open()


@given(st.text("ab/.*?", min_size=1, max_size=8), st.text("ab/.", min_size=1, max_size=8))
def test_stars_of_urls_stay_within_a_part(pattern: str, key: str) -> None:
    import re

    if "**" not in pattern and re.fullmatch(_regex(pattern), key):
        assert pattern.count("/") == key.count("/")


def test_the_format_is_the_ending_of_the_name_in_any_case() -> None:
    names = ["a.csv", "A.CSV", "a.csv.gz", "a.csv.zst", "a.parquet", "a.b.csv", "a.gz", "csv", "a.json"]
    kinds = [Format.CSV, Format.CSV, Format.CSV_GZIP, Format.CSV_ZSTD, Format.PARQUET, Format.CSV, None, None, None]
    assert [format_of(name) for name in names] == kinds
    assert [stem_of(name) for name in names] == ["a", "A", "a", "a", "a", "a.b", "a.gz", "csv", "a.json"]
