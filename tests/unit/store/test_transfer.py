"""A version as a plain folder, out of one store and into another."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlplat.errors import ConflictError, CorruptError, NotFoundError, SchemaError, StoreError
from mlplat.store import Store, open_store, pull, push

Drafts = Callable[..., Any]


@pytest.fixture
def folder(store: Store, draft: Drafts, tmp_path: Path) -> Path:
    """v1 of iris, pulled."""
    version = draft("v1")
    store.publish(version.manifest, version.files)
    pull(store, "iris", "v1", tmp_path / "deep/v1")
    return tmp_path / "deep/v1"


def test_a_pulled_folder_holds_the_files_by_name(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["card.md", "manifest.json", "model.onnx"]
    assert (folder / "card.md").read_text() == "# A card\n"


def test_a_pushed_folder_is_the_same_version(store: Store, folder: Path, tmp_path: Path) -> None:
    other = open_store(str(tmp_path / "other"))
    assert push(other, folder) == store.manifest("iris", "v1") == other.verify("iris", "v1")
    assert push(store, folder) == push(other, folder)  # there already, and the very same


def test_a_folder_is_pushed_under_another_name(store: Store, folder: Path) -> None:
    push(store, folder, version="v2")
    push(store, folder, model="rose", version="v1")
    assert store.versions("iris") == ["v1", "v2"]
    assert store.verify("rose", "v1").files == store.verify("iris", "v2").files


def test_nothing_is_pulled_over_something(store: Store, folder: Path) -> None:
    with pytest.raises(ConflictError, match="exists already"):
        pull(store, "iris", "v1", folder)


@pytest.mark.parametrize("name", [".", "../here", "link"])
def test_an_empty_folder_is_filled_and_stays_the_same_folder(
    store: Store, draft: Drafts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A shell may be in it, and a volume be mounted there."""
    version = draft("v1")
    store.publish(version.manifest, version.files)
    here = tmp_path / "here"
    here.mkdir()
    before = here.stat().st_ino
    monkeypatch.chdir(here if name != "link" else tmp_path)
    if name == "link":
        Path("link").symlink_to(here)
    pull(store, "iris", "v1", Path(name))
    assert sorted(path.name for path in here.iterdir()) == ["card.md", "manifest.json", "model.onnx"]
    assert here.stat().st_ino == before


def test_a_pull_into_an_empty_folder_that_fails_leaves_it_empty(files: Store, draft: Drafts, tmp_path: Path) -> None:
    version = draft("v1")
    files.publish(version.manifest, version.files)
    (tmp_path / "store/iris/files" / version.manifest.files["card.md"].sha256).write_bytes(b"# A lie!\n")
    (tmp_path / "out").mkdir()
    with pytest.raises(CorruptError, match=r"card\.md"):
        pull(files, "iris", "v1", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_pull_that_fails_leaves_no_folder(files: Store, draft: Drafts, tmp_path: Path) -> None:
    version = draft("v1")
    files.publish(version.manifest, version.files)
    (tmp_path / "store/iris/files" / version.manifest.files["card.md"].sha256).write_bytes(b"# A lie!\n")
    with pytest.raises(CorruptError, match=r"card\.md"):
        pull(files, "iris", "v1", tmp_path / "out/v1")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_clear_error(
    files: Store, draft: Drafts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = draft("v1")
    files.publish(version.manifest, version.files)

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(StoreError, match="read-only file system"):
        pull(files, "iris", "v1", tmp_path / "out/v1")


def test_a_folder_that_is_not_whole_or_was_changed_is_refused(store: Store, folder: Path, tmp_path: Path) -> None:
    other = open_store(str(tmp_path / "other"))
    manifest = folder / "manifest.json"
    good = manifest.read_bytes()
    with pytest.raises(NotFoundError, match=r"no manifest\.json"):
        push(other, tmp_path)
    manifest.write_bytes(good.replace(b"0.9375", b"0.9999"))
    with pytest.raises(CorruptError, match=r"manifest\.json is damaged"):
        push(other, folder)
    manifest.write_bytes(b"{}")
    with pytest.raises(SchemaError, match=r"manifest\.json"):
        push(other, folder)
    manifest.write_bytes(good)
    (folder / "card.md").write_text("# Another card")
    with pytest.raises(CorruptError, match=r"card\.md"):
        push(other, folder)
    (folder / "card.md").unlink()
    with pytest.raises(NotFoundError, match=r"lacks the file 'card\.md'"):
        push(other, folder)
    assert other.models() == []
