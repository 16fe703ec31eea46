"""Reading the catalogue: models, versions and moves of aliases, each page in one or two queries."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from mlplat.registry import encoded
from mlplat.registry.bodies import AliasMove, Model, Page, Version, VersionDetail
from mlplat.registry.entries import CUT
from mlplat.registry.keyset import Slice, Sort, page
from mlplat.registry.tables import aliases, models, moves, versions


def list_models(connection: Connection, part: Slice, **wanted: Any) -> Page[Model]:
    """A page of models, as of `encoded.list_models`."""
    return Page[Model].model_validate_json(encoded.list_models(connection, part, **wanted))


def search_models(connection: Connection, text: str, part: Slice, *, pattern: str | None = None) -> Page[Model]:
    """A page of models, as of `encoded.search_models`."""
    return Page[Model].model_validate_json(encoded.search_models(connection, text, part, pattern=pattern))


def get_model(connection: Connection, name: str) -> Model | None:
    """A model; None if there is none of that name."""
    found = encoded.get_model(connection, name)
    return None if found is None else Model.model_validate_json(found)


def list_versions(connection: Connection, model: str, part: Slice, **wanted: Any) -> Page[Version]:
    """A page of the versions of a model, as of `encoded.list_versions`."""
    return Page[Version].model_validate_json(encoded.list_versions(connection, model, part, **wanted))


def get_version(connection: Connection, model: str, version: str) -> VersionDetail | None:
    """A version with all that is known about it; None if there is none of that name."""
    found = encoded.get_version(connection, model, version)
    return None if found is None else VersionDetail.model_validate_json(found)


def list_aliases(connection: Connection, model: str) -> dict[str, AliasMove]:
    """The last move of each alias of a model."""
    rows = connection.execute(_moves(model).join(aliases, _is_current()).order_by(moves.c.alias))
    return {row.alias: _move(row) for row in rows}


def get_alias(connection: Connection, model: str, alias: str) -> AliasMove | None:
    """The last move of an alias; None if there is none of that name."""
    query = _moves(model).join(aliases, _is_current()).where(moves.c.alias == alias)
    row = connection.execute(query).one_or_none()
    return None if row is None else _move(row)


def list_moves(connection: Connection, model: str, alias: str, part: Slice) -> Page[AliasMove]:
    """A page of the history of an alias, the newest first."""
    sort = Sort("-number", moves.c.number, moves.c.number, int)
    query = _moves(model).where(moves.c.alias == alias)
    return page(connection, query, sort, part, lambda rows: [_move(row) for row in rows])


def list_moves_of(connection: Connection, model: str, version: str, limit: int) -> list[AliasMove]:
    """The newest moves of any alias of a model to a version, or away from it."""
    concerned = (moves.c.version == version) | (moves.c.previous == version)
    query = _moves(model).where(concerned).order_by(moves.c.at.desc(), moves.c.number.desc()).limit(limit)
    return [_move(row) for row in connection.execute(query)]


def metrics_of(connection: Connection, model: str, named: Iterable[str]) -> dict[str, dict[str, float]]:
    """The metrics of those of the named versions of a model that exist, as lists show them."""
    asked = models.c.name == model, versions.c.version.in_(list(named))
    query = select(versions.c.version, versions.c.metrics).join(models).where(*asked)
    return {row.version: {} if row.metrics == CUT else row.metrics for row in connection.execute(query)}


def _moves(model: str) -> Select[Any]:
    return select(moves).join(models, models.c.id == moves.c.model_id).where(models.c.name == model)


def _is_current() -> Any:
    same = (aliases.c.model_id == moves.c.model_id) & (aliases.c.alias == moves.c.alias)
    return same & (aliases.c.number == moves.c.number)


def _move(row: Row[Any]) -> AliasMove:
    return AliasMove(**row._mapping)  # noqa: SLF001
