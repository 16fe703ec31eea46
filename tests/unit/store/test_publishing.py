"""Publishing: whole or not at all, once, whatever happens on the way."""

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlplat.bundle.manifest import Manifest
from mlplat.errors import ConflictError, CorruptError, NotFoundError, StoreError, UsageError
from mlplat.store import ObjectStore, open_object_store, pull
from mlplat.store.seal import seal

Drafts = Callable[..., Any]
PUBLISHER = Path(__file__).with_name("publisher.py")


def as_folder(draft: Any, folder: Path) -> Path:
    """A version as `push` takes it."""
    folder.mkdir(parents=True)
    for name, path in draft.files.items():
        shutil.copy(path, folder / name)
    (folder / "manifest.json").write_bytes(seal(draft.manifest))
    return folder


def visible(root: Path) -> list[str]:
    """All files of a store that have their final name."""
    found = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if not path.name.startswith("."))


def leftovers(root: Path) -> list[Path]:
    return list(root.glob(".*"))


def test_a_published_version_is_listed_and_verifies(store: ObjectStore, draft: Drafts) -> None:
    version = draft("v1")
    store.publish(version.manifest, version.files)
    assert store.models() == ["iris"]
    assert store.versions("iris") == ["v1"]
    assert store.manifest("iris", "v1") == version.manifest
    assert store.verify("iris", "v1") == version.manifest
    assert store.read_file(version.manifest, "card.md") == b"# A card\n"


def test_publishing_the_same_version_again_changes_nothing(store: ObjectStore, draft: Drafts) -> None:
    version = draft("v1")
    store.publish(version.manifest, version.files)
    before = list(store.objects.list("iris"))
    store.publish(version.manifest, version.files)
    assert list(store.objects.list("iris")) == before


def test_another_version_of_the_same_name_is_a_conflict_and_overwrites_nothing(
    store: ObjectStore, draft: Drafts
) -> None:
    first, second = draft("v1"), draft("v1")
    store.publish(first.manifest, first.files)
    with pytest.raises(ConflictError, match=r"'iris' has a version 'v1' already.* Choose a new version\."):
        store.publish(second.manifest, second.files)
    assert store.verify("iris", "v1") == first.manifest


def test_files_that_are_not_those_of_the_manifest_are_refused_before_anything_is_written(
    files: ObjectStore, draft: Drafts, tmp_path: Path
) -> None:
    version = draft("v1")
    with pytest.raises(UsageError, match=r"card\.md"):
        files.publish(version.manifest, {"model.onnx": version.files["model.onnx"]})
    version.files["card.md"].write_bytes(b"# Another")
    with pytest.raises(CorruptError, match=r"card\.md"):
        files.publish(version.manifest, version.files)
    assert visible(tmp_path / "store") == []


def test_two_names_for_the_same_bytes_are_one_file(store: ObjectStore, draft: Drafts) -> None:
    version = draft("v1", contents={"model.onnx": b"same", "card.md": b"same"})
    store.publish(version.manifest, version.files)
    assert len(list(store.objects.list("iris/files"))) == 1
    store.verify("iris", "v1")


def test_a_damaged_file_that_an_earlier_run_left_is_replaced(store: ObjectStore, draft: Drafts) -> None:
    version = draft("v1")
    key = f"iris/files/{version.manifest.files['model.onnx'].sha256}"
    with store.objects.open_writer(key) as target:
        target.write(b"half of it")
    store.publish(version.manifest, version.files)
    store.verify("iris", "v1")


def test_a_large_file_is_published_in_parts(store: ObjectStore, draft: Drafts) -> None:
    version = draft("v1", contents={"model.onnx": os.urandom(1 << 20) * 11})
    store.publish(version.manifest, version.files)
    store.verify("iris", "v1")


def test_kill_9_at_any_write_leaves_a_whole_version_or_none_and_the_next_run_succeeds(
    draft: Drafts, tmp_path: Path
) -> None:
    version = draft("v1")
    folder = as_folder(version, tmp_path / "pushed")
    done = subprocess.run(
        [sys.executable, PUBLISHER, folder, tmp_path / "stores"], capture_output=True, text=True, check=True
    )
    killed = json.loads(done.stdout)
    assert killed["rest"] == 0, done.stderr
    assert killed["killed"] > 30  # 3 objects, each with its temporary file, writes, syncs, link and folders
    complete = 0
    for step in range(killed["killed"]):
        root = tmp_path / "stores" / str(step)
        store = open_object_store(str(root))
        if store.versions("iris"):
            store.verify("iris", "v1")
            complete += 1
        else:
            with pytest.raises(NotFoundError):
                store.manifest("iris", "v1")
        store.publish(version.manifest, version.files)
        assert store.verify("iris", "v1") == version.manifest, step
    assert 0 < complete < killed["killed"]


class Recorder:
    """The calls of the operating system that write, in order, and faults among them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[tuple[str, str]] = []
        self.paths: dict[int, str] = {}
        self.fail: Callable[[str, str], int] = lambda _step, _path: 0
        for name in ("open", "write", "fsync", "link", "unlink", "mkdir", "replace", "rename"):
            monkeypatch.setattr(os, name, self._wrap(name, getattr(os, name)))

    def _wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            target = args[1] if name in {"link", "replace", "rename"} else args[0]
            path = self.paths.get(target, "?") if isinstance(target, int) else os.fspath(target)
            if code := self.fail(name, path):
                raise OSError(code, os.strerror(code), path)
            result = real(*args, **options)
            if name == "open":
                self.paths[result] = path
            source = os.fspath(args[0]) if name in {"link", "replace", "rename"} else ""
            self.steps.append((name, f"{source}>{path}" if source else path))
            return result

        return call


def test_a_manifest_never_reaches_the_disk_before_its_files(
    files: ObjectStore, draft: Drafts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = draft("v1")
    root = tmp_path / "store"
    recorder = Recorder(monkeypatch)
    files.publish(version.manifest, version.files)
    steps = recorder.steps
    links = {
        step.partition(">")[2]: (at, step.partition(">")[0]) for at, (name, step) in enumerate(steps) if name == "link"
    }
    commit, temporary = links.pop(str(root / "iris/versions/v1.json"))
    assert len(links) == 2
    for path, (at, source) in links.items():
        last_write = max(i for i, step in enumerate(steps) if step == ("write", source))
        assert any(last_write < i < at for i, step in enumerate(steps) if step == ("fsync", source)), path
        for folder in (root / "iris/files", root / "iris", root):
            assert any(at < i < commit for i, step in enumerate(steps) if step == ("fsync", str(folder))), folder
    assert any(i < commit for i, step in enumerate(steps) if step == ("fsync", temporary))
    for folder in (root / "iris/versions", root / "iris", root):
        assert any(commit < i for i, step in enumerate(steps) if step == ("fsync", str(folder))), folder
    assert leftovers(root) == []


def test_a_file_that_another_process_put_is_made_durable_before_the_manifest(
    files: ObjectStore, draft: Drafts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = draft("v1")
    for name, path in version.files.items():
        files.objects.put_if_absent(f"iris/files/{version.manifest.files[name].sha256}", path)
    recorder = Recorder(monkeypatch)
    files.publish(version.manifest, version.files)
    commit = next(i for i, (name, _) in enumerate(recorder.steps) if name == "link")
    assert ("fsync", str(tmp_path / "store/iris/files")) in recorder.steps[:commit]


def test_of_two_publishers_at_once_exactly_one_wins(
    store: ObjectStore, draft: Drafts, tmp_path: Path, publishers: Callable[[], Any]
) -> None:
    both = publishers(), publishers()
    winners = set()
    for number in range(50):
        version = f"v{number}"
        folders = [as_folder(draft(version), tmp_path / f"{number}-{each}") for each in range(2)]
        at = time.monotonic() + 0.01
        for publisher, folder in zip(both, folders, strict=True):
            publisher.tell(url=store.url, folder=str(folder), at=at)
        answers = [publisher.answer() for publisher in both]
        assert sorted(answer.get("error", "won") for answer in answers) == ["ConflictError", "won"], answers
        won = next(i for i, answer in enumerate(answers) if "won" in answer)
        winners.add(won)
        text = (folders[won] / "manifest.json").read_text()
        assert store.verify("iris", version).writer in text
    assert winners


@pytest.mark.parametrize("what", ["iris/files/", "iris/versions/v1.json"])
def test_a_lost_reply_to_a_write_ends_in_a_published_version(
    proxy: Any, once: Any, s3: Any, draft: Drafts, what: str
) -> None:
    proxy.lose = once(lambda method, path: method == "PUT" and what in path)
    store = open_object_store(s3.new_url())
    version = draft("v1")
    store.publish(version.manifest, version.files)
    assert len(proxy.lost) == 1
    assert store.verify("iris", "v1") == version.manifest


def test_a_lost_reply_is_not_taken_for_a_win_when_another_was_faster(
    proxy: Any, once: Any, s3: Any, draft: Drafts, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = s3.new_url()
    store = open_object_store(url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    direct = open_object_store(url)
    ours, theirs = draft("v1"), draft("v1")
    looked = once(lambda _method, key: key.endswith("versions/v1.json"))
    real = store.objects.size

    def size(key: str) -> int | None:
        found = real(key)
        if looked("HEAD", key):
            direct.publish(theirs.manifest, theirs.files)
        return found

    monkeypatch.setattr(store.objects, "size", size)
    proxy.lose = once(lambda method, path: method == "PUT" and "v1.json" in path)
    with pytest.raises(ConflictError):
        store.publish(ours.manifest, ours.files)
    assert len(proxy.lost) == 1
    assert store.verify("iris", "v1") == theirs.manifest


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("step", ["open", "write", "fsync", "link", "mkdir"])
def test_a_fault_of_the_disk_is_one_clear_error_and_nothing_is_half_visible(  # noqa: PLR0917
    files: ObjectStore, draft: Drafts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, code: int
) -> None:
    root = tmp_path / "store"
    version = draft("v1")
    recorder = Recorder(monkeypatch)
    recorder.fail = lambda name, path: code if (name == step and path.startswith(str(root))) or path == "?" else 0
    with pytest.raises(StoreError, match=os.strerror(code).lower()) as caught:
        files.publish(version.manifest, version.files)
    assert "\n" not in str(caught.value)
    recorder.fail = lambda _name, _path: 0
    assert leftovers(root) == []
    assert files.versions("iris") == []
    assert files.models() == []
    files.publish(version.manifest, version.files)
    files.verify("iris", "v1")


def test_a_full_disk_is_one_clear_error_and_nothing_is_half_visible(
    draft: Drafts, tmp_path: Path, mount: Callable[[Path, str], Any]
) -> None:
    version = draft("v1", contents={"model.onnx": os.urandom(1 << 20), "card.md": b"# A card\n"})
    with mount(tmp_path / "volume", "size=512k") as full:
        root = tmp_path / "volume" / "store"
        store = open_object_store(str(root))
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        if not full:  # who may not mount gets a real fault of another kind: a limit on the size of files
            resource.setrlimit(resource.RLIMIT_FSIZE, (512 << 10, before[1]))
        try:
            with pytest.raises(StoreError, match=r"no space left on device|file too large") as caught:
                store.publish(version.manifest, version.files)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert caught.value.hint
        assert visible(root) == []
        assert leftovers(root) == []
        assert store.models() == []


def test_a_read_only_store_can_be_read_and_says_that_it_cannot_be_written(
    files: ObjectStore, draft: Drafts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = draft("v1"), draft("v2")
    files.publish(first.manifest, first.files)
    recorder = Recorder(monkeypatch)
    recorder.fail = lambda name, _path: errno.EROFS if name in {"link", "mkdir", "unlink", "write"} else 0
    store = open_object_store(files.url)
    assert store.verify("iris", "v1") == first.manifest
    with pytest.raises(StoreError, match=r"read-only file system.*mounted read-only"):
        store.publish(second.manifest, second.files)
    with pytest.raises(StoreError, match="read-only"):
        store.move("iris", "champion", "v1", reason="first", by="me")


def test_a_volume_that_is_mounted_read_only_is_one_clear_error(
    draft: Drafts, tmp_path: Path, mount: Callable[[Path, str], Any]
) -> None:
    version = draft("v1")
    volume = tmp_path / "volume"
    with mount(volume, "ro,size=1m") as readonly:
        if not readonly:
            volume.chmod(0o555)
        store = open_object_store(str(volume))
        assert store.models() == []
        if readonly or os.geteuid() != 0:  # root that may not mount writes everywhere; the fault above stands for it
            with pytest.raises(StoreError, match=r"read-only|permission denied"):
                store.publish(version.manifest, version.files)
    volume.chmod(0o755)


def test_a_lost_network_is_one_clear_error(proxy: Any, s3: Any, draft: Drafts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    version = draft("v1")
    store = open_object_store(s3.new_url())
    calls: list[Callable[[], Any]] = [
        lambda: store.publish(version.manifest, version.files),
        lambda: store.manifest("iris", "v1"),
        store.models,
    ]
    for call in calls:
        with pytest.raises(StoreError, match=r"Check the network") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_reader_sees_a_version_whole_or_not_at_all(files: ObjectStore, draft: Drafts, tmp_path: Path) -> None:
    version = draft("v1")
    real = files.objects.put_if_absent
    seen: list[list[str]] = []

    def put(key: str, data: bytes | Path) -> bool:
        seen.append(files.versions("iris"))
        return real(key, data)

    files.objects.put_if_absent = put  # type: ignore[method-assign]
    files.publish(version.manifest, version.files)
    assert seen == [[], [], []]
    assert isinstance(files.verify("iris", "v1"), Manifest)
    assert pull(files, "iris", "v1", tmp_path / "out") == version.manifest
