"""A deleted version stays deleted, and a deletion that is killed half-way or meets a move ends well."""

from collections.abc import Callable
from typing import Any

import pytest

from mlplat.errors import ConflictError, CorruptError, DeletedError, MovedError, NotFoundError, StoreError, UsageError
from mlplat.store import ObjectStore, prune

from .test_prune import later

Drafts = Callable[..., Any]


def publish(store: ObjectStore, draft: Any) -> None:
    store.publish(draft.manifest, draft.files)


def test_a_deleted_version_is_gone_and_says_who_and_why(store: ObjectStore, draft: Drafts) -> None:
    publish(store, draft("v1"))
    publish(store, draft("v2"))
    tombstone = store.delete("iris", "v1", by="ann", reason="leaked a name")
    assert store.versions("iris") == ["v2"]
    assert store.deleted("iris") == ["v1"]
    assert store.tombstone("iris", "v1") == tombstone
    assert store.tombstone("iris", "v2") is None
    with pytest.raises(NotFoundError, match=r"'v1' of 'iris' was deleted on .* by ann \(leaked a name\)"):
        store.manifest("iris", "v1")


def test_its_name_is_never_used_again(store: ObjectStore, draft: Drafts) -> None:
    first = draft("v1")
    publish(store, first)
    store.delete("iris", "v1", by="ann", reason="")
    for again in (first, draft("v1", contents={"model.onnx": b"another"})):
        with pytest.raises(DeletedError, match="choose a new version") as caught:
            publish(store, again)
        assert (caught.value.status, caught.value.code) == (409, "deleted")
    assert store.versions("iris") == []


def test_deleting_twice_is_deleting_once(store: ObjectStore, draft: Drafts) -> None:
    publish(store, draft("v1"))
    first = store.delete("iris", "v1", by="ann", reason="old")
    assert store.delete("iris", "v1", by="bob", reason="new") == first


def test_what_never_was_or_cannot_be_is_refused(files: ObjectStore, draft: Drafts) -> None:
    publish(files, draft("v1"))
    with pytest.raises(NotFoundError, match="It has v1"):
        files.delete("iris", "v2", by="", reason="")
    for model, version in (("../x", "v1"), ("iris", "a/b")):
        with pytest.raises(UsageError):
            files.delete(model, version, by="", reason="")


def test_what_an_alias_names_is_not_deleted(store: ObjectStore, draft: Drafts) -> None:
    publish(store, draft("v1"))
    store.move("iris", "champion", "v1", reason="", by="")
    with pytest.raises(ConflictError, match="'champion' names 'v1'"):
        store.delete("iris", "v1", by="", reason="")
    assert store.verify("iris", "v1")
    assert store.deleted("iris") == []


def fail_once(monkeypatch: pytest.MonkeyPatch, store: ObjectStore) -> None:
    real = store.objects.delete

    def delete(key: str) -> None:
        monkeypatch.setattr(store.objects, "delete", real)
        raise StoreError("killed")

    monkeypatch.setattr(store.objects, "delete", delete)


@pytest.mark.parametrize("finish", ["delete", "prune"])
def test_a_killed_deletion_is_finished_by_the_next_one(
    files: ObjectStore, draft: Drafts, monkeypatch: pytest.MonkeyPatch, finish: str
) -> None:
    publish(files, draft("v1"))
    fail_once(monkeypatch, files)
    with pytest.raises(StoreError):
        files.delete("iris", "v1", by="ann", reason="old")
    assert files.versions("iris") == files.deleted("iris") == ["v1"]
    with pytest.raises(DeletedError):
        publish(files, draft("v1"))
    if finish == "delete":
        files.delete("iris", "v1", by="bob", reason="")
    else:
        prune(files, "iris", dry_run=False)
    assert files.versions("iris") == []
    tombstone = files.tombstone("iris", "v1")
    assert tombstone is not None
    assert tombstone.by == "ann"


def test_an_alias_that_takes_a_half_deleted_version_keeps_it(
    files: ObjectStore, draft: Drafts, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(files, draft("v1"))
    fail_once(monkeypatch, files)
    with pytest.raises(StoreError):
        files.delete("iris", "v1", by="ann", reason="old")
    files.move("iris", "champion", "v1", reason="", by="")
    with pytest.raises(ConflictError):
        files.delete("iris", "v1", by="bob", reason="")
    assert files.deleted("iris") == []
    assert files.verify("iris", "v1")


def test_a_version_that_is_deleted_while_an_alias_takes_it_stays(
    files: ObjectStore, draft: Drafts, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(files, draft("v1"))
    real = files.objects.put_if_absent

    def put(key: str, data: Any) -> bool:
        if "/aliases/" in key:  # after the look at the manifest, before the move
            ObjectStore(files.objects).delete("iris", "v1", by="another", reason="")
        return real(key, data)

    monkeypatch.setattr(files.objects, "put_if_absent", put)
    files.move("iris", "champion", "v1", reason="", by="")
    assert files.verify("iris", files.alias("iris", "champion").version)
    assert files.deleted("iris") == []


def test_a_stalled_publisher_does_not_bring_a_deleted_version_back(
    files: ObjectStore, draft: Drafts, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = draft("v1")
    real = files.objects.put_if_absent

    def put(key: str, data: Any) -> bool:
        if key == "iris/versions/v1.json":
            monkeypatch.setattr(files.objects, "put_if_absent", real)
            publish(files, version)
            files.delete("iris", "v1", by="another", reason="")
        return real(key, data)

    monkeypatch.setattr(files.objects, "put_if_absent", put)
    with pytest.raises(DeletedError):
        publish(files, version)
    assert files.versions("iris") == []


def test_prune_leaves_tombstones_and_takes_the_files_of_a_model_without_versions(
    store: ObjectStore, draft: Drafts
) -> None:
    publish(store, draft("v1"))
    store.delete("iris", "v1", by="", reason="")
    assert len(prune(store, "iris", dry_run=False).files) == 0
    assert len(prune(later(store, 2), "iris", dry_run=False).files) == 2
    publish(store, draft("v2"))
    assert prune(later(store, 31), "iris", dry_run=False).versions == ("v2",)
    tombstone = store.tombstone("iris", "v2")
    assert tombstone is not None
    assert (tombstone.by, store.deleted("iris")) == ("prune", ["v1", "v2"])


def test_something_else_at_the_place_of_a_tombstone_is_named(store: ObjectStore) -> None:
    store.objects.put_if_absent("iris/tombstones/v1.json", b"{}")
    with pytest.raises(CorruptError, match=r"tombstones/v1\.json"):
        store.tombstone("iris", "v1")


def test_a_move_after_another_than_the_last_one_is_refused(store: ObjectStore, draft: Drafts) -> None:
    for version in ("v1", "v2"):
        publish(store, draft(version))
    assert store.move("iris", "champion", "v1", reason="", by="", after=0).number == 1
    store.move("iris", "champion", "v2", reason="", by="", after=1)
    store.move("iris", "champion", "v1", reason="", by="", after=2)
    with pytest.raises(MovedError, match="is number 3, not 1"):
        store.move("iris", "champion", "v2", reason="", by="", after=1)
    assert store.move("iris", "champion", "v1", reason="", by="", after=1).number == 3  # it is there already
