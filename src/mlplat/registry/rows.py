"""Writing rows of models, versions and moves. Each writer of a model waits for the one before it at the model's row."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, Table, case, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from mlplat.errors import NotFoundError
from mlplat.registry import tables
from mlplat.registry.columns import plain, utc
from mlplat.registry.entries import Entry, short
from mlplat.registry.tables import aliases, model_tags, models, moves, terms, version_tags, versions
from mlplat.registry.terms import terms_of
from mlplat.store import Move


def add(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows, but those that are there."""
    if rows:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        connection.execute(dialect.insert(table).on_conflict_do_nothing(), rows)


def lock_model(connection: Connection, name: str) -> int | None:
    """The id of a model, whose row no one else changes until the transaction ends; None if there is no such model."""
    return connection.execute(_locking(name)).scalar_one_or_none()


def locked_model(connection: Connection, name: str) -> int:
    """The id of a model as `lock_model` gives it. Raises NotFoundError."""
    found = lock_model(connection, name)
    if found is None:
        raise NotFoundError(f"There is no model {name!r}.")
    return found


def make_model(connection: Connection, name: str, at: datetime) -> int:
    """The id of a model, which is made if it is not there; locked as `lock_model` does."""
    found = lock_model(connection, name)
    if found is not None:
        return found
    add(connection, models, [{"name": name, "tags": {}, "created_at": at, "updated_at": at, "versions": 0}])
    made = connection.execute(_locking(name)).scalar_one()
    set_terms(connection, made)
    return made


def _locking(name: str) -> Select[int]:
    return select(models.c.id).where(models.c.name == name).with_for_update()


def put_version(
    connection: Connection, model_id: int, entry: Entry, *, by: str | None = None, again: bool = False
) -> bool:
    """Write a version of the store, `again` also if it is there as it was; whether it was not known.

    Its tags, and who published it, stay.
    """
    row = entry.row()
    name = entry.manifest.version
    known = connection.execute(
        select(versions.c.id, versions.c.sha256).where(versions.c.model_id == model_id, versions.c.version == name)
    ).one_or_none()
    if known is not None and known.sha256 == entry.sha256 and not again:
        return False
    if known is None:
        version_id = connection.execute(
            insert(versions)
            .values(model_id=model_id, tags={}, by=short(by, tables.TAG), **row)
            .returning(versions.c.id)
        ).scalar_one()
    else:
        version_id = known.id
        connection.execute(update(versions).where(versions.c.id == version_id).values(**row))
        connection.execute(delete(tables.metrics).where(tables.metrics.c.version_id == version_id))
    if metrics := entry.metrics():
        its = {"version_id": version_id, "model_id": model_id}
        connection.execute(insert(tables.metrics), [{**its, **metric} for metric in metrics])
    new = terms_of([row["recipe"]])
    add(connection, terms, [{"term": term, "model_id": model_id} for term in sorted(new)])
    count_versions(connection, model_id, row["published_at"])
    return known is None


def remove_versions(connection: Connection, model_id: int, names: Iterable[str], at: datetime) -> int:
    """Remove versions that the store no longer has; how many there were."""
    wanted = versions.c.model_id == model_id, versions.c.version.in_(list(names))
    removed = connection.execute(delete(versions).where(*wanted)).rowcount
    if removed:
        count_versions(connection, model_id, at)
        set_terms(connection, model_id)
    return removed


def count_versions(connection: Connection, model_id: int, at: datetime) -> None:
    """Note in a model's row how many versions it has, which is the latest, and that it changed."""
    its = versions.c.model_id == model_id
    latest = select(versions.c.version).where(its).order_by(versions.c.created_at.desc(), versions.c.id.desc()).limit(1)
    connection.execute(
        update(models)
        .where(models.c.id == model_id)
        .values(
            versions=select(func.count()).select_from(versions).where(its).scalar_subquery(),
            latest=latest.scalar_subquery(),
            created_at=case((models.c.created_at > utc(at), utc(at)), else_=models.c.created_at),
            updated_at=later(at),
        )
    )


def later(at: datetime) -> Any:
    """The later one of a time and that of a model's last change."""
    return case((models.c.updated_at < utc(at), utc(at)), else_=models.c.updated_at)


def put_moves(connection: Connection, model_id: int, found: Sequence[Move]) -> None:
    """Write moves of aliases, and what the aliases name now."""
    rows = [
        {
            "model_id": model_id,
            "alias": move.alias,
            "number": move.number,
            "version": move.version,
            "previous": short(move.previous),
            "reason": plain(move.reason),
            "at": utc(move.at),
            "by": plain(move.by),
        }
        for move in found
    ]
    add(connection, moves, rows)
    for alias in {move.alias for move in found}:
        set_alias(connection, model_id, alias)
    if found:
        at = max(utc(move.at) for move in found)
        connection.execute(update(models).where(models.c.id == model_id).values(updated_at=later(at)))


def remove_moves(connection: Connection, model_id: int, alias: str, numbers: Iterable[int]) -> None:
    """Remove moves that the store no longer has."""
    its = moves.c.model_id == model_id, moves.c.alias == alias
    connection.execute(delete(moves).where(*its, moves.c.number.in_(list(numbers))))
    set_alias(connection, model_id, alias)


def set_alias(connection: Connection, model_id: int, alias: str) -> None:
    """Let an alias name what its last move says."""
    connection.execute(delete(aliases).where(aliases.c.model_id == model_id, aliases.c.alias == alias))
    last = (
        select(moves.c.model_id, moves.c.alias, moves.c.number, moves.c.version)
        .where(moves.c.model_id == model_id, moves.c.alias == alias)
        .order_by(moves.c.number.desc())
        .limit(1)
    )
    connection.execute(insert(aliases).from_select(["model_id", "alias", "number", "version"], last))


def set_model_tags(connection: Connection, model_id: int, tags: dict[str, str]) -> None:
    """Replace the tags of a model."""
    connection.execute(update(models).where(models.c.id == model_id).values(tags=tags))
    connection.execute(delete(model_tags).where(model_tags.c.model_id == model_id))
    if tags:
        rows = [{"model_id": model_id, "key": key, "value": value} for key, value in tags.items()]
        connection.execute(insert(model_tags), rows)


def set_version_tags(connection: Connection, version_id: int, tags: dict[str, str]) -> None:
    """Replace the tags of a version."""
    connection.execute(update(versions).where(versions.c.id == version_id).values(tags=tags))
    connection.execute(delete(version_tags).where(version_tags.c.version_id == version_id))
    if tags:
        rows = [{"version_id": version_id, "key": key, "value": value} for key, value in tags.items()]
        connection.execute(insert(version_tags), rows)


def set_terms(connection: Connection, model_id: int) -> None:
    """Make the words anew that a model is found by."""
    model = connection.execute(select(models).where(models.c.id == model_id)).one()
    recipes = connection.scalars(select(versions.c.recipe).where(versions.c.model_id == model_id).distinct()).all()
    texts = [model.name, model.owner, *(part for tag in model.tags.items() for part in tag), *recipes]
    wanted = terms_of([*texts, model.description])
    known = set(connection.scalars(select(terms.c.term).where(terms.c.model_id == model_id)))
    if gone := known - wanted:
        connection.execute(delete(terms).where(terms.c.model_id == model_id, terms.c.term.in_(gone)))
    add(connection, terms, [{"term": term, "model_id": model_id} for term in sorted(wanted - known)])
