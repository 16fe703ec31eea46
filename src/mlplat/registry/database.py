"""The database: one engine, transactions that read or write, and one error for whatever keeps it from answering."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy import exc as sql
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import QueuePool

from mlplat.errors import MlplatError, OverloadedError, RequestError, UsageError
from mlplat.registry.postgresql import ANSWER_SECONDS, CONNECT_SECONDS, LOCK_SECONDS, make_engine

RETRY_AFTER = 2
"""After so many seconds another try is worth it; a database that starts again needs no longer."""

LOOK_SECONDS = 1.0
"""How long a look whether the database is there may wait for its answer; with a new connection, three seconds more."""

FULL_SECONDS = 2.0
"""For so long after someone waited for a connection in vain, others do not wait for one: each of many would wait after the
others before it."""

PATIENT_SECONDS = 600.0
"""How long a migration may wait for an answer."""

PRAGMAS = ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", f"busy_timeout = {LOCK_SECONDS * 1000}")


class DatabaseError(OverloadedError):
    """The database cannot be reached, or does not answer in time."""


class Database:
    """A SQLite file or a PostgreSQL database; nothing is connected before the first transaction.

    Args:
        url: `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`.
        pool_size: connections that are kept and used at most.
        answer_seconds: how long PostgreSQL may take for an answer.

    Raises:
        UsageError: if the URL is another one.
    """

    def __init__(self, url: str, *, pool_size: int = 10, answer_seconds: float = ANSWER_SECONDS) -> None:
        self.failures = 0
        parsed = _parsed(url)
        self.engine = _engine(parsed, pool_size, CONNECT_SECONDS, answer_seconds)
        self._looking = _engine(parsed, 1, 2, LOOK_SECONDS)
        self._is_away = False
        self._full_until = 0.0
        self._look = Lock()

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
        self._admit()
        with self._explained(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self, *, patient: bool = False) -> Iterator[Connection]:
        """A transaction that writes, and is undone if the block raises.

        Args:
            patient: let the database take minutes.

        Raises:
            DatabaseError: if the database does not answer.
        """
        self._admit()
        with self._explained(), self.engine.connect() as connection:
            if self.is_shared:
                connection.execution_options(isolation_level="READ COMMITTED")
            connection.execution_options(writes=True)
            if patient and self.is_shared:
                connection.connection.driver_connection.answer_seconds = PATIENT_SECONDS  # type: ignore[union-attr]
                connection.detach()  # and closed in the end, as the next one is not so patient
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
        self._admit()
        with self._explained(), self.engine.connect() as connection:
            held = connection.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": lock}).scalar_one()
            try:
                yield bool(held)
            finally:
                if held:
                    connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": lock})

    def check(self) -> None:
        """See whether the database is there, within seconds and whatever else is asked of it. Raises DatabaseError."""
        if not self._look.acquire(timeout=LOOK_SECONDS):
            raise _no_answer("another one looks for it")
        try:
            with self._explained(), self._looking.connect() as connection:
                connection.execute(text("SELECT 1"))
        finally:
            self._look.release()
        self._is_away = False

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()
        self._looking.dispose()

    def _admit(self) -> None:
        """While the database is away, let one look for it at a time, and refuse the others, so that no thread waits.

        Raises:
            DatabaseError: if it is still away, or all connections are in use for longer than one waits.
        """
        if time.monotonic() < self._full_until and _is_full(self.engine):
            raise _no_answer("all connections are in use")
        if self._is_away:
            if self._look.locked():
                raise _no_answer("it did not a moment ago")
            self.check()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sql.DataError as error:
            raise RequestError(f"A value is none that the database can hold: {_reason(error)}.") from error
        except (sql.DBAPIError, sql.TimeoutError) as error:
            lost = isinstance(error, sql.DBAPIError) and (error.connection_invalidated or error.statement is None)
            known = sql.OperationalError | sql.InterfaceError | sql.InternalError | sql.TimeoutError
            if not lost and not isinstance(error, known):
                raise
            self._is_away = self._is_away or lost
            if isinstance(error, sql.TimeoutError):
                self._full_until = time.monotonic() + FULL_SECONDS
            self.failures += 1
            raise _no_answer(_reason(error)) from error


def _is_full(engine: Engine) -> bool:
    pool = engine.pool
    return isinstance(pool, QueuePool) and pool.checkedout() >= pool.size()


def _no_answer(reason: str) -> DatabaseError:
    return DatabaseError(f"The database does not answer: {reason}.", retry_after=RETRY_AFTER)


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


def _engine(url: URL, pool_size: int, connect_seconds: int, answer_seconds: float) -> Engine:
    if not url.drivername.startswith("sqlite"):
        return make_engine(url, pool_size, connect_seconds=connect_seconds, answer_seconds=answer_seconds)
    _make_folder(Path(str(url.database)))
    engine = create_engine(
        url,
        connect_args={"check_same_thread": False, "timeout": LOCK_SECONDS},
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=connect_seconds,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
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


def _reason(error: Exception) -> str:
    """The first line of what the driver says, without a full stop."""
    cause = error.orig if isinstance(error, sql.DBAPIError) else error
    lines = str(cause).strip().splitlines()
    return lines[0].rstrip(".")[:200] if lines else type(cause).__name__
