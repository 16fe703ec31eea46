"""What lists are narrowed by: `tag=k:v`, `metric=accuracy>=0.9`, and the models that a key is for."""

import math
import operator
import re
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, exists, select, true

from mlplat.errors import RequestError
from mlplat.registry.tables import metrics, models, versions

OPERATORS: dict[str, Any] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
METRIC_FORM = re.compile(r"([^<>=!\0]{1,200}?)\s*(>=|<=|!=|==|=|>|<)\s*(\S{1,40})")


def tagged(table: Table, owner: ColumnElement[Any], tag: str) -> ColumnElement[bool]:
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
    found = select(1).select_from(table).where(next(iter(table.c)) == owner, table.c.key == key)
    return exists(found.where(table.c.value == value) if colon else found)


def measured(condition: str) -> ColumnElement[bool]:
    """Versions with a metric that meets a condition such as `accuracy>=0.9`.

    Raises:
        RequestError: if it is none.
    """
    found = METRIC_FORM.fullmatch(condition)
    value = _number(found[3]) if found else math.nan
    if found is None or not math.isfinite(value):
        raise RequestError(f"metric: found {condition[:100]!r}, expected a condition such as accuracy>=0.9.")
    compare = OPERATORS[found[2].replace("==", "=")]
    own = metrics.alias()  # as the list may be sorted by another one
    its = own.c.version_id == versions.c.id, own.c.name == found[1].strip()
    return exists(select(1).select_from(own).where(*its, compare(own.c.value, value)))


def for_key(connection: Connection, pattern: str | None) -> ColumnElement[bool]:
    """Models whose name is as the pattern of a key says; `*` and `?` stand for others, as in `fnmatch`."""
    if pattern is None:
        return true()
    if connection.dialect.name == "sqlite":
        return models.c.name.op("GLOB", is_comparison=True)(pattern)
    escaped = pattern.replace("\\", "\\\\").replace("_", r"\_").replace("%", r"\%")
    return models.c.name.like(escaped.replace("*", "%").replace("?", "_"), escape="\\")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
