"""The database: one engine, transactions that read or write, and one error for whatever keeps it from answering."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy import exc as sql
from sqlalchemy.engine import URL, make_url

from mlplat.errors import MlplatError, OverloadedError, RequestError, UsageError

CONNECT_SECONDS = 3
STATEMENT_SECONDS = 10
LOCK_SECONDS = 5
RETRY_AFTER = 2
"""After so many seconds another try is worth it; a database that starts again needs no longer."""

SESSION = (
    f"SET statement_timeout = '{STATEMENT_SECONDS}s'",
    f"SET lock_timeout = '{LOCK_SECONDS}s'",
    "SET idle_in_transaction_session_timeout = '60s'",
    "SET timezone = 'UTC'",
)
PRAGMAS = ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", f"busy_timeout = {LOCK_SECONDS * 1000}")


class DatabaseError(OverloadedError):
    """The database cannot be reached, or does not answer in time."""


class Database:
    """A SQLite file or a PostgreSQL database; nothing is connected before the first transaction.

    Args:
        url: `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`.
        pool_size: connections that are kept and used at most.

    Raises:
        UsageError: if the URL is another one.
    """

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.failures = 0
        self.engine = _engine(_parsed(url), pool_size)
        # PostgreSQL needs no transaction to read, which would cost two more round trips.
        self._reading = self.engine.execution_options(isolation_level="AUTOCOMMIT") if self.is_shared else self.engine

    @property
    def is_shared(self) -> bool:
        """Whether several registries may use it at once."""
        return self.engine.dialect.name == "postgresql"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection to read by; on PostgreSQL each statement sees what is there when it starts.

        Raises:
            DatabaseError: if the database does not answer.
        """
        with self._explained(), self._reading.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes, and is undone if the block raises. Raises DatabaseError as `read` does."""
        with self._explained(), self.engine.connect() as connection:
            connection.execution_options(writes=True)
            with connection.begin():
                yield connection

    @contextmanager
    def alone(self, lock: int) -> Iterator[bool]:
        """Whether no other registry is within such a block; a database in a file has only this one.

        Args:
            lock: the number of the lock, which the database frees when the connection ends.

        Raises:
            DatabaseError: if the database does not answer.
        """
        if not self.is_shared:
            yield True
            return
        with self._explained(), self.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            held = connection.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": lock}).scalar_one()
            try:
                yield bool(held)
            finally:
                if held:
                    connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": lock})

    def check(self) -> None:
        """Ask the database for nothing. Raises DatabaseError."""
        with self.read() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sql.OperationalError, sql.InterfaceError, sql.InternalError, sql.TimeoutError) as error:
            self.failures += 1
            raise DatabaseError(f"The database does not answer: {_reason(error)}.", retry_after=RETRY_AFTER) from error
        except sql.DataError as error:
            raise RequestError(f"A value is none that the database can hold: {_reason(error)}.") from error
        except sql.DBAPIError as error:
            if not error.connection_invalidated:
                raise
            self.failures += 1
            raise DatabaseError(f"The database does not answer: {_reason(error)}.", retry_after=RETRY_AFTER) from error


def _parsed(url: str) -> URL:
    hint = "Use sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME."
    try:
        parsed = make_url(url)
    except (sql.ArgumentError, ValueError) as error:
        raise UsageError("The database is no URL.", hint=hint) from error
    if parsed.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername in {"sqlite", "sqlite+pysqlite"} and parsed.database and parsed.database != ":memory:":
        return parsed
    raise UsageError(f"{parsed.render_as_string()!r} is no database that the registry can use.", hint=hint)


def _engine(url: URL, pool_size: int) -> Engine:
    common: dict[str, Any] = {"pool_size": pool_size, "max_overflow": 0, "pool_timeout": CONNECT_SECONDS}
    if url.drivername.startswith("sqlite"):
        _make_folder(Path(str(url.database)))
        engine = create_engine(url, connect_args={"check_same_thread": False, "timeout": LOCK_SECONDS}, **common)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    network = {
        "connect_timeout": CONNECT_SECONDS,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": STATEMENT_SECONDS * 1000,
        "application_name": "mlplat-registry",
    }
    wanted = {name: value for name, value in network.items() if name not in url.query}
    engine = create_engine(url, connect_args=wanted, pool_pre_ping=True, pool_recycle=1800, **common)
    event.listen(engine, "connect", _prepare_postgresql)
    return engine


def _make_folder(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MlplatError(f"Cannot make the folder of the database {file}: {error.strerror}.") from error


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # `_begin_sqlite` begins, as the driver's own way locks too late
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """SQLite has one writer: who writes waits for its turn at the start, as in the middle it would be refused."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare_postgresql(connection: Any, _: object) -> None:
    connection.autocommit = True
    for statement in SESSION:
        connection.execute(statement)
    connection.autocommit = False


def _reason(error: Exception) -> str:
    """The first line of what the driver says, without a full stop."""
    cause = error.orig if isinstance(error, sql.DBAPIError) else error
    lines = str(cause).strip().splitlines()
    return lines[0].rstrip(".")[:200] if lines else type(cause).__name__
