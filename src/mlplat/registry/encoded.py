"""Models and versions as JSON, each page or one of them by one query, and from its rows to text without a stop at objects."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache, partial
from itertools import chain, count, islice
from typing import Any

import msgspec
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Integer,
    Select,
    bindparam,
    func,
    literal_column,
    select,
)

from mlplat.errors import NotFoundError, RequestError
from mlplat.registry import cursors, filters, terms
from mlplat.registry.columns import moment
from mlplat.registry.entries import CUT, LISTED_PARTS
from mlplat.registry.keyset import Slice, Sort, behind, ordered
from mlplat.registry.statements import Statement, Where
from mlplat.registry.tables import METRIC, aliases, metrics, model_tags, models, version_tags, versions

MOST_WORDS = 16
EMPTY = b'{"items":[],"next":null}'
NOTHING = msgspec.Raw(b"{}")
CUT_JSON = json.dumps(CUT)

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


def _joined(pair: ColumnElement[str], *its: ColumnElement[bool]) -> ColumnElement[str]:
    """Names of the aliases in one column; none has a space or an equals sign in it."""
    space: Any = literal_column("' '")  # in the text, not sent with each query
    return select(func.aggregate_strings(pair, space)).where(*its).scalar_subquery()


OF_MODEL = aliases.c.alias.concat(literal_column("'='")).concat(aliases.c.version)
MODELS = select(
    models.c.name,
    models.c.description,
    models.c.owner,
    models.c.tags,
    models.c.created_at,
    models.c.updated_at,
    models.c.versions,
    models.c.latest,
    _joined(OF_MODEL, aliases.c.model_id == models.c.id).label("aliases"),
)
LISTED = select(
    versions.c.version,
    versions.c.created_at,
    versions.c.published_at,
    versions.c.by,
    versions.c.task,
    versions.c.recipe,
    versions.c.params,
    versions.c.runtime,
    versions.c.rows,
    versions.c.metrics,
    versions.c.tags,
    _joined(aliases.c.alias, aliases.c.model_id == versions.c.model_id, aliases.c.version == versions.c.version).label(
        "aliases"
    ),
    versions.c.bytes,
)
VERSIONS = LISTED.where(versions.c.model_id == filters.MODEL_ID)
BY_METRIC = LISTED.join(metrics, metrics.c.version_id == versions.c.id).where(
    metrics.c.model_id == filters.MODEL_ID, metrics.c.name == bindparam("metric")
)
MODEL = Statement(MODELS.where(models.c.name == bindparam("model")))
VERSION = Statement(
    VERSIONS.where(versions.c.version == bindparam("version")).add_columns(
        versions.c.sha256, versions.c.facts, versions.c.card
    )
)


class ModelRow(msgspec.Struct):
    """The first columns of `MODELS`, and what `bodies.Model` says."""

    name: str
    description: str | None
    owner: str | None
    tags: msgspec.Raw
    created_at: datetime
    updated_at: datetime
    versions: int
    latest: str | None
    aliases: dict[str, str]


class VersionRow(msgspec.Struct):
    """The name of the model, the first columns of `VERSIONS`, and what `bodies.Version` says."""

    model: str
    version: str
    created_at: datetime
    published_at: datetime
    by: str | None
    task: str
    recipe: str
    params: msgspec.Raw
    runtime: str
    rows: int
    metrics: msgspec.Raw
    tags: msgspec.Raw
    aliases: list[str]
    bytes: int
    cut: list[str]


def list_models(
    connection: Connection,
    part: Slice,
    *,
    sort: str = "name",
    pattern: str | None = None,
    owner: str | None = None,
    tags: Iterable[str] = (),
) -> bytes:
    """A page of the models that a key with `pattern` may see.

    Raises:
        RequestError: if the sort, a tag or the cursor is none.
    """
    wheres = filters.for_key(connection, pattern)
    if owner is not None:
        wheres.append(Where(filters.equal(models.c.owner), (owner,)))
    wheres += [filters.tagged(model_tags, models.c.id, tag) for tag in tags]
    return _page(connection, MODELS, {}, wheres, _sort(sort, MODEL_SORTS, models.c.id), part, _model)


def search_models(connection: Connection, text: str, part: Slice, *, pattern: str | None = None) -> bytes:
    """A page of the models that have, for each word of `text`, a word that begins with it; by name."""
    words = terms.words(text)
    if len(words) > MOST_WORDS:
        raise RequestError(f"q: found {len(words)} words, expected {MOST_WORDS} at most.")
    if not words:
        return EMPTY
    wheres = filters.for_key(connection, pattern)
    wheres += [Where(filters.has_word, (word, terms.after(word))) for word in words]
    return _page(connection, MODELS, {}, wheres, _sort("name", MODEL_SORTS, models.c.id), part, _model)


def get_model(connection: Connection, name: str) -> bytes | None:
    """A model; None if there is none of that name."""
    rows = MODEL.rows(connection, {"model": name})
    return msgspec.json.encode(_model(rows[0])) if rows else None


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
) -> bytes:
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
    query, values, name = VERSIONS, {"model": model}, None
    if sort.lstrip("-").startswith("metric:"):
        name = sort.lstrip("-").removeprefix("metric:")
        if not name or len(name) > METRIC or "\0" in name:
            raise RequestError("sort: the metric has no name.")
        query, values = BY_METRIC, {"model": model, "metric": name}
        order = Sort(sort, metrics.c.value, metrics.c.version_id, float)
    else:
        order = _sort(sort, VERSION_SORTS, versions.c.id)
    wanted = ((versions.c.task, task), (versions.c.recipe, recipe))
    wheres = [Where(filters.equal(column), (value,)) for column, value in wanted if value is not None]
    wheres += [filters.tagged(version_tags, versions.c.id, tag) for tag in tags]
    wheres += [filters.measured(condition, name) for condition in conditions]
    found = _page(connection, query, values, wheres, order, part, partial(_version, model))
    if found == EMPTY and connection.scalar(select(models.c.id).where(models.c.name == model)) is None:
        raise NotFoundError(f"There is no model {model!r}.")
    return found


def get_version(connection: Connection, model: str, version: str) -> bytes | None:
    """A version with all that is known about it; None if there is none of that name."""
    rows = VERSION.rows(connection, {"model": model, "version": version})
    if not rows:
        return None
    sha256, facts, card = rows[0][-3:]
    parts = msgspec.json.decode(_json(facts), type=dict[str, msgspec.Raw])
    listed = msgspec.structs.asdict(_version(model, rows[0]))
    return msgspec.json.encode({**listed, "cut": [], "sha256": sha256, **parts, "card": card})


def _page(  # noqa: PLR0917
    connection: Connection,
    query: Select[Any],
    values: dict[str, Any],
    wheres: Sequence[Where],
    sort: Sort,
    part: Slice,
    made: Callable[[tuple[Any, ...]], Any],
) -> bytes:
    sent = {**values, "limit": part.limit + 1}
    if part.cursor is not None:
        sent["value"], sent["last"] = cursors.decode(part.cursor, sort.name, sort.kind)
    sent.update((f"p{number}", value) for number, value in enumerate(chain.from_iterable(w.values for w in wheres)))
    forms = tuple((where.made, len(where.values)) for where in wheres)
    statement = _statement(query, forms, sort.column, sort.identity, sort.down, part.cursor is not None)
    rows = statement.rows(connection, sent)
    shown = rows[: part.limit]
    more = len(rows) > part.limit
    following = cursors.encode(sort.name, _value(sort.kind, shown[-1][-2]), shown[-1][-1]) if more else None
    return msgspec.json.encode({"items": [made(row) for row in shown], "next": following})


@lru_cache(maxsize=512)
def _statement(  # noqa: PLR0917
    query: Select[Any],
    forms: tuple[tuple[filters.Condition, int], ...],
    column: ColumnElement[Any],
    identity: ColumnElement[Any],
    down: bool,
    further: bool,
) -> Statement:
    """The query of all pages that differ in values only."""
    names: Iterator[BindParameter[Any]] = (bindparam(f"p{number}") for number in count())
    wheres = [condition(*islice(names, number)) for condition, number in forms]
    if further:
        wheres.append(behind(column, identity, bindparam("value"), bindparam("last"), down=down))
    query = query.add_columns(column.label("sort_value"), identity.label("sort_id")).where(*wheres)
    return Statement(query.order_by(*ordered(column, identity, down=down)).limit(bindparam("limit", type_=Integer)))


def _model(row: tuple[Any, ...]) -> ModelRow:
    name, description, owner, tags, created, updated, number, latest, named = row[:9]
    pairs = dict(pair.split("=") for pair in sorted(named.split(" "))) if named else {}
    return ModelRow(name, description, owner, _json(tags), moment(created), moment(updated), number, latest, pairs)


def _version(model: str, row: tuple[Any, ...]) -> VersionRow:
    version, created, published, by, task, recipe, params, runtime, rows, measured, tags, named, size = row[:13]
    long = [name for name, text in zip(LISTED_PARTS, (params, measured), strict=True) if text == CUT_JSON]
    return VersionRow(
        model,
        version,
        moment(created),
        moment(published),
        by,
        task,
        recipe,
        _listed(params),
        runtime,
        rows,
        _listed(measured),
        _json(tags),
        sorted(named.split(" ")) if named else [],
        size,
        long,
    )


def _listed(text: str) -> msgspec.Raw:
    return NOTHING if text == CUT_JSON else _json(text)


def _json(text: str) -> msgspec.Raw:
    """What a column holds as it is, but for numbers that a manifest may have and JSON has not."""
    if "NaN" in text or "Infinity" in text:
        text = json.dumps(json.loads(text, parse_constant=lambda _: None))
    return msgspec.Raw(text)


def _value(kind: type, value: Any) -> Any:
    return moment(value) if kind is datetime else value


def _sort(name: str, known: dict[str, tuple[Any, type]], identity: Any) -> Sort:
    if name.removeprefix("-") not in known:
        raise RequestError(f"sort: found {name[:100]!r}, expected {', '.join(known)}, each also with a minus.")
    column, kind = known[name.removeprefix("-")]
    return Sort(name, column, identity, kind)
