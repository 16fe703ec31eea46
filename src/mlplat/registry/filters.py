"""What lists are narrowed by: `tag=k:v`, `metric=accuracy>=0.9`, and the models that a key is for."""

import math
import operator
import re
from collections.abc import Callable
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, bindparam, exists, select

from mlplat.errors import RequestError
from mlplat.registry.statements import Where
from mlplat.registry.tables import metrics, models, terms, versions

OPERATORS: dict[str, Any] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
METRIC_FORM = re.compile(r"([^<>=!\0]{1,200}?)\s*(>=|<=|!=|==|=|>|<)\s*(\S{1,40})")

MODEL_ID = select(models.c.id).where(models.c.name == bindparam("model")).scalar_subquery()
"""Of the model whose versions are listed; it is found first, so that they come in the order of an index."""

Condition = Callable[..., ColumnElement[bool]]


@cache
def equal(column: ColumnElement[Any]) -> Condition:
    """That a column is a value."""
    return lambda value: column == value


def tagged(table: Table, owner: ColumnElement[Any], tag: str) -> Where:
    """Rows that have a tag.

    Args:
        table: of the tags.
        owner: the id that its first column must be.
        tag: as `key:value`, or `key` alone for any value.

    Raises:
        RequestError: if it is none.
    """
    key, colon, value = tag.partition(":")
    if not key or "\0" in tag:
        raise RequestError(f"tag: found {tag[:100]!r}, expected KEY:VALUE.")
    return Where(_tagged(table, owner), (key, value)) if colon else Where(_keyed(table, owner), (key,))


def measured(condition: str, sorted_by: str | None = None) -> Where:
    """Versions of the model with a metric that meets a condition such as `accuracy>=0.9`.

    Args:
        condition: on a metric.
        sorted_by: the metric that the list is sorted by; a condition on that one is a range of the list's own index.

    Raises:
        RequestError: if it is none.
    """
    found = METRIC_FORM.fullmatch(condition)
    value = _number(found[3]) if found else math.nan
    if found is None or not math.isfinite(value):
        raise RequestError(f"metric: found {condition[:100]!r}, expected a condition such as accuracy>=0.9.")
    name, compared = found[1].strip(), found[2].replace("==", "=")
    return Where(_sorted(compared), (value,)) if name == sorted_by else Where(_measured(compared), (name, value))


def for_key(connection: Connection, pattern: str | None) -> list[Where]:
    """Models whose name is as the pattern of a key says; `*` and `?` stand for others, as in `fnmatch`."""
    if pattern is None:
        return []
    if connection.dialect.name == "sqlite":
        return [Where(_globbed, (pattern,))]
    escaped = pattern.replace("\\", "\\\\").replace("_", r"\_").replace("%", r"\%")
    return [Where(_alike, (escaped.replace("*", "%").replace("?", "_"),))]


def has_word(first: Any, end: Any) -> ColumnElement[bool]:
    """Models that are found by a word within a range."""
    return models.c.id.in_(select(terms.c.model_id).where(terms.c.term >= first, terms.c.term < end))


# A condition is made once for each of its forms, as it is known by its identity.


@cache
def _keyed(table: Table, owner: ColumnElement[Any]) -> Condition:
    its = select(1).select_from(table).where(next(iter(table.c)) == owner)
    return lambda key: exists(its.where(table.c.key == key))


@cache
def _tagged(table: Table, owner: ColumnElement[Any]) -> Condition:
    its = select(1).select_from(table).where(next(iter(table.c)) == owner)
    return lambda key, value: exists(its.where(table.c.key == key, table.c.value == value))


@cache
def _sorted(compared: str) -> Condition:
    compare = OPERATORS[compared]
    return lambda value: compare(metrics.c.value, value)


@cache
def _measured(compared: str) -> Condition:
    compare = OPERATORS[compared]

    def measured_(name: Any, value: Any) -> ColumnElement[bool]:
        own = metrics.alias()  # as the list may be sorted by another one
        its = own.c.model_id == MODEL_ID, own.c.version_id == versions.c.id, own.c.name == name
        return exists(select(1).select_from(own).where(*its, compare(own.c.value, value)))

    return measured_


def _globbed(pattern: Any) -> ColumnElement[bool]:
    return models.c.name.op("GLOB", is_comparison=True)(pattern)


def _alike(pattern: Any) -> ColumnElement[bool]:
    return models.c.name.like(pattern, escape="\\")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
