"""Queries that are compiled once and asked of the driver itself: what SQLAlchemy does around one takes longer than its answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select
from sqlalchemy import exc as sql


class Statement:
    """A query with named values, of any of which there may be many; rows hold what the driver makes of the columns."""

    def __init__(self, query: Select[Any]) -> None:
        self._query = query
        self._compiled: dict[str, _Compiled] = {}

    def rows(self, connection: Connection, values: dict[str, Any]) -> Sequence[tuple[Any, ...]]:
        """All rows of the answer.

        Raises:
            sqlalchemy.exc.DBAPIError: as SQLAlchemy does; a connection that is lost by it is not used again, nor are those
                that were made before.
        """
        compiled = self._compiled.get(connection.dialect.name)
        if compiled is None:
            compiled = self._compiled[connection.dialect.name] = _compile(self._query, connection)
        sent = compiled.sent(values)
        cursor = connection.connection.cursor()
        dialect = connection.dialect
        driver_error = dialect.loaded_dbapi.Error
        try:
            cursor.execute(compiled.text, sent)
            return cursor.fetchall()
        except driver_error as error:
            lost = dialect.is_disconnect(error, connection.connection.dbapi_connection, cursor)
            if lost:
                # as SQLAlchemy does: those that are as old lead to the same server, and each would be waited for
                connection.engine.pool._invalidate(connection.connection, error)  # noqa: SLF001
                connection.invalidate(error)
            raise sql.DBAPIError.instance(
                compiled.text, sent, error, driver_error, connection_invalidated=lost, dialect=dialect
            ) from error


@dataclass(frozen=True)
class Where:
    """A condition of a list, apart from its values: lists that differ in these only are one statement.

    Attributes:
        made: the condition of its parameters; the same function for the same condition.
        values: one for each parameter.
    """

    made: Callable[..., ColumnElement[bool]]
    values: tuple[Any, ...] = ()


@dataclass(frozen=True)
class _Compiled:
    text: str
    fixed: dict[str, Any]
    to_driver: dict[str, Callable[[Any], Any]]
    order: tuple[str, ...] | None

    def sent(self, values: dict[str, Any]) -> Any:
        """The values as the driver takes them: by name, or in the order of the text."""
        if self.to_driver:
            values = {name: self.to_driver[name](it) if name in self.to_driver else it for name, it in values.items()}
        if self.fixed:
            values = {**self.fixed, **values}
        return values if self.order is None else tuple(values[name] for name in self.order)


def _compile(query: Select[Any], connection: Connection) -> _Compiled:
    dialect = connection.dialect
    compiled = query.compile(dialect=dialect)
    processors = {
        name: bind.type.dialect_impl(dialect).bind_processor(dialect) for name, bind in compiled.binds.items()
    }
    order = compiled.positiontup
    return _Compiled(
        str(compiled),
        {name: bind.value for name, bind in compiled.binds.items() if not bind.required},
        {name: each for name, each in processors.items() if each is not None},
        None if order is None else tuple(order),
    )
