"""The file backend: where it is, what a link may do, and file systems that cannot do everything."""

import ctypes
import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlplat.errors import NoStoreError, NotFoundError, StoreError, UsageError
from mlplat.objects.files import FileObjects, folder_of
from mlplat.objects.links import place, rename_if_absent


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the objects are."""
    return tmp_path / "root"


@pytest.fixture
def objects(root: Path) -> FileObjects:
    """An empty folder."""
    return FileObjects(str(root))


def raising(code: int) -> Callable[..., Any]:
    def call(*_: Any, **__: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return call


def test_a_url_and_a_path_name_the_same_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert folder_of("store") == folder_of("./store") == tmp_path / "store"
    assert folder_of(f"file://{tmp_path}/store") == folder_of(f"file://localhost{tmp_path}/store") == tmp_path / "store"
    assert folder_of("file:///a%20b") == Path("/a b")
    assert FileObjects("a b").url == f"{tmp_path.as_uri()}/a%20b"
    for url in ("file://host/store", "file://", "file://store", "", "a\0b"):
        with pytest.raises(UsageError):
            folder_of(url)


def test_a_missing_folder_is_made_only_when_asked(tmp_path: Path) -> None:
    FileObjects(str(tmp_path / "a/b/c"))
    assert (tmp_path / "a/b/c").is_dir()
    reader = FileObjects(str(tmp_path / "other"), create=False)
    assert not (tmp_path / "other").exists()
    calls: list[Callable[[], Any]] = [
        lambda: reader.get("a"),
        lambda: reader.size("a"),
        lambda: list(reader.list("")),
        lambda: list(reader.list("a")),
        lambda: list(reader.folders("")),
        lambda: reader.put_if_absent("a", b""),
    ]
    for call in calls:
        with pytest.raises(NoStoreError, match=r"no such file or directory\. Create the folder, or mount"):
            call()


def test_a_file_where_the_folder_should_be_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in ("file", "file/below"):
        with pytest.raises(StoreError, match="not a directory"):
            FileObjects(str(tmp_path / path))


def test_opening_leaves_nothing_behind(objects: FileObjects, root: Path) -> None:
    assert list(root.iterdir()) == []
    objects.put_if_absent("a", b"")
    assert list(root.iterdir()) == [root / "a"]


def test_unfinished_files_of_killed_writers_go_after_a_day_and_are_never_listed(root: Path) -> None:
    root.mkdir()
    old, young = root / ".tmp-old", root / ".tmp-young"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 90_000,) * 2)
    FileObjects(str(root), create=False)
    assert old.exists()
    objects = FileObjects(str(root))
    assert (old.exists(), young.exists()) == (False, True)
    assert list(objects.list("")) == []


def test_a_link_out_of_the_root_is_not_followed(objects: FileObjects, root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/file").write_text("secret")
    (root / "link").symlink_to(tmp_path / "secret/file")
    (root / "folder").symlink_to(tmp_path / "secret")
    calls: list[Callable[[], Any]] = [
        lambda: objects.get("link"),
        lambda: objects.get("folder/file"),
        lambda: objects.size("link"),
        lambda: objects.put_if_absent("folder/new", b""),
        lambda: list(objects.list("folder")),
        lambda: objects.delete("folder/file"),
    ]
    for call in calls:
        with pytest.raises(StoreError, match="out of the store through a symbolic link"):
            call()
    assert sorted(path.name for path in (tmp_path / "secret").iterdir()) == ["file"]


def test_a_link_within_the_root_is_followed_as_a_mounted_config_map_needs(objects: FileObjects, root: Path) -> None:
    (root / "..2026").mkdir()
    (root / "..2026/rows.csv").write_text("a,b\n")
    (root / "..data").symlink_to("..2026")
    (root / "rows.csv").symlink_to("..data/rows.csv")
    assert objects.get("rows.csv") == b"a,b\n"
    assert list(objects.list("")) == ["rows.csv"]


def test_a_root_that_is_a_link_is_followed(objects: FileObjects, root: Path, tmp_path: Path) -> None:
    objects.put_if_absent("a", b"1")
    (tmp_path / "link").symlink_to(root)
    assert FileObjects(str(tmp_path / "link")).get("a") == b"1"


def test_a_folder_where_an_object_should_be_is_one_clear_error(objects: FileObjects, root: Path) -> None:
    (root / "a").mkdir()
    with pytest.raises(StoreError, match="is a directory"):
        objects.put_if_absent("a", b"")
    assert list(root.iterdir()) == [root / "a"]


def test_a_broken_link_is_not_there(objects: FileObjects, root: Path) -> None:
    (root / "link").symlink_to(root / "gone")
    assert objects.size("link") is None
    assert list(objects.list("")) == []
    with pytest.raises(NotFoundError):
        objects.get("link")


def test_names_that_are_no_keys_are_not_listed(objects: FileObjects, root: Path) -> None:
    for name in (b"bad-\xff", b"line\nbreak", b"back\\slash", b".hidden"):
        Path(os.fsdecode(os.fsencode(root) + b"/" + name)).write_text("")
    objects.put_if_absent("good", b"")
    assert list(objects.list("")) == ["good"]


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_without_hard_links_an_object_is_still_written_once(
    root: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(os, "link", raising(code))
    objects = FileObjects(str(root))
    assert objects.put_if_absent("a/b", b"first")
    assert not objects.put_if_absent("a/b", b"second")
    assert objects.get("a/b") == b"first"
    (root / "new").write_bytes(b"second")
    assert not rename_if_absent(root / "new", root / "a/b")  # without the look that put_if_absent takes before
    with pytest.raises(FileNotFoundError):
        rename_if_absent(root / "gone", root / "c")


class NoRename:
    """A C library without renameat2, or a file system that does not know its flag."""

    def __init__(self, code: int | None) -> None:
        if code is not None:
            self.renameat2 = lambda *_: ctypes.set_errno(code) or -1


@pytest.mark.parametrize("code", [None, errno.EINVAL, errno.ENOSYS])
def test_a_file_system_that_cannot_keep_two_writers_apart_is_refused_at_the_start(
    root: Path, monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    monkeypatch.setattr(os, "link", raising(errno.EPERM))
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: NoRename(code))
    with pytest.raises(StoreError, match=r"neither hard links nor an atomic rename.*Keep the store on a local disk"):
        FileObjects(str(root))
    with pytest.raises(StoreError, match="neither hard links nor an atomic rename"):
        FileObjects(str(root), create=False).put_if_absent("a/b", b"")
    assert [path for path in root.rglob("*") if path.is_file()] == []


def test_a_link_whose_reply_was_lost_is_a_success(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root.mkdir()
    (root / "temporary").write_bytes(b"mine")
    (root / "other").write_bytes(b"theirs")
    assert place(root / "temporary", root / "final")
    monkeypatch.setattr(os, "link", raising(errno.EEXIST))
    assert place(root / "temporary", root / "final")
    assert not place(root / "temporary", root / "other")


def test_a_folder_that_cannot_be_synced_is_no_error(
    objects: FileObjects, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def fsync(fd: int) -> None:
        if Path(f"/proc/self/fd/{fd}").is_dir():
            raising(errno.EINVAL)()
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    assert objects.put_if_absent("a/b", b"1")
    monkeypatch.setattr(os, "fsync", raising(errno.EIO))
    with pytest.raises(StoreError, match="input/output error"):
        objects.put_if_absent("a/c", b"1")
    assert list(objects.list("")) == ["a/b"]


@pytest.mark.parametrize("step", ["open", "write", "fsync", "replace"])
def test_a_stream_that_cannot_be_written_is_one_clear_error_and_leaves_nothing(
    objects: FileObjects, root: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    objects.put_if_absent("out", b"before")
    real = getattr(os, step)
    monkeypatch.setattr(
        os,
        step,
        lambda *args, **options: (
            real(*args, **options) if step == "open" and not args[1] & os.O_CREAT else raising(errno.ENOSPC)()
        ),
    )
    with (
        pytest.raises(StoreError, match=r"no space left on device.*free some space"),
        objects.open_writer("out") as out,
    ):
        out.write(b"x" * 3_000_000)
    monkeypatch.undo()
    assert objects.get("out") == b"before"
    assert list(root.iterdir()) == [root / "out"]


def test_an_error_of_the_block_itself_passes_unchanged(objects: FileObjects, root: Path) -> None:
    with pytest.raises(PermissionError, match="mine"), objects.open_writer("out") as out:  # noqa: PT012
        out.write(b"x")
        raise PermissionError("mine")
    assert list(root.iterdir()) == []
