"""The types of columns that SQLite and PostgreSQL must keep alike."""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, String, Text
from sqlalchemy.types import TypeDecorator

Id = BigInteger().with_variant(Integer, "sqlite")
"""A number that the database gives; SQLite gives them only to what it calls INTEGER."""

LARGEST = 2**63 - 1
"""The largest whole number that a column holds."""


def word(length: int) -> String:
    """A short text that is compared and sorted byte by byte, whatever the language of the database is."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


class Moment(TypeDecorator[datetime]):
    """A time, in UTC with its time zone on both sides; SQLite has none in its columns."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database."""
        if value is None:
            return None
        moment = utc(value)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """From the database."""
        return None if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Json(TypeDecorator[Any]):
    """A value as JSON text, in ASCII and with numbers of any size.

    PostgreSQL's own types would refuse what a manifest may hold, such as the NUL character.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """To the database."""
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002
        """From the database."""
        return None if value is None else json.loads(value)


def moment(value: datetime | str) -> datetime:
    """A time as the driver gives it, where no column's type is asked: SQLite's has but text."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(value).replace(tzinfo=UTC)


def utc(moment: datetime) -> datetime:
    """A time with a zone in UTC; at the ends of the calendar, which an offset may lead out of, as it is."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return moment.replace(tzinfo=UTC)


def plain(text: str) -> str:
    """A text that every database takes: without NUL."""
    return text.replace("\0", "\ufffd")
