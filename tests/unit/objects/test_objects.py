"""What holds for objects at any URL."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlplat.errors import NotFoundError, UsageError
from mlplat.objects import Objects, open_objects
from mlplat.objects.base import is_key


@pytest.fixture(params=["file", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    """Nothing yet, in a folder and in a bucket."""
    url = str(tmp_path / "objects") if request.param == "file" else request.getfixturevalue("s3").new_url()
    return open_objects(url)


def test_what_is_put_is_got(objects: Objects, tmp_path: Path) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    assert objects.put_if_absent("a/b.json", b"data")
    (tmp_path / "source").write_bytes(b"from a file")
    assert objects.put_if_absent("a/c.bin", tmp_path / "source")
    assert objects.put_if_absent("empty", b"")
    assert objects.get("a/b.json") == b"data"
    assert objects.get("a/c.bin") == b"from a file"
    assert objects.get("empty") == b""
    assert (objects.size("a/b.json"), objects.size("empty"), objects.size("a")) == (4, 0, None)
    modified = objects.modified("a/b.json")
    assert modified is not None
    assert before < modified < datetime.now(UTC) + timedelta(seconds=5)


def test_what_is_there_is_not_replaced(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"second")
    assert objects.put_if_absent("a/b", b"first")
    assert not objects.put_if_absent("a/b", b"second")
    assert not objects.put_if_absent("a/b", tmp_path / "source")
    assert objects.get("a/b") == b"first"


def test_of_many_writers_at_once_one_writes(objects: Objects) -> None:
    with ThreadPoolExecutor(8) as threads:
        for key in ("a/1", "a/2", "b/3"):
            won = list(threads.map(lambda number, key=key: objects.put_if_absent(key, b"%d" % number), range(8)))
            assert sum(won) == 1
            assert objects.get(key) == b"%d" % won.index(True)


def test_a_file_too_large_for_one_request_is_put_whole_and_once(objects: Objects, tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(bytes(range(256)) * (9 << 12))
    assert objects.put_if_absent("large", source)
    assert not objects.put_if_absent("large", source)
    objects.download("large", copy)
    assert copy.read_bytes() == source.read_bytes()
    assert objects.get("large") == source.read_bytes()


def test_keys_are_listed_sorted_and_at_any_depth(objects: Objects) -> None:
    for key in ("b/2", "b/1", "b/c/d/3", "bc/4", "a"):
        objects.put_if_absent(key, b"")
    assert list(objects.list("")) == ["a", "b/1", "b/2", "b/c/d/3", "bc/4"]
    assert list(objects.list("b")) == list(objects.list("b/")) == ["b/1", "b/2", "b/c/d/3"]
    assert list(objects.list("nothing/here")) == []
    assert list(objects.folders("")) == ["b", "bc"]
    assert list(objects.folders("b")) == ["c"]
    assert list(objects.folders("a")) == list(objects.folders("nothing")) == []


def test_a_deleted_object_is_gone_and_may_be_deleted_again(objects: Objects) -> None:
    objects.put_if_absent("a/b", b"1")
    for _ in range(2):
        objects.delete("a/b")
    assert objects.size("a/b") is None
    assert objects.modified("a/b") is None
    assert objects.put_if_absent("a/b", b"2")
    assert objects.get("a/b") == b"2"


def test_what_is_not_there_is_named(objects: Objects, tmp_path: Path) -> None:
    objects.put_if_absent("a", b"")
    calls: list[Callable[[str], Any]] = [
        objects.get,
        objects.open_reader,
        lambda key: objects.download(key, tmp_path / "copy"),
    ]
    for key in ("b", "x/y", "a/b"):
        for call in calls:
            with pytest.raises(NotFoundError, match=key):
                call(key)


def test_a_written_stream_appears_when_the_block_ends_and_replaces(objects: Objects) -> None:
    for data in (b"first", b"second" * 1_000_000):
        with objects.open_writer("out/rows.csv") as target:
            target.write(data[:3])
            target.write(data[3:])
            assert objects.size("out/rows.csv") in {None, 5}
        assert objects.get("out/rows.csv") == data
    assert list(objects.list("")) == ["out/rows.csv"]


@pytest.mark.parametrize("size", [10, 12 << 20])
def test_a_written_stream_does_not_appear_when_the_block_raises(objects: Objects, size: int) -> None:
    with pytest.raises(KeyboardInterrupt), objects.open_writer("out/rows.csv") as target:  # noqa: PT012
        target.write(b"x" * size)
        raise KeyboardInterrupt
    assert list(objects.list("")) == []
    assert objects.size("out/rows.csv") is None


def test_parquet_is_written_and_read_through_streams(objects: Objects) -> None:
    table = pa.table({"x": list(range(100_000)), "y": [str(i) for i in range(100_000)]})
    with objects.open_writer("rows.parquet") as target:
        pq.write_table(table, target)
    with objects.open_reader("rows.parquet") as source:
        assert pq.read_table(source).equals(table)


def test_a_reader_seeks_and_reads_to_the_end(objects: Objects) -> None:
    data = bytes(range(256)) * 50_000
    objects.put_if_absent("a", data)
    with objects.open_reader("a") as source:
        assert source.read(3) == data[:3]
        assert source.seek(-5, 2) == len(data) - 5
        assert source.read() == data[-5:]
        source.seek(1_000_000)
        assert source.read(10) == data[1_000_000:1_000_010]
        assert source.seek(10, 1) == 1_000_020
        source.seek(len(data) + 5)
        assert source.read() == b""
        source.seek(0)
        assert source.read() == data


BAD = [
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "a/..",
    "../a",
    "a/../../b",
    "./a",
    ".hidden",
    "a/.b",
    "a\\b",
    "a\0b",
    "a\nb",
    "\ud800",
]


@pytest.mark.parametrize("key", BAD)
def test_a_key_that_could_escape_is_refused_by_every_method(objects: Objects, key: str, tmp_path: Path) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: objects.get(key),
        lambda: objects.download(key, tmp_path / "copy"),
        lambda: objects.size(key),
        lambda: objects.modified(key),
        lambda: objects.put_if_absent(key, b""),
        lambda: objects.delete(key),
        lambda: objects.open_reader(key),
        lambda: objects.open_writer(key).__enter__(),
    ]
    if key.strip("/"):
        calls += [lambda: list(objects.list(f"{key}/x")), lambda: list(objects.folders(f"{key}/x"))]
    for call in calls:
        with pytest.raises(UsageError, match="cannot name an object"):
            call()


parts = st.sampled_from(
    ["..", ".", "", "a", "b c", "/", "\\", "\0", "~", "é", "%2e%2e", "...", "-", "\u2028", "\ud800"]
)


@given(key=st.one_of(st.text(max_size=20), st.lists(parts, max_size=6).map("/".join), st.lists(parts).map("".join)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, database=None)
def test_whatever_the_key_nothing_is_written_outside(tmp_path: Path, key: str) -> None:
    inner = tmp_path / uuid4().hex / "inner"
    objects = open_objects(str(inner))
    if is_key(key):
        objects.put_if_absent(key, b"in")
        assert objects.get(key) == b"in"
        assert list(objects.list("")) == [key]
        objects.delete(key)
    else:
        with pytest.raises(UsageError):
            objects.put_if_absent(key, b"out")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert list(inner.parent.iterdir()) == [inner]


@pytest.mark.parametrize("key", ["a b", "é", "%2e%2e", "a+b", "#1", "a?b=c", "~", "x*y", "[z]", "{y}", "a:b"])
def test_a_key_of_odd_characters_is_kept_as_it_is(objects: Objects, key: str) -> None:
    assert objects.put_if_absent(f"d/{key}/{key}", b"odd")
    assert list(objects.list("d")) == [f"d/{key}/{key}"]
    assert list(objects.folders("d")) == [key]
    assert objects.get(f"d/{key}/{key}") == b"odd"
