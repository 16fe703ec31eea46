"""The catalogue follows the store, whoever writes there, and can be made anew from it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update
from tests.registries import STORES

from mlplat.bundle.manifest import RecipeInfo
from mlplat.errors import StoreError
from mlplat.registry import catalogue, indexing, rows, tables
from mlplat.registry.database import Database
from mlplat.registry.entries import natural, read_entry
from mlplat.registry.keyset import Slice
from mlplat.store import ObjectStore, open_object_store
from mlplat.store.keys import natural as as_people_count

from .conftest import Publish, counted

ALL = Slice(200)


def seen(database: Database) -> Any:
    """All that the catalogue says, but for what the store cannot know."""
    with database.read() as connection:
        models = catalogue.list_models(connection, ALL).items
        return [
            (
                model,
                catalogue.list_versions(connection, model.name, ALL, sort="version").items,
                [catalogue.list_moves(connection, model.name, alias, ALL).items for alias in model.aliases],
            )
            for model in models
        ]


def versions(database: Database, model: str = "iris") -> list[str]:
    with database.read() as connection:
        return [each.version for each in catalogue.list_versions(connection, model, ALL, sort="version").items]


@STORES
def test_what_is_in_the_store_is_in_the_catalogue(database: Database, store: ObjectStore, publish: Publish) -> None:
    first = publish("v1")
    publish("v2")
    publish("v1", model="rose")
    store.move("iris", "champion", "v1", reason="first", by="ann")
    changes = indexing.index_store(database, store)
    assert (changes.models, changes.versions, changes.moves, changes.removed) == (2, 3, 1, 0)
    with database.read() as connection:
        model = catalogue.get_model(connection, "iris")
        version = catalogue.get_version(connection, "iris", "v1")
    assert model is not None
    assert (model.versions, model.latest, model.aliases) == (2, "v2", {"champion": "v1"})
    assert version is not None
    assert (version.created_at, version.aliases, version.metrics) == (first.created_at, ["champion"], first.metrics)
    assert version.files["model.onnx"]["sha256"] == first.files["model.onnx"].sha256
    assert version.card == "# A card\n"


@STORES
def test_looking_again_changes_nothing(database: Database, store: ObjectStore, publish: Publish) -> None:
    publish("v1")
    store.move("iris", "champion", "v1", reason="first", by="ann")
    indexing.index_store(database, store)
    before = seen(database)
    assert not indexing.index_store(database, store)
    assert not indexing.index_store(database, store, again=True)
    assert seen(database) == before


@STORES
def test_a_catalogue_that_was_lost_is_made_anew(database: Database, store: ObjectStore, publish: Publish) -> None:
    for number in range(25):
        publish(f"v{number}")
        indexing.index_store(database, store)
    for number in (1, 2, 1):
        store.move("iris", "champion", f"v{number}", reason=f"to {number}", by="ann")
    store.delete("iris", "v3", by="ann", reason="")
    indexing.index_store(database, store)
    before = seen(database)
    with database.write() as connection:
        connection.execute(delete(tables.models))
    assert seen(database) == []
    told: list[str] = []
    indexing.index_store(database, store, again=True, told=lambda model, _: told.append(model))
    assert told == ["iris"]
    for (old, *rest), (new, *others) in zip(before, seen(database), strict=True):
        assert rest == others
        assert old.model_copy(update={"updated_at": new.updated_at}) == new  # a deletion is a change, too


@STORES
def test_what_was_deleted_in_the_store_is_gone(database: Database, store: ObjectStore, publish: Publish) -> None:
    publish("v1")
    publish("v2")
    indexing.index_store(database, store)
    store.delete("iris", "v2", by="ann", reason="")
    assert indexing.index_store(database, store).removed == 1
    assert versions(database) == ["v1"]
    store.delete("iris", "v1", by="ann", reason="")
    assert indexing.index_store(database, store).removed == 1
    assert versions(database) == []


@STORES
def test_an_empty_store_is_taken_for_a_wrong_one(
    database: Database, store: ObjectStore, publish: Publish, tmp_path: Path
) -> None:
    publish("v1")
    indexing.index_store(database, store)
    assert not indexing.index_store(database, open_object_store(str(tmp_path / "another")))
    assert versions(database) == ["v1"]


@STORES
def test_a_deletion_that_was_killed_is_finished(
    database: Database, store: ObjectStore, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish("v1")
    publish("v2")
    indexing.index_store(database, store)
    real = store.objects.delete

    def fail(_: str) -> None:
        raise StoreError("killed")

    monkeypatch.setattr(store.objects, "delete", fail)
    with pytest.raises(StoreError):
        store.delete("iris", "v1", by="ann", reason="")
    monkeypatch.setattr(store.objects, "delete", real)
    indexing.index_store(database, store)
    assert versions(database) == store.versions("iris") == ["v2"]


@STORES
def test_what_cannot_be_read_is_passed_over(database: Database, store: ObjectStore, publish: Publish) -> None:
    publish("v1")
    publish("v2")
    data = store.objects.get("iris/versions/v1.json")
    store.objects.put_if_absent("iris/versions/v3.json", data)
    store.objects.put_if_absent("iris/aliases/champion/00000001.json", b"{}")
    store.objects.put_if_absent("iris/notes.txt", b"by hand")
    changes = indexing.index_store(database, store)
    assert (changes.versions, changes.unreadable) == (2, 2)


@STORES
def test_a_move_that_was_removed_by_hand_is_gone(database: Database, store: ObjectStore, publish: Publish) -> None:
    for version in ("v1", "v2"):
        publish(version)
        store.move("iris", "champion", version, reason="", by="")
    indexing.index_store(database, store)
    store.objects.delete("iris/aliases/champion/00000002.json")
    indexing.index_store(database, store)
    with database.read() as connection:
        alias = catalogue.get_alias(connection, "iris", "champion")
    assert alias is not None
    assert (alias.version, alias.number) == ("v1", 1)


@STORES
def test_tags_and_who_published_stay(database: Database, store: ObjectStore, publish: Publish) -> None:
    publish("v1")
    indexing.put_entry(database, read_entry(store, "iris", "v1"), by="ann")
    with database.write() as connection:
        version_id = connection.execute(select(tables.versions.c.id)).scalar_one()
        rows.set_version_tags(connection, version_id, {"team": "blue"})
    indexing.index_store(database, store, again=True)
    with database.read() as connection:
        found = catalogue.get_version(connection, "iris", "v1")
    assert found is not None
    assert (found.tags, found.by) == ({"team": "blue"}, "ann")


def test_rows_that_are_wrong_are_made_anew(database: Database, store: ObjectStore, publish: Publish) -> None:
    for version, accuracy in (("v1", 0.5), ("v2", 0.75)):
        publish(version, metrics={"accuracy": accuracy})
    indexing.index_store(database, store)

    def said() -> Any:
        with database.read() as connection:
            listed = catalogue.list_versions(connection, "iris", ALL, sort="-metric:accuracy").items
            found = catalogue.search_models(connection, "iris", ALL).items
            return listed, found, catalogue.get_version(connection, "iris", "v1")

    before = said()
    assert [version.version for version in before[0]] == ["v2", "v1"]
    with database.write() as connection:
        connection.execute(delete(tables.metrics))
        connection.execute(delete(tables.terms))
        connection.execute(update(tables.versions).values(metrics={}, card="wrong", rows=7))
    indexing.index_store(database, store)
    assert said()[:2] == ([], [])
    assert not indexing.index_store(database, store, again=True)
    assert said() == before


@STORES
def test_a_version_or_an_alias_that_is_missing_is_looked_for(
    database: Database, store: ObjectStore, publish: Publish
) -> None:
    publish("v1")
    store.move("iris", "champion", "v1", reason="", by="")
    assert indexing.find_version(database, store, "iris", "v1")
    assert not indexing.find_version(database, store, "iris", "v2")
    assert indexing.find_alias(database, store, "iris", "champion")
    assert not indexing.find_alias(database, store, "iris", "other")
    assert not indexing.find_model(database, store, "rose")
    assert seen(database)[0][0].aliases == {"champion": "v1"}


@STORES
def test_odd_facts_of_a_manifest_are_no_error(database: Database, store: ObjectStore, publish: Publish) -> None:
    publish(
        recipe=RecipeInfo(name="a\0b", params={"large": 10**40, "text": "\0\u2028"}),
        metrics={"x" * 500: 1.0, "nul\0": 2.0, "accuracy": 1e308},
        created_at=datetime(1, 1, 1, tzinfo=UTC) + timedelta(hours=1),
        contents={"model.onnx": b"x", "card.md": b"\0\xff\xfe card"},
    )
    indexing.index_store(database, store)
    with database.read() as connection:
        found = catalogue.get_version(connection, "iris", "v1")
    assert found is not None
    assert found.params == {"large": 10**40, "text": "\0\u2028"}
    assert found.card == "\ufffd\ufffd\ufffd card"
    assert len(found.metrics) == 3


@STORES
def test_a_store_that_is_away_is_said(database: Database, store: ObjectStore, publish: Publish, tmp_path: Path) -> None:
    publish("v1")
    indexing.index_store(database, store)
    away = open_object_store(str(tmp_path / "away"), create=False)
    with pytest.raises(StoreError):
        indexing.index_store(database, away)
    assert versions(database) == ["v1"]


def test_versions_sort_in_the_database_as_people_count() -> None:
    names = ["v1", "v2", "v10", "v2.1", "v-1", "2026-01-31", "a10b2", "a10b10", "a9", "V3", "v", "1", "01", "20"]
    assert sorted(names, key=natural) == sorted(names, key=as_people_count)


@STORES
def test_files_that_no_version_names_go_when_they_are_a_day_old(
    database: Database, store: ObjectStore, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = publish("v1", contents={"model.onnx": b"kept", "card.md": b"of both"})
    gone = publish("v2", contents={"model.onnx": b"gone", "card.md": b"of both"})
    publish("v1", model="rose")
    store.objects.put_if_absent(f"iris/files/{'0' * 64}", b"of an upload that was killed")
    store.delete("iris", "v2", by="ann", reason="")
    indexing.index_store(database, store)
    told: list[str] = []
    assert indexing.sweep_store(database, store, told.append) == 0, "they are young"
    monkeypatch.setattr(store, "clock", lambda: datetime.now(UTC) + timedelta(days=2))
    assert indexing.sweep_store(database, store, told.append) == 4 + 28
    assert told == ["iris", "rose"] * 2
    assert store.verify("iris", "v1") == kept
    assert store.objects.size(f"iris/files/{gone.files['model.onnx'].sha256}") is None


@STORES
def test_nothing_is_swept_where_a_manifest_cannot_be_read(
    database: Database, store: ObjectStore, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = publish("v1")
    data = store.objects.get("iris/versions/v1.json")
    store.objects.delete("iris/versions/v1.json")
    store.objects.put_if_absent("iris/versions/v1.json", data.replace(b"0.9375", b"0.9376"))
    monkeypatch.setattr(store, "clock", lambda: datetime.now(UTC) + timedelta(days=2))
    assert indexing.sweep_store(database, store, lambda _: None) == 0
    assert all(store.objects.size(f"iris/files/{each.sha256}") is not None for each in damaged.files.values())


def test_large_manifests_are_not_held_together(
    database: Database, store: ObjectStore, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "BATCH_BYTES", 1)
    for number in range(3):
        publish(f"v{number}")
    with counted(database) as statements:
        indexing.index_store(database, store)
    locks = [statement for statement in statements if "WHERE models.name = " in statement]
    assert len(locks) > 3, "each in a transaction of its own"
    assert versions(database) == ["v0", "v1", "v2"]


@STORES
def test_a_damaged_object_stops_nothing_but_itself(database: Database, store: ObjectStore, publish: Publish) -> None:
    for model in ("iris", "rose", "tulip"):
        publish("v1", model=model)
    publish("v2")
    store.objects.put_if_absent("iris/tombstones/v1.json", b"")  # of a deletion that was killed
    store.move("rose", "champion", "v1", reason="", by="")
    store.objects.put_if_absent(
        "rose/tombstones/v1.json", b'{"version":"v1","at":"2026-01-01T00:00:00Z","by":"","reason":""}'
    )
    store.objects.put_if_absent("rose/aliases/champion/00000002.json", b"{")
    changes = indexing.index_store(database, store)
    assert (changes.models, changes.versions, changes.unreadable) == (3, 4, 3)
    assert versions(database) == ["v1", "v2"]
    assert versions(database, "tulip") == ["v1"]
