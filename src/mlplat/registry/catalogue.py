"""Reading the catalogue: models, versions and moves of aliases, each page in one or two queries."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Select, bindparam, select

from mlplat.errors import NotFoundError, RequestError
from mlplat.registry import filters, terms
from mlplat.registry.bodies import AliasMove, Model, Page, Version, VersionDetail
from mlplat.registry.entries import CUT, LISTED_PARTS
from mlplat.registry.keyset import Slice, Sort, page
from mlplat.registry.tables import METRIC, aliases, metrics, model_tags, models, moves, version_tags, versions
from mlplat.registry.tables import terms as term_rows

T = TypeVar("T")

MOST_WORDS = 16

MODEL_SORTS = {
    "name": (models.c.name, str),
    "created_at": (models.c.created_at, datetime),
    "updated_at": (models.c.updated_at, datetime),
}
VERSION_SORTS = {
    "created_at": (versions.c.created_at, datetime),
    "published_at": (versions.c.published_at, datetime),
    "version": (versions.c.natural, str),
}
LISTED = [column for column in versions.c if column.name not in {"facts", "card", "natural", "model_id"}]
FACTS = (versions.c.facts, versions.c.card)

# Statements that never change are made once, which takes longer than to have them answered.
ALIASES_OF_MODELS = (
    select(aliases).where(aliases.c.model_id.in_(bindparam("ids", expanding=True))).order_by(aliases.c.alias)
)
ALIASES_OF_VERSIONS = (
    select(aliases)
    .where(aliases.c.model_id == bindparam("id"), aliases.c.version.in_(bindparam("versions", expanding=True)))
    .order_by(aliases.c.alias)
)
MODEL = select(models).where(models.c.name == bindparam("model"))
VERSION = (
    select(*LISTED, *FACTS, versions.c.model_id)
    .join(models)
    .where(models.c.name == bindparam("model"), versions.c.version == bindparam("version"))
)


def list_models(
    connection: Connection,
    part: Slice,
    *,
    sort: str = "name",
    pattern: str | None = None,
    owner: str | None = None,
    tags: Iterable[str] = (),
) -> Page[Model]:
    """A page of the models that a key with `pattern` may see.

    Raises:
        RequestError: if the sort, a tag or the cursor is none.
    """
    query = select(models).where(filters.for_key(connection, pattern))
    if owner is not None:
        query = query.where(models.c.owner == owner)
    for tag in tags:
        query = query.where(filters.tagged(model_tags, models.c.id, tag))
    return _models(connection, query, _sort(sort, MODEL_SORTS, models.c.id), part)


def search_models(connection: Connection, text: str, part: Slice, *, pattern: str | None = None) -> Page[Model]:
    """A page of the models that have, for each word of `text`, a word that begins with it; by name."""
    words = terms.words(text)
    if len(words) > MOST_WORDS:
        raise RequestError(f"q: found {len(words)} words, expected {MOST_WORDS} at most.")
    if not words:
        return Page(items=[], next=None)
    query = select(models).where(filters.for_key(connection, pattern))
    for word in words:
        found = term_rows.c.term >= word, term_rows.c.term < terms.after(word)
        query = query.where(models.c.id.in_(select(term_rows.c.model_id).where(*found)))
    return _models(connection, query, _sort("name", MODEL_SORTS, models.c.id), part)


def get_model(connection: Connection, name: str) -> Model | None:
    """A model; None if there is none of that name."""
    row = connection.execute(MODEL, {"model": name}).one_or_none()
    return None if row is None else _with_aliases(connection, [row])[0]


def list_versions(
    connection: Connection,
    model: str,
    part: Slice,
    *,
    sort: str = "-created_at",
    task: str | None = None,
    recipe: str | None = None,
    tags: Iterable[str] = (),
    conditions: Iterable[str] = (),
) -> Page[Version]:
    """A page of the versions of a model.

    Args:
        connection: to the database.
        model: whose versions.
        part: which page.
        sort: created_at, published_at, version or metric:NAME, each up or with a minus down. By a metric, those that
            have none of that name are left out.
        task: only such versions.
        recipe: only such versions.
        tags: that they must have.
        conditions: on metrics, as `accuracy>=0.9`.

    Raises:
        NotFoundError: if there is no such model.
        RequestError: if the sort, a tag, a condition or the cursor is none.
    """
    query = select(*LISTED, versions.c.model_id).join(models).where(models.c.name == model)
    if sort.lstrip("-").startswith("metric:"):
        name = sort.lstrip("-").removeprefix("metric:")
        if not name or len(name) > METRIC or "\0" in name:
            raise RequestError("sort: the metric has no name.")
        query = query.join(metrics, (metrics.c.version_id == versions.c.id) & (metrics.c.name == name))
        order = Sort(sort, metrics.c.value, versions.c.id, float)
    else:
        order = _sort(sort, VERSION_SORTS, versions.c.id)
    if task is not None:
        query = query.where(versions.c.task == task)
    if recipe is not None:
        query = query.where(versions.c.recipe == recipe)
    for tag in tags:
        query = query.where(filters.tagged(version_tags, versions.c.id, tag))
    for condition in conditions:
        query = query.where(filters.measured(condition))
    found = page(connection, query, order, part, lambda rows: _listed(connection, model, rows))
    if not found.items and connection.scalar(select(models.c.id).where(models.c.name == model)) is None:
        raise NotFoundError(f"There is no model {model!r}.")
    return found


def get_version(connection: Connection, model: str, version: str) -> VersionDetail | None:
    """A version with all that is known about it; None if there is none of that name."""
    row = connection.execute(VERSION, {"model": model, "version": version}).one_or_none()
    if row is None:
        return None
    listed = vars(_listed(connection, model, [row])[0])
    return VersionDetail(**{**listed, **row.facts, "cut": []}, sha256=row.sha256, card=row.card)


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


def _models(connection: Connection, query: Select[Any], sort: Sort, part: Slice) -> Page[Model]:
    return page(connection, query, sort, part, lambda rows: _with_aliases(connection, rows))


def _with_aliases(connection: Connection, rows: Sequence[Any]) -> list[Model]:
    named: dict[int, dict[str, str]] = defaultdict(dict)
    if rows:
        for found in connection.execute(ALIASES_OF_MODELS, {"ids": [row.id for row in rows]}):
            named[found.model_id][found.alias] = found.version
    return [Model(**row._mapping, aliases=named[row.id]) for row in rows]  # noqa: SLF001 - its documented name


def _listed(connection: Connection, model: str, rows: Sequence[Any]) -> list[Version]:
    named = defaultdict(list)
    if rows:
        wanted = {"id": rows[0].model_id, "versions": [row.version for row in rows]}
        for found in connection.execute(ALIASES_OF_VERSIONS, wanted):
            named[found.version].append(found.alias)
    return [_version(row, model, named[row.version]) for row in rows]


def _version(row: Any, model: str, named: list[str]) -> Version:
    cut = [name for name in LISTED_PARTS if getattr(row, name) == CUT]
    shown = {**row._mapping, **{name: {} for name in cut}}  # noqa: SLF001
    return Version(**shown, model=model, aliases=named, cut=cut)


def _moves(model: str) -> Select[Any]:
    return select(moves).join(models, models.c.id == moves.c.model_id).where(models.c.name == model)


def _is_current() -> Any:
    same = (aliases.c.model_id == moves.c.model_id) & (aliases.c.alias == moves.c.alias)
    return same & (aliases.c.number == moves.c.number)


def _move(row: Row[Any]) -> AliasMove:
    return AliasMove(**row._mapping)  # noqa: SLF001


def _sort(name: str, known: dict[str, tuple[Any, type]], identity: Any) -> Sort:
    if name.removeprefix("-") not in known:
        raise RequestError(f"sort: found {name[:100]!r}, expected {', '.join(known)}, each also with a minus.")
    column, kind = known[name.removeprefix("-")]
    return Sort(name, column, identity, kind)
