"""Sessions of people: who showed a key once is known by a random token for some hours, at every replica.

The database holds the token's hash and the id of the key, so a session ends with its key: revoked, expired, or, for the
admin's key of the environment, replaced.
"""

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select

from mlplat.registry.access import ADMIN, Caller, KeyRing
from mlplat.registry.database import Database
from mlplat.registry.tables import keys, sessions

LASTS = timedelta(hours=12)


def begin(database: Database, ring: KeyRing, key: str, now: datetime) -> str:
    """Let a key in; the token of the session, which is nowhere else.

    Raises:
        RequestError: 401, if it is none, revoked or expired; nothing says which.
        DatabaseError: if the database does not answer.
    """
    caller = ring.look_up(key)
    token = secrets.token_urlsafe(32)
    proof = ring.prove(token) if caller == ADMIN else None
    row = {"sha256": _digest(token), "key_id": caller.key_id, "proof": proof, "expires_at": now + LASTS}
    with database.write() as connection:
        connection.execute(insert(sessions).values(**row))
    return token


def find(database: Database, ring: KeyRing, token: str, now: datetime) -> Caller | None:
    """Who has a session; None if there is none, or if its key is none any more."""
    found = (
        select(sessions.c.key_id, sessions.c.proof, keys)
        .join(keys, keys.c.id == sessions.c.key_id, isouter=True)
        .where(sessions.c.sha256 == _digest(token), sessions.c.expires_at > now)
    )
    with database.read() as connection:
        row = connection.execute(found).one_or_none()
    if row is None:
        return None
    if row.key_id == ADMIN.key_id:
        proof = ring.prove(token)
        return ADMIN if proof and row.proof and hmac.compare_digest(proof, row.proof) else None
    if row.id is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
        return None
    return Caller(row.name, row.role, row.pattern, row.id)


def end(database: Database, token: str) -> None:
    """Let a session be none."""
    with database.write() as connection:
        connection.execute(delete(sessions).where(sessions.c.sha256 == _digest(token)))


def forget_old(database: Database, now: datetime) -> int:
    """Remove the sessions that are over; how many these were."""
    with database.write() as connection:
        return connection.execute(delete(sessions).where(sessions.c.expires_at <= now)).rowcount


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
