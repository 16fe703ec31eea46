"""Reading versions: verified, and honest about what exists."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlplat.errors import CorruptError, NotFoundError, SchemaError, StoreError, UsageError
from mlplat.store import ObjectStore, open_object_store, open_store
from mlplat.store.keys import natural
from mlplat.store.seal import seal

Drafts = Callable[..., Any]


def publish(store: ObjectStore, draft: Any) -> None:
    store.publish(draft.manifest, draft.files)


def flip(path: Path, position: int, bit: int = 0) -> None:
    """Flip one bit of a file."""
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)


def test_versions_are_sorted_as_people_count(files: ObjectStore, draft: Drafts) -> None:
    for version in ("v10", "v2", "v1", "2026-01-31", "v2.1"):
        publish(files, draft(version))
    assert files.versions("iris") == ["2026-01-31", "v1", "v2", "v2.1", "v10"]
    assert sorted(["a10b2", "a10b10", "a9"], key=natural) == ["a9", "a10b2", "a10b10"]


def test_a_model_or_version_that_does_not_exist_is_named_with_what_exists(store: ObjectStore, draft: Drafts) -> None:
    with pytest.raises(NotFoundError, match="The store is empty"):
        store.manifest("iris", "v1")
    publish(store, draft("v1"))
    publish(store, draft("v2"))
    with pytest.raises(NotFoundError, match=r"no version 'v9' of 'iris'. It has v1, v2\."):
        store.manifest("iris", "v9")
    with pytest.raises(NotFoundError, match=r"no model 'rose' in .*The store has iris\."):
        store.manifest("rose", "v1")
    with pytest.raises(NotFoundError, match=r"has no file 'a.txt'. It has card.md, model.onnx"):
        store.read_file(store.manifest("iris", "v1"), "a.txt")


def test_many_versions_are_not_all_listed_in_an_error(files: ObjectStore, draft: Drafts) -> None:
    for number in range(12):
        publish(files, draft(f"v{number}"))
    with pytest.raises(NotFoundError, match=r"It has 12, the last of them v2, .*v11\."):
        files.manifest("iris", "v99")


@pytest.mark.parametrize("name", ["..", "a/b", "", ".", "/etc", "a\0b", "a\n", "-a", "x" * 64])
def test_names_that_could_leave_the_store_are_refused(files: ObjectStore, name: str) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: files.versions(name),
        lambda: files.manifest(name, "v1"),
        lambda: files.manifest("iris", name),
        lambda: files.alias("iris", name),
        lambda: files.move("iris", "champion", name, reason="", by=""),
        lambda: files.resolve("iris", version=name),
    ]
    for call in calls:
        with pytest.raises(UsageError, match="cannot name"):
            call()


def test_foreign_things_in_the_store_are_ignored(files: ObjectStore, draft: Drafts, tmp_path: Path) -> None:
    publish(files, draft("v1"))
    root = tmp_path / "store"
    (root / "lost+found").mkdir()
    (root / "README.txt").write_text("by hand")
    (root / "empty").mkdir()
    (root / "iris/versions/notes.txt").write_text("by hand")
    (root / "iris/versions/-x.json").write_text("{}")
    (root / "iris/versions/.v2.json").write_text("{}")
    assert files.models() == ["iris"]
    assert files.versions("iris") == ["v1"]


def test_a_manifest_at_another_name_than_its_own_is_refused(store: ObjectStore, draft: Drafts) -> None:
    version = draft("v1")
    publish(store, version)
    store.objects.put_if_absent("iris/versions/v2.json", seal(version.manifest))
    with pytest.raises(CorruptError, match=r"v2\.json is the manifest of 'iris' 'v1'"):
        store.manifest("iris", "v2")


def test_a_flipped_bit_anywhere_in_a_file_is_refused_by_name(files: ObjectStore, draft: Drafts, tmp_path: Path) -> None:
    version = draft("v1")
    publish(files, version)
    for name, entry in version.manifest.files.items():
        path = tmp_path / "store/iris/files" / entry.sha256
        for position in (0, 1, entry.bytes // 2, entry.bytes - 1):
            flip(path, position, position % 8)
            with pytest.raises(CorruptError, match=f"'{name}' of 'iris' 'v1'.*damaged"):
                files.read_file(version.manifest, name)
            with pytest.raises(CorruptError, match=f"'{name}' of 'iris' 'v1'.*damaged"):
                files.verify("iris", "v1")
            flip(path, position, position % 8)
        files.verify("iris", "v1")


def test_a_flipped_bit_anywhere_in_the_manifest_is_refused_by_name(
    files: ObjectStore, draft: Drafts, tmp_path: Path
) -> None:
    version = draft("v1")
    publish(files, version)
    path = tmp_path / "store/iris/versions/v1.json"
    for position in range(len(path.read_bytes())):
        flip(path, position, position % 8)
        with pytest.raises((CorruptError, SchemaError), match=r"iris/versions/v1\.json"):
            files.manifest("iris", "v1")
        flip(path, position, position % 8)
    assert files.verify("iris", "v1") == version.manifest


@pytest.mark.parametrize("change", ["shorter", "longer", "missing"])
def test_a_file_that_is_cut_grown_or_gone_is_refused_by_name(store: ObjectStore, draft: Drafts, change: str) -> None:
    version = draft("v1")
    publish(store, version)
    key = f"iris/files/{version.manifest.files['card.md'].sha256}"
    data = store.objects.get(key)
    store.objects.delete(key)
    if change != "missing":
        store.objects.put_if_absent(key, data[:-1] if change == "shorter" else data + b"x")
    for call in (lambda: store.verify("iris", "v1"), lambda: store.read_file(version.manifest, "card.md")):
        with pytest.raises(CorruptError, match=r"'card\.md' of 'iris' 'v1'"):
            call()


def test_a_cut_manifest_is_refused_by_name(files: ObjectStore, draft: Drafts, tmp_path: Path) -> None:
    publish(files, draft("v1"))
    path = tmp_path / "store/iris/versions/v1.json"
    data = path.read_bytes()
    for end in (0, 1, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:end])
        with pytest.raises((CorruptError, SchemaError), match=r"v1\.json"):
            files.manifest("iris", "v1")


@pytest.mark.parametrize(
    "url", ["http://registry:8080", "https://registry", "ftp://host/store", "s3://", "file://host/a"]
)
def test_a_url_that_is_no_store_is_refused_with_what_to_use(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_object_store(url)
    assert caught.value.hint


def test_exactly_one_of_version_and_alias_is_resolved(store: ObjectStore, draft: Drafts) -> None:
    publish(store, draft("v1"))
    store.move("iris", "champion", "v1", reason="first", by="me")
    assert store.resolve("iris", alias="champion") == "v1"
    assert store.resolve("iris", version="v1") == "v1"
    for both in ({}, {"version": "v1", "alias": "champion"}):
        with pytest.raises(UsageError):
            store.resolve("iris", **both)


def test_a_store_that_is_not_mounted_yet_is_an_error_of_each_call_until_it_is(draft: Drafts, tmp_path: Path) -> None:
    later = open_object_store(str(tmp_path / "volume/store"), create=False)
    for call in (lambda: later.manifest("iris", "v1"), later.models, lambda: later.alias("iris", "champion")):
        with pytest.raises(StoreError, match="no such file"):
            call()
    publish(open_object_store(str(tmp_path / "volume/store")), draft("v1"))
    assert later.models() == ["iris"]


@pytest.mark.parametrize("url", ["localhost:8080", "registry.example:443/prefix"])
def test_a_registry_without_its_scheme_is_not_taken_for_a_folder(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=rf"say the whole URL: http://{url}"):
        open_store(url)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / url).mkdir(parents=True)
    assert open_store(url).models() == []
