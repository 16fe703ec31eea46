"""PostgreSQL as the registry connects to it: nothing is waited for without an end, and no lost connection is used."""

import select
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.errors import ReadOnlySqlTransaction
from sqlalchemy import Engine, ExceptionContext, create_engine, event
from sqlalchemy import exc as sql
from sqlalchemy.engine import URL

CONNECT_SECONDS = 3
STATEMENT_SECONDS = 6
LOCK_SECONDS = 5
ANSWER_SECONDS = 8.0
"""A server that hangs says nothing, not even that it took too long; this is longer than what it needs to say so."""

SESSION = f"""
    SET statement_timeout = '{STATEMENT_SECONDS}s';
    SET lock_timeout = '{LOCK_SECONDS}s';
    SET idle_in_transaction_session_timeout = '60s';
    SET timezone = 'UTC'
"""
RECYCLE_SECONDS = 1800


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed when an answer takes longer than `answer_seconds`.

    The server's own timeouts are of no use if it hangs, and those of TCP neither, as its machine may go on to acknowledge.
    """

    answer_seconds = ANSWER_SECONDS

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """The driver's own way to wait, for all that it asks the server. Raises OperationalError."""
        seconds = self.answer_seconds if timeout is None else timeout
        try:
            return super().wait(gen, interval, seconds)
        except psycopg.errors._WaitTimeout as error:  # noqa: SLF001 - the driver has no other name for it
            self.pgconn.finish()
            raise psycopg.OperationalError(f"it said nothing for {seconds:g} s") from error


def make_engine(url: URL, pool_size: int, *, connect_seconds: int, answer_seconds: float) -> Engine:
    """An engine that has not connected yet. It begins no transactions by itself: to read, one would cost two more round trips.

    Args:
        url: of the database; what it says about the network goes before what is said here.
        pool_size: connections that are kept and used at most.
        connect_seconds: for a new connection, and for one to become free.
        answer_seconds: for each answer.
    """
    network = {
        "connect_timeout": connect_seconds,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": int(answer_seconds * 1000),
        "application_name": "mlplat-registry",
    }
    engine = create_engine(
        url,
        connect_args={name: value for name, value in network.items() if name not in url.query},
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=connect_seconds,
        pool_recycle=RECYCLE_SECONDS,
        pool_use_lifo=True,
        pool_reset_on_return=None,  # whoever began a transaction ends it
        isolation_level="AUTOCOMMIT",
    )

    def connect(_: Any, __: Any, arguments: list[Any], options: dict[str, Any]) -> BoundedConnection:
        connection = BoundedConnection.connect(*arguments, **options)
        connection.answer_seconds = answer_seconds
        return connection

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "checkout", _refuse_lost)
    event.listen(engine, "handle_error", _leave_replica)
    return engine


def _prepare(connection: BoundedConnection, _: object) -> None:
    connection.execute(SESSION)


def _refuse_lost(connection: BoundedConnection, *_: object) -> None:
    """Have a connection replaced that was closed while it was idle, which costs no round trip to see: there is something to read."""
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    if waiting.poll(0):
        raise sql.DisconnectionError


def _leave_replica(context: ExceptionContext) -> None:
    """Connect anew where writes are refused: after a failover the old connections lead to what is a replica now."""
    if isinstance(context.original_exception, ReadOnlySqlTransaction):
        context.is_disconnect = True
