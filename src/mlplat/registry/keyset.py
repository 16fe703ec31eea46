"""Lists by pages: each starts behind the last row of the one before."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, or_

from mlplat.registry import cursors
from mlplat.registry.bodies import Page

T = TypeVar("T")


@dataclass(frozen=True)
class Sort:
    """The order of a list: a column, then the id, both up or both down.

    Attributes:
        name: as the client says it, e.g. `-created_at`.
        column: that is sorted by.
        identity: the id, unique in the list.
        kind: the type of the column's values.
    """

    name: str
    column: ColumnElement[Any]
    identity: ColumnElement[Any]
    kind: type

    @property
    def down(self) -> bool:
        """Whether the largest goes first."""
        return self.name.startswith("-")


@dataclass(frozen=True)
class Slice:
    """The part of a list that is asked for: how many rows, behind which."""

    limit: int = 50
    cursor: str | None = None


def page(
    connection: Connection, query: Select[Any], sort: Sort, part: Slice, made: Callable[[list[Row[Any]]], list[T]]
) -> Page[T]:
    """Ask for one page.

    Args:
        connection: to the database.
        query: the list, without order.
        sort: its order.
        part: which page.
        made: the items of all rows of the page.

    Raises:
        RequestError: if the cursor is none of this list.
    """
    query = query.add_columns(sort.column.label("sort_value"), sort.identity.label("sort_id"))
    if part.cursor is not None:
        last = cursors.decode(part.cursor, sort.name, sort.kind)
        query = query.where(behind(sort.column, sort.identity, *last, down=sort.down))
    order = ordered(sort.column, sort.identity, down=sort.down)
    rows = list(connection.execute(query.order_by(*order).limit(part.limit + 1)))
    shown = rows[: part.limit]
    more = len(rows) > part.limit
    following = cursors.encode(sort.name, shown[-1].sort_value, shown[-1].sort_id) if more else None
    return Page(items=made(shown), next=following)


def ordered(column: ColumnElement[Any], identity: ColumnElement[Any], *, down: bool) -> tuple[ColumnElement[Any], ...]:
    """What a list is ordered by."""
    return (column.desc(), identity.desc()) if down else (column.asc(), identity.asc())


def behind(
    column: ColumnElement[Any], identity: ColumnElement[Any], value: Any, last: Any, *, down: bool
) -> ColumnElement[bool]:
    """The rows behind one; as a range of the index, and then the rows with equal values."""
    if down:
        return and_(column <= value, or_(column < value, identity < last))
    return and_(column >= value, or_(column > value, identity > last))
