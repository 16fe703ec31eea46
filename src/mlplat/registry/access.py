"""API keys: who may do what, with which models. A key is stored as its hash, and shown once."""

import hashlib
import hmac
import secrets
import string
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from mlplat.errors import NotFoundError, RequestError
from mlplat.registry.bodies import Key, MadeKey, NewKey, Role
from mlplat.registry.database import Database, DatabaseError
from mlplat.registry.tables import keys
from mlplat.store.aliases import Clock, utc_now
from mlplat.web.apikeys import unauthorized

PREFIX = "mlp"
ALPHABET = string.ascii_letters + string.digits
ID_LENGTH = 8
SECRET_LENGTH = 43
"""256 bits, so that a hash without salt and many rounds is enough."""

KNOWN_SECONDS = 4.0
"""For so long a key that was found right is not looked up again; a revoked one stops within this time."""

ADMIN_ID = "admin"
"""The id of the key that no database holds; no other is so short."""

MOST_KNOWN = 10_000
USED_EVERY = timedelta(minutes=1)
RANKS: dict[Role, int] = {"reader": 0, "writer": 1, "admin": 2}


@dataclass(frozen=True)
class Caller:
    """Who asks: the name and the role of a key, and the models that it is for."""

    name: str
    role: Role
    pattern: str | None = None
    key_id: str = ""

    @property
    def identity(self) -> str:
        """What tells this caller from others, also of the same name."""
        return self.key_id or self.name

    def may(self, role: Role) -> bool:
        """Whether a role, or a higher one, was given."""
        return RANKS[self.role] >= RANKS[role]

    def sees(self, model: str) -> bool:
        """Whether a model is one of those that the key is for."""
        return self.pattern is None or fnmatchcase(model, self.pattern)

    def require(self, role: Role) -> None:
        """Refuse a caller whose role does not suffice.

        Raises:
            RequestError: 403.
        """
        if not self.may(role):
            raise forbidden(f"This needs a key with the role {role}; {self.name!r} is a {self.role}.")

    def require_sight(self, model: str) -> None:
        """Hide a model that the key is not for. Raises NotFoundError, as if there were none."""
        if not self.sees(model):
            raise NotFoundError(f"There is no model {model!r}.")

    def require_model(self, model: str, role: Role = "writer") -> None:
        """Refuse a caller that may not change a model.

        Raises:
            RequestError: 403.
        """
        self.require(role)
        if not self.sees(model):
            raise forbidden(f"The key {self.name!r} is for models named {self.pattern}, not for {model!r}.")

    def require_all(self) -> None:
        """Refuse whoever is no admin of all models; else an admin of some could make a key for all. Raises as `require`."""
        self.require("admin")
        if self.pattern is not None:
            raise forbidden(f"The key {self.name!r} is only for models named {self.pattern}.")


ADMIN = Caller("admin", "admin", key_id=ADMIN_ID)
"""Who has the admin's key of the environment."""


class KeyRing:
    """Tells callers by their keys.

    Args:
        database: with the keys.
        admin_key: one more key, of an admin, that no database holds.
        open_to_all: let everyone be an admin.
        clock: what time it is.
    """

    def __init__(
        self, database: Database, *, admin_key: str | None = None, open_to_all: bool = False, clock: Clock = utc_now
    ) -> None:
        self._database = database
        self._admin = None if not admin_key else _digest(admin_key)
        self._open = open_to_all
        self._clock = clock
        self._lock = Lock()
        self._known: dict[str, tuple[float, Caller]] = {}

    def known(self, key: str | None) -> Caller | None:
        """The caller with a key that was found right a moment ago, or that needs no look; else None."""
        if key is None:
            return Caller("anonymous", "admin") if self._open else None
        digest = _digest(key)
        if self._admin is not None and hmac.compare_digest(digest, self._admin):
            return ADMIN
        until, caller = self._known.get(digest, (0.0, None))
        return caller if time.monotonic() < until else None

    def look_up(self, key: str | None) -> Caller:
        """The caller with a key.

        Raises:
            RequestError: 401, if it is none, revoked or expired.
            DatabaseError: if the database does not answer.
        """
        caller = self.known(key)
        if caller is not None:
            return caller
        row = self._row(key or "")
        now = self._clock()
        if (
            row is None
            or not hmac.compare_digest(row.sha256, _digest(key or ""))
            or row.revoked_at is not None
            or (row.expires_at is not None and row.expires_at <= now)
        ):
            raise unauthorized()
        if row.last_used_at is None or now - row.last_used_at >= USED_EVERY:
            with suppress(DatabaseError), self._database.write() as connection:  # it is only for people
                connection.execute(update(keys).where(keys.c.id == row.id).values(last_used_at=now))
        caller = Caller(row.name, row.role, row.pattern, row.id)
        self._remember(_digest(key or ""), caller, row.expires_at, now)
        return caller

    def prove(self, token: str) -> str | None:
        """What only who has the admin's key of now can make of a token, and does not tell it; None without such a key."""
        if self._admin is None:
            return None
        return hmac.new(self._admin.encode(), token.encode("utf-8", "surrogateescape"), "sha256").hexdigest()

    def forget(self) -> None:
        """Look up every key anew, as one was revoked."""
        with self._lock:
            self._known.clear()

    def is_closed(self) -> bool:
        """Whether no key at all would be let in, so that someone must make the first one."""
        if self._open or self._admin is not None:
            return False
        with self._database.read() as connection:
            return connection.scalar(select(keys.c.id).where(keys.c.revoked_at.is_(None)).limit(1)) is None

    def _row(self, key: str) -> Row[Any] | None:
        parts = key.split("_")
        if len(parts) != 3 or parts[0] != PREFIX or len(parts[1]) != ID_LENGTH or not key.isascii() or "\0" in key:
            return None
        with self._database.read() as connection:
            return connection.execute(select(keys).where(keys.c.id == parts[1])).one_or_none()

    def _remember(self, digest: str, caller: Caller, expires_at: datetime | None, now: datetime) -> None:
        seconds = KNOWN_SECONDS
        if expires_at is not None:
            seconds = min(seconds, (expires_at - now).total_seconds())
        with self._lock:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[digest] = time.monotonic() + seconds, caller


def make_key(connection: Connection, asked: NewKey, *, now: datetime) -> MadeKey:
    """Make a key; the answer is the only place that holds it."""
    key_id = "".join(secrets.choice(ALPHABET) for _ in range(ID_LENGTH))
    key = f"{PREFIX}_{key_id}_{''.join(secrets.choice(ALPHABET) for _ in range(SECRET_LENGTH))}"
    row = {**asked.model_dump(), "id": key_id, "created_at": now}
    connection.execute(insert(keys).values(sha256=_digest(key), **row))
    return MadeKey(**row, key=key, revoked_at=None, last_used_at=None)


def list_keys(connection: Connection) -> list[Key]:
    """All keys, the oldest first."""
    rows = connection.execute(select(keys).order_by(keys.c.created_at, keys.c.id))
    return [_key(row) for row in rows]


def revoke_key(connection: Connection, key_id: str, *, now: datetime) -> Key:
    """Let a key open nothing from now on; one that was revoked stays so.

    Raises:
        NotFoundError: if there is none of that id.
    """
    row = connection.execute(select(keys).where(keys.c.id == key_id).with_for_update()).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no key {key_id!r}.", hint="See `mlplat registry keys list`.")
    if row.revoked_at is None:
        connection.execute(update(keys).where(keys.c.id == key_id).values(revoked_at=now))
    return _key(row).model_copy(update={"revoked_at": row.revoked_at or now})


def forbidden(text: str) -> RequestError:
    """The error of a request with a key that does not suffice."""
    return RequestError(text, status=403, code="forbidden")


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _key(row: Row[Any]) -> Key:
    return Key.model_validate(row, from_attributes=True)
