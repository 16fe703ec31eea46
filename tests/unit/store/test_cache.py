"""The cache: verified on every fetch, bounded, shared by processes that may die."""

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlplat.errors import CorruptError, NotFoundError, StoreError
from mlplat.store import Cache, ObjectStore, open_object_store

Drafts = Callable[..., Any]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """An empty cache."""
    return Cache(tmp_path / "cache")


def publish(store: ObjectStore, draft: Any) -> Any:
    store.publish(draft.manifest, draft.files)
    return draft.manifest


def vanish(store: ObjectStore, tmp_path: Path) -> None:
    """Take the volume of the store away."""
    (tmp_path / "store").rename(tmp_path / "unmounted")


def test_files_are_handed_out_by_name(store: ObjectStore, cache: Cache, draft: Drafts) -> None:
    manifest = publish(store, draft("v1"))
    paths = cache.fetch(store, manifest)
    assert {name: path.read_bytes() for name, path in paths.items()} == {
        name: store.read_file(manifest, name) for name in manifest.files
    }
    assert list(cache.fetch(store, manifest, ["card.md"])) == ["card.md"]
    with pytest.raises(NotFoundError, match="has no file"):
        cache.fetch(store, manifest, ["a.txt"])


def test_a_version_that_was_fetched_is_there_while_the_store_is_not(
    files: ObjectStore, cache: Cache, draft: Drafts, tmp_path: Path
) -> None:
    manifest = publish(files, draft("v1"))
    cache.manifest(files, "iris", "v1")
    cache.fetch(files, manifest)
    vanish(files, tmp_path)
    restarted = Cache(tmp_path / "cache")
    store = open_object_store(files.url, create=False)
    assert restarted.manifest(store, "iris", "v1") == manifest
    assert restarted.fetch(store, manifest)["card.md"].read_bytes() == b"# A card\n"
    with pytest.raises(StoreError):
        restarted.manifest(store, "iris", "v2")


def test_a_store_that_was_made_anew_is_believed_more_than_the_cache(
    files: ObjectStore, cache: Cache, draft: Drafts, tmp_path: Path
) -> None:
    publish(files, draft("v1"))
    cache.manifest(files, "iris", "v1")
    vanish(files, tmp_path)
    anew = open_object_store(files.url)
    with pytest.raises(NotFoundError):
        cache.manifest(anew, "iris", "v1")
    manifest = publish(anew, draft("v1"))
    assert cache.manifest(anew, "iris", "v1") == manifest


def test_two_stores_with_a_version_of_one_name_are_kept_apart(cache: Cache, draft: Drafts, tmp_path: Path) -> None:
    stores = [open_object_store(str(tmp_path / name)) for name in ("a", "b")]
    manifests = [publish(store, draft("v1")) for store in stores]
    for store in stores:
        cache.manifest(store, "iris", "v1")
        (tmp_path / store.url.rpartition("/")[2]).rename(tmp_path / f"gone-{store.url.rpartition('/')[2]}")
    for store, manifest in zip(stores, manifests, strict=True):
        assert cache.manifest(store, "iris", "v1") == manifest


def test_a_flipped_bit_in_the_cache_is_fetched_anew(files: ObjectStore, cache: Cache, draft: Drafts) -> None:
    manifest = publish(files, draft("v1"))
    path = cache.fetch(files, manifest)["model.onnx"]
    good = path.read_bytes()
    for position in (0, len(good) // 2, len(good) - 1):
        data = bytearray(good)
        data[position] ^= 1
        path.write_bytes(data)
        assert cache.fetch(files, manifest)["model.onnx"].read_bytes() == good


def test_a_flipped_bit_in_the_cached_manifest_is_refused_while_the_store_is_away(
    files: ObjectStore, cache: Cache, draft: Drafts, tmp_path: Path
) -> None:
    publish(files, draft("v1"))
    cache.manifest(files, "iris", "v1")
    copy = next((tmp_path / "cache/manifests").rglob("v1.json"))
    copy.write_bytes(copy.read_bytes().replace(b"0.9375", b"0.9376"))
    vanish(files, tmp_path)
    with pytest.raises(CorruptError, match=r"v1\.json is damaged"):
        cache.manifest(files, "iris", "v1")


def test_what_is_damaged_in_the_store_never_enters_the_cache(
    files: ObjectStore, cache: Cache, draft: Drafts, tmp_path: Path
) -> None:
    manifest = publish(files, draft("v1"))
    (tmp_path / "store/iris/files" / manifest.files["card.md"].sha256).write_bytes(b"# A lie!\n")
    with pytest.raises(CorruptError, match=r"'card\.md' of 'iris' 'v1'"):
        cache.fetch(files, manifest)
    assert not (tmp_path / "cache/files" / manifest.files["card.md"].sha256).exists()
    assert list((tmp_path / "cache").glob(".tmp-*")) == []


def of_size(draft: Drafts, version: str, size: int) -> Any:
    return draft(version, contents={"model.onnx": version.encode().ljust(size, b".")})


def test_what_was_used_longest_ago_goes_when_the_cache_is_full(
    files: ObjectStore, draft: Drafts, tmp_path: Path
) -> None:
    manifests = [publish(files, of_size(draft, f"v{number}", 1000)) for number in range(4)]
    cache = Cache(tmp_path / "cache", max_bytes=2500)
    paths = []
    for at, manifest in enumerate(manifests[:2]):
        paths.append(cache.fetch(files, manifest)["model.onnx"])
        os.utime(paths[-1], (at, at))
    cache.fetch(files, manifests[0])
    cache.fetch(files, manifests[2])
    assert [path.exists() for path in paths] == [True, False]


def test_what_one_call_returns_stays_even_if_it_is_larger_than_the_cache(
    files: ObjectStore, draft: Drafts, tmp_path: Path
) -> None:
    contents = {"model.onnx": b"m" * 5000, "card.md": b"c" * 5000, "a.bin": b"a" * 5000}
    manifest = publish(files, draft("v1", contents=contents))
    cache = Cache(tmp_path / "cache", max_bytes=100)
    assert all(path.exists() for path in cache.fetch(files, manifest).values())


def test_what_another_process_was_given_stays(files: ObjectStore, draft: Drafts, tmp_path: Path) -> None:
    old, new = publish(files, of_size(draft, "v1", 1000)), publish(files, of_size(draft, "v2", 1000))
    mine, theirs = (Cache(tmp_path / "cache", max_bytes=1500) for _ in range(2))
    path = theirs.fetch(files, old)["model.onnx"]
    mine.fetch(files, new)
    assert path.exists()
    del theirs  # as when the process ends
    mine.fetch(files, new)
    assert not path.exists()


def test_unfinished_files_of_a_killed_process_are_removed_and_of_a_living_one_stay(
    files: ObjectStore, draft: Drafts, tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    Cache(folder)
    dead, living = folder / ".tmp-dead", folder / ".tmp-living"
    dead.write_bytes(b"half")
    with living.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        cache = Cache(folder)
        assert (dead.exists(), living.exists()) == (False, True)
    cache.fetch(files, publish(files, draft("v1")))
    assert not living.exists()


FETCHER = """
import os, signal, sys
from pathlib import Path
from mlplat.store import Cache, open_object_store

url, root = sys.argv[1:]

def fetch(folder, left):
    def wrap(real):
        def call(*args, **options):
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return real(*args, **options)
        return call
    store = open_object_store(url, create=False)
    for name in ("open", "replace", "utime", "unlink", "close", "mkdir"):
        setattr(os, name, wrap(getattr(os, name)))
    cache = Cache(folder, max_bytes=400)
    for version in ("v1", "v2"):
        cache.fetch(store, cache.manifest(store, "iris", version))

step = 0
while True:
    child = os.fork()
    if child == 0:
        fetch(Path(root) / str(step), step)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if not os.WIFSIGNALED(status):
        sys.exit(os.waitstatus_to_exitcode(status))
    step += 1
"""


def test_kill_9_at_any_step_of_a_fetch_leaves_a_cache_that_works(
    files: ObjectStore, draft: Drafts, tmp_path: Path
) -> None:
    manifests = [publish(files, draft(version)) for version in ("v1", "v2")]
    script = tmp_path / "fetcher.py"
    script.write_text(FETCHER)
    subprocess.run([sys.executable, script, files.url, tmp_path / "caches"], check=True)
    folders = list((tmp_path / "caches").iterdir())
    assert len(folders) > 20
    for folder in folders:
        cache = Cache(folder)
        for manifest in manifests:
            for name, path in cache.fetch(files, manifest).items():
                assert path.read_bytes() == files.read_file(manifest, name)
        assert list(folder.glob(".tmp-*")) == []


def test_a_cache_that_cannot_be_written_is_one_clear_error(
    files: ObjectStore, cache: Cache, draft: Drafts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = publish(files, draft("v1"))
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"Cannot use the cache .*not a directory"):
        Cache(tmp_path / "file/cache")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StoreError, match="no space left on device"):
        cache.fetch(files, manifest)
    assert list((tmp_path / "cache").glob(".tmp-*")) == []
