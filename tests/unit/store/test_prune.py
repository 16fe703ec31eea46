"""Prune: only what nobody needs, and only when told to."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlplat.errors import CorruptError, NotFoundError, UsageError
from mlplat.store import ObjectStore, open_object_store, prune

Drafts = Callable[..., Any]
DAY = timedelta(days=1)


def filled(store: ObjectStore, draft: Drafts, count: int = 4) -> list[Any]:
    """Versions v1, v2, ... that share card.md."""
    drafts = [draft(f"v{number}") for number in range(1, count + 1)]
    for version in drafts:
        store.publish(version.manifest, version.files)
    return drafts


def later(store: ObjectStore, days: float) -> ObjectStore:
    """The same store some days from now."""
    return ObjectStore(store.objects, clock=lambda: datetime.now(UTC) + days * DAY)


def test_nothing_is_removed_unless_it_is_asked_for(store: ObjectStore, draft: Drafts) -> None:
    filled(store, draft)
    before = list(store.objects.list(""))
    report = prune(later(store, 31), "iris")
    assert report.dry_run
    assert report.versions == ("v1", "v2", "v3", "v4")
    assert list(store.objects.list("")) == before


def test_a_dry_run_says_what_the_real_one_does(store: ObjectStore, draft: Drafts) -> None:
    drafts = filled(store, draft)
    then = later(store, 31)
    planned = prune(then, "iris", keep=1)
    done = prune(then, "iris", keep=1, dry_run=False)
    assert planned.model_copy(update={"dry_run": False}) == done
    assert (done.versions, done.kept) == (("v1", "v2", "v3"), ("v4",))
    assert len(done.files) == 3  # the card is v4's too
    assert done.bytes == sum(each.manifest.files["model.onnx"].bytes for each in drafts[:3])
    assert store.versions("iris") == ["v4"]
    assert store.verify("iris", "v4")


def test_what_an_alias_names_or_named_in_the_last_30_days_stays(store: ObjectStore, draft: Drafts) -> None:
    filled(store, draft, 5)
    for days, version in ((0, "v1"), (10, "v2"), (50, "v3"), (51, "v4")):
        later(store, days).move("iris", "champion", version, reason="", by="me")
    report = prune(later(store, 79), "iris", dry_run=False)
    assert report.versions == ("v1", "v5")  # v2 was named until day 50
    assert store.versions("iris") == ["v2", "v3", "v4"]
    report = prune(later(store, 100), "iris", dry_run=False)
    assert report.versions == ("v2", "v3")
    assert store.alias("iris", "champion").version == "v4"
    assert store.verify("iris", "v4")


def test_versions_younger_than_asked_stay(store: ObjectStore, draft: Drafts) -> None:
    filled(store, draft)
    assert prune(later(store, 29), "iris", dry_run=False).versions == ()
    assert prune(later(store, 29), "iris", older_than=28 * DAY).versions == ("v1", "v2", "v3", "v4")


def test_a_version_that_was_made_long_ago_and_pushed_now_stays(store: ObjectStore, draft: Drafts) -> None:
    version = draft("v1")
    old = version.manifest.model_copy(update={"created_at": datetime(2020, 1, 1, tzinfo=UTC)})
    store.publish(old, version.files)
    assert prune(store, "iris").versions == ()


def test_files_of_a_publisher_at_work_stay_and_of_a_killed_one_go(store: ObjectStore, draft: Drafts) -> None:
    filled(store, draft, 1)
    store.objects.put_if_absent("iris/files/" + "a" * 64, b"no manifest yet")
    assert prune(store, "iris", dry_run=False).files == ()
    assert prune(later(store, 0.9), "iris", dry_run=False).files == ()
    assert prune(later(store, 1.1), "iris", dry_run=False).files == ("a" * 64,)
    assert store.verify("iris", "v1")


def test_manifests_go_before_files(files: ObjectStore, draft: Drafts, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(files, draft, 2)
    deleted: list[str] = []
    real = files.objects.delete

    def delete(key: str) -> None:
        deleted.append(key)
        real(key)

    monkeypatch.setattr(files.objects, "delete", delete)
    prune(later(files, 31), "iris", dry_run=False)
    assert [key.split("/")[1] for key in deleted] == ["versions", "versions", "files", "files", "files"]


def test_a_version_that_an_alias_takes_at_that_moment_is_put_back(
    files: ObjectStore, draft: Drafts, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(files, draft, 2)
    real = files.objects.delete

    def delete(key: str) -> None:
        if key == "iris/versions/v1.json":
            files.move("iris", "champion", "v1", reason="at the same moment", by="another")
        real(key)

    monkeypatch.setattr(files.objects, "delete", delete)
    report = prune(later(files, 31), "iris", dry_run=False)
    assert report.versions == ("v2",)
    assert files.verify("iris", files.alias("iris", "champion").version).version == "v1"


def test_a_publisher_that_finds_an_old_file_does_not_lose_it_to_prune(
    files: ObjectStore, draft: Drafts, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = draft("v2")
    filled(files, draft, 1)
    real = files.objects.put_if_absent

    def put(key: str, data: Any) -> bool:
        if key == "iris/versions/v2.json":  # the worst moment: files are there, the manifest is not
            for name in files.objects.list("iris/files"):
                files.objects.delete(name)
        return real(key, data)

    monkeypatch.setattr(files.objects, "put_if_absent", put)
    files.publish(version.manifest, version.files)
    assert files.verify("iris", "v2")


def test_nothing_is_removed_while_a_manifest_cannot_be_read(store: ObjectStore, draft: Drafts) -> None:
    filled(store, draft, 2)
    data = store.objects.get("iris/versions/v1.json")
    store.objects.put_if_absent("iris/versions/v3.json", data)
    before = list(store.objects.list(""))
    with pytest.raises(CorruptError, match=r"v3\.json"):
        prune(later(store, 31), "iris", dry_run=False)
    assert list(store.objects.list("")) == before


def test_prune_refuses_what_it_cannot_mean(store: ObjectStore, draft: Drafts) -> None:
    with pytest.raises(NotFoundError, match="no model 'iris'"):
        prune(open_object_store(store.url), "iris")
    filled(store, draft, 1)
    with pytest.raises(UsageError, match="negative"):
        prune(store, "iris", keep=-1)
