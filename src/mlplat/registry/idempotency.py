"""`Idempotency-Key`: a create that is sent twice is done once, and answered twice alike."""

import hashlib
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy import exc as sql

from mlplat.errors import ConflictError, RequestError
from mlplat.registry.database import Database, DatabaseError
from mlplat.registry.tables import idempotency
from mlplat.store.aliases import utc_now

KEPT = timedelta(days=1)
GIVEN_UP = timedelta(minutes=1)
"""A request that was begun so long ago and has no answer may have been killed: another takes its place. Should it still
be at work, no harm is done, as a model or a version is made only once."""

FORM = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True)
class Answer:
    """What was answered: the status and the JSON body."""

    status: int
    body: str
    repeated: bool = False


Keep = Callable[[Connection, Answer], None]
"""Takes the answer, in the transaction of what is answered: neither is ever there without the other."""


def once(database: Database, who: str, key: str | None, request: bytes, act: Callable[[Keep], None]) -> Answer:
    """Do something once for each key of a caller.

    Args:
        database: that remembers.
        who: the caller; its keys are its own.
        key: the header's value; None if there is none, and then nothing is remembered.
        request: what is asked for: the same with the same key.
        act: does it, and gives the answer away. If it raises before that is committed, nothing is remembered.

    Raises:
        RequestError: 422 if the key was used for something else, or is none; 409 while the first request is at work.
    """
    answers: list[Answer] = []
    if key is None:
        act(lambda _, answer: answers.append(answer))
        return answers[0]
    if FORM.fullmatch(key) is None:
        raise RequestError("Idempotency-Key: expected 1 to 255 characters of ASCII without blanks.")
    found = _begin(database, who, key, hashlib.sha256(request).hexdigest())
    if found is not None:
        return found

    def keep(connection: Connection, answer: Answer) -> None:
        done = {"status": answer.status, "answer": answer.body}
        connection.execute(update(idempotency).where(*_its(who, key)).values(**done))
        answers.append(answer)

    try:
        act(keep)
    except ConflictError:
        done = _answered(database, who, key)  # by the request whose place this one took, and which went on
        if done is None:
            _forget(database, who, key)
            raise
        return done
    except BaseException:
        _forget(database, who, key)
        raise
    return answers[0]


def _answered(database: Database, who: str, key: str) -> Answer | None:
    with database.read() as connection:
        row = connection.execute(select(idempotency).where(*_its(who, key))).one_or_none()
    return None if row is None or row.status is None else Answer(row.status, row.answer or "", repeated=True)


def _forget(database: Database, who: str, key: str) -> None:
    """Forget a request that has no answer."""
    with suppress(DatabaseError), database.write() as connection:
        connection.execute(delete(idempotency).where(*_its(who, key), idempotency.c.status.is_(None)))


def forget_old(database: Database, now: datetime) -> int:
    """Remove what is older than a day; how many keys these were."""
    with database.write() as connection:
        return connection.execute(delete(idempotency).where(idempotency.c.at < now - KEPT)).rowcount


def _begin(database: Database, who: str, key: str, request: str) -> Answer | None:
    """Note that a request is at work, or say how it was answered before."""
    now = utc_now()
    with database.write() as connection:
        given_up = idempotency.c.status.is_(None), idempotency.c.at < now - GIVEN_UP
        connection.execute(delete(idempotency).where(*_its(who, key), *given_up))
    try:
        with database.write() as connection:
            connection.execute(insert(idempotency).values(who=who, key=key, request=request, at=now))
    except sql.IntegrityError:
        with database.read() as connection:
            row = connection.execute(select(idempotency).where(*_its(who, key))).one_or_none()
    else:
        return None
    if row is not None and row.request != request:
        raise RequestError("This Idempotency-Key was used for another request.", code="idempotency_mismatch")
    if row is None or row.status is None:
        raise RequestError(
            "A request with this Idempotency-Key is at work.", status=409, code="in_progress", hint="Try again later."
        )
    return Answer(row.status, row.answer or "", repeated=True)


def _its(who: str, key: str) -> tuple[Any, ...]:
    return idempotency.c.who == who, idempotency.c.key == key
