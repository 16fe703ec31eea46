"""Lists, filters, sorts and pages; and how many queries a page takes."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import select, update

from mlplat.errors import NotFoundError, RequestError
from mlplat.registry import catalogue, indexing, rows, tables
from mlplat.registry.bodies import Page
from mlplat.registry.database import Database
from mlplat.registry.keyset import Slice
from mlplat.store import ObjectStore

from .conftest import Publish, counted

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def make_models(database: Database, names: list[str], **columns: Any) -> None:
    for number, name in enumerate(names):
        with database.write() as connection:
            model_id = rows.make_model(connection, name, MOMENT + timedelta(seconds=number // 2))
            if columns:
                connection.execute(update(tables.models).where(tables.models.c.id == model_id).values(**columns))


def all_pages(ask: Callable[[Slice], Page[Any]], limit: int) -> list[Any]:
    found: list[Any] = []
    cursor = None
    while True:
        page = ask(Slice(limit, cursor))
        assert len(page.items) <= limit
        found += page.items
        cursor = page.next
        if cursor is None:
            return found


@pytest.mark.parametrize("sort", ["name", "-name", "created_at", "-created_at", "updated_at", "-updated_at"])
def test_pages_of_models_make_the_whole_list_in_its_order(database: Database, sort: str) -> None:
    make_models(database, [f"m{number}" for number in range(23)])
    with database.read() as connection:
        found = all_pages(lambda part: catalogue.list_models(connection, part, sort=sort), 5)
    assert len({model.name for model in found}) == 23
    values = [getattr(model, sort.lstrip("-")) for model in found]
    assert values == sorted(values, reverse=sort.startswith("-"))


def test_names_are_sorted_byte_by_byte(database: Database) -> None:
    names = ["a", "B", "a-b", "a.b", "aa", "Z", "b"]
    make_models(database, names)
    with database.read() as connection:
        found = [model.name for model in catalogue.list_models(connection, Slice(50)).items]
    assert found == sorted(names)


def test_a_page_is_right_whatever_is_added_meanwhile(database: Database) -> None:
    make_models(database, ["b", "d", "f"])
    with database.read() as connection:
        first = catalogue.list_models(connection, Slice(2))
    make_models(database, ["a", "c", "e"])
    with database.read() as connection:
        second = catalogue.list_models(connection, Slice(10, first.next))
    assert [model.name for model in first.items + second.items] == ["b", "d", "e", "f"]


def test_a_page_of_fifty_takes_one_query(database: Database, store: ObjectStore, publish: Publish) -> None:
    publish("v0")
    indexing.index_store(database, store)
    make_models(database, [f"m{number}" for number in range(60)])
    with database.write() as connection:
        model_id = rows.make_model(connection, "iris", MOMENT)
        row = connection.execute(select(tables.versions)).mappings().one()
        for number in range(1, 60):
            values = {**row, "id": 1000 + number, "version": f"v{number}", "natural": f"v\x01{number:03}"}
            connection.execute(tables.versions.insert().values(**values))
            connection.execute(tables.metrics.insert().values(version_id=1000 + number, name="accuracy", value=number))
        assert model_id == row["model_id"]
    asked: list[Callable[[Any], Page[Any]]] = [
        lambda connection: catalogue.list_models(connection, Slice(50)),
        lambda connection: catalogue.search_models(connection, "m", Slice(50)),
        lambda connection: catalogue.list_versions(connection, "iris", Slice(50)),
        lambda connection: catalogue.list_versions(
            connection, "iris", Slice(50), sort="-metric:accuracy", conditions=["accuracy>=1"], recipe="iris"
        ),
    ]
    for ask in asked:
        with counted(database) as statements, database.read() as connection:
            page = ask(connection)
        assert (len(page.items), page.next is None) == (50, False)
        assert len(statements) == 1, statements


def test_models_are_found_by_owner_tag_and_pattern(database: Database) -> None:
    make_models(database, ["team-a", "team-b", "team_c", "Team-d", "other"])
    make_models(database, ["owned"], owner="ann")
    with database.write() as connection:
        for name, tags in (("team-a", {"stage": "live", "cost": "low"}), ("other", {"stage": "trial"})):
            rows.set_model_tags(connection, rows.make_model(connection, name, MOMENT), tags)

    def names(**wanted: Any) -> list[str]:
        with database.read() as connection:
            return [model.name for model in catalogue.list_models(connection, Slice(50), **wanted).items]

    assert names(owner="ann") == ["owned"]
    assert names(tags=["stage:live"]) == ["team-a"]
    assert names(tags=["stage"]) == ["other", "team-a"]
    assert names(tags=["stage:live", "cost:high"]) == []
    assert names(pattern="team-*") == ["team-a", "team-b"]
    assert names(pattern="team_*") == ["team_c"]
    assert names(pattern="????-?") == ["Team-d", "team-a", "team-b"]


def test_versions_are_found_by_what_they_are(database: Database, store: ObjectStore, publish: Publish) -> None:
    for number, version in enumerate(["v1", "v2", "v10"]):
        publish(version, metrics={"accuracy": 0.9 + number / 100, "loss": -1.0 * number} if number else {"f1": 0.5})
    indexing.index_store(database, store)
    with database.write() as connection:
        version_id = connection.scalar(select(tables.versions.c.id).where(tables.versions.c.version == "v2"))
        rows.set_version_tags(connection, version_id or 0, {"team": "blue"})

    def names(**wanted: Any) -> list[str]:
        with database.read() as connection:
            found = all_pages(lambda part: catalogue.list_versions(connection, "iris", part, **wanted), 2)
        return [version.version for version in found]

    assert names() == ["v10", "v2", "v1"]
    assert names(sort="version") == ["v1", "v2", "v10"]
    assert names(sort="-version") == ["v10", "v2", "v1"]
    assert names(sort="published_at") == ["v1", "v2", "v10"]
    assert names(sort="metric:loss") == ["v10", "v2"]
    assert names(sort="-metric:accuracy") == ["v10", "v2"]
    assert names(conditions=["accuracy>=0.915"]) == ["v10"]
    assert names(conditions=["loss<-1"]) == ["v10"]
    assert names(conditions=["loss<=-1", "accuracy != 0.92"]) == ["v2"]
    assert names(conditions=["f1=0.5"]) == ["v1"]
    assert names(sort="-metric:accuracy", conditions=["accuracy>0"]) == ["v10", "v2"]
    assert names(sort="metric:accuracy", conditions=["accuracy<=0.92", "accuracy!=0.91"]) == ["v10"]
    assert names(sort="-metric:loss", conditions=["accuracy>=0.91", "loss < -1"]) == ["v10"]
    assert names(tags=["team:blue"]) == ["v2"]
    assert names(task="regression") == names(recipe="churn") == []
    assert len(names(task="classification", recipe="iris")) == 3


def test_search_finds_words_by_their_beginnings(database: Database, store: ObjectStore, publish: Publish) -> None:
    publish("v1", model="iris-big")
    indexing.index_store(database, store)
    make_models(database, ["rose"], description="Blumen & Größe, 100% 'quoted' _", owner="Ann Lee")
    with database.write() as connection:
        rose = rows.make_model(connection, "rose", MOMENT)
        rows.set_model_tags(connection, rose, {"kind": "garden"})
        rows.set_terms(connection, rose)

    def found(text: str, **wanted: Any) -> list[str]:
        with database.read() as connection:
            return [model.name for model in catalogue.search_models(connection, text, Slice(50), **wanted).items]

    assert found("iri") == found("BIG") == found("big iris") == ["iris-big"]
    for text in ("GRÖSS", "ann", "le an", "gard", "100", "quot"):
        assert found(text) == ["rose"], text
    for text in ("rose x", "%", "_", "'", "ris", ""):
        assert found(text) == [], text
    assert found("rose", pattern="iris*") == []
    with pytest.raises(RequestError):
        found(" ".join(f"w{number}" for number in range(20)))


def test_what_no_list_knows_is_refused(database: Database) -> None:
    make_models(database, ["iris"])
    with database.read() as connection:
        for wrong in (
            {"sort": "owner"},
            {"sort": "--name"},
            {"sort": "metric:"},
            {"tags": [":x"]},
            {"conditions": ["accuracy"]},
            {"conditions": ["accuracy>=nan"]},
            {"conditions": ["a>=1; DROP TABLE models"]},
        ):
            with pytest.raises(RequestError):
                catalogue.list_versions(connection, "iris", Slice(50), **wrong)
        with pytest.raises(NotFoundError):
            catalogue.list_versions(connection, "rose", Slice(50))
        with pytest.raises(RequestError):
            catalogue.list_models(connection, Slice(50, "nonsense"))


def test_the_history_of_an_alias_is_listed_newest_first(
    database: Database, store: ObjectStore, publish: Publish
) -> None:
    for version in ("v1", "v2"):
        publish(version)
    for number in range(7):
        store.move("iris", "champion", f"v{1 + number % 2}", reason=str(number), by="ann")
    indexing.index_store(database, store)
    with database.read() as connection:
        found = all_pages(lambda part: catalogue.list_moves(connection, "iris", "champion", part), 3)
        current = catalogue.list_aliases(connection, "iris")
    assert [move.number for move in found] == [7, 6, 5, 4, 3, 2, 1]
    assert all(newer.at > older.at for newer, older in pairwise(found))
    assert current == {"champion": found[0]}
