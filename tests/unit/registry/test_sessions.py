"""Sessions: known at every replica by a random token, and no longer than their key is one."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from mlplat.errors import RequestError
from mlplat.registry import access, sessions, tables
from mlplat.registry.access import ADMIN, Caller, KeyRing
from mlplat.registry.bodies import MadeKey, NewKey
from mlplat.registry.database import Database
from mlplat.registry.service import Service

from .conftest import ADMIN as ADMIN_KEY
from .conftest import serving

NOW = datetime.now(UTC)
SECRET = "the key of an admin, of the environment"


def make(database: Database, **rest: object) -> MadeKey:
    with database.write() as connection:
        return access.make_key(connection, NewKey.model_validate({"name": "ann", **rest}), now=NOW)


def test_a_token_tells_who_showed_the_key_at_every_replica(database: Database, url: str) -> None:
    made = make(database, role="writer", pattern="team-*")
    token = sessions.begin(database, KeyRing(database), made.key, NOW)
    other = Database(url)
    assert sessions.find(other, KeyRing(other), token, NOW) == Caller("ann", "writer", "team-*", made.id)
    other.close()


def test_no_table_holds_the_token_or_the_key(database: Database) -> None:
    ring = KeyRing(database, admin_key=SECRET)
    tokens = [sessions.begin(database, ring, key, NOW) for key in (make(database).key, SECRET)]
    with database.read() as connection:
        rows = connection.execute(select(tables.sessions)).all()
    assert len(rows) == 2
    assert not [token for token in (*tokens, SECRET) if token in str(rows)]


def test_each_session_has_a_token_of_its_own(database: Database) -> None:
    key, ring = make(database).key, KeyRing(database)
    assert len({sessions.begin(database, ring, key, NOW) for _ in range(3)}) == 3


@pytest.mark.parametrize("wrong", ["", "x", "mlp_aaaaaaaa_" + "b" * 43, "mlp_\udc80\0aaaaaa_x"])
def test_a_key_that_is_none_begins_nothing(database: Database, wrong: str) -> None:
    with pytest.raises(RequestError) as caught:
        sessions.begin(database, KeyRing(database, admin_key=SECRET), wrong, NOW)
    assert caught.value.status == 401


def test_a_token_that_is_none_tells_nobody(database: Database) -> None:
    token = sessions.begin(database, KeyRing(database), make(database).key, NOW)
    for wrong in ("", token[:-1], token + "x", "\udc80", token.swapcase()):
        assert sessions.find(database, KeyRing(database), wrong, NOW) is None


def test_a_session_ends_after_its_time(database: Database) -> None:
    ring = KeyRing(database)
    token = sessions.begin(database, ring, make(database).key, NOW)
    assert sessions.find(database, ring, token, NOW + sessions.LASTS - timedelta(seconds=1))
    assert sessions.find(database, ring, token, NOW + sessions.LASTS) is None


def test_a_session_ends_with_its_key(database: Database) -> None:
    ring = KeyRing(database)
    revoked, expiring = make(database), make(database, expires_at=NOW + timedelta(hours=1))
    first, second = (sessions.begin(database, ring, made.key, NOW) for made in (revoked, expiring))
    with database.write() as connection:
        access.revoke_key(connection, revoked.id, now=NOW)
    assert sessions.find(database, ring, first, NOW) is None
    assert sessions.find(database, ring, second, NOW)
    assert sessions.find(database, ring, second, NOW + timedelta(hours=1)) is None


def test_a_session_of_the_admins_key_ends_when_that_is_another_one(database: Database) -> None:
    token = sessions.begin(database, KeyRing(database, admin_key=SECRET), SECRET, NOW)
    assert sessions.find(database, KeyRing(database, admin_key=SECRET), token, NOW) == ADMIN
    assert sessions.find(database, KeyRing(database, admin_key=SECRET + "2"), token, NOW) is None
    assert sessions.find(database, KeyRing(database), token, NOW) is None


def test_a_session_is_ended(database: Database) -> None:
    ring, key = KeyRing(database), make(database).key
    token, other = (sessions.begin(database, ring, key, NOW) for _ in range(2))
    sessions.end(database, token)
    sessions.end(database, token)
    assert sessions.find(database, ring, token, NOW) is None
    assert sessions.find(database, ring, other, NOW)


def test_sessions_that_are_over_are_removed(database: Database) -> None:
    ring, key = KeyRing(database), make(database).key
    sessions.begin(database, ring, key, NOW - sessions.LASTS)
    kept = sessions.begin(database, ring, key, NOW)
    assert sessions.forget_old(database, NOW) == 1
    assert sessions.find(database, ring, kept, NOW)


def test_a_registry_removes_what_is_over_by_itself(service: Service) -> None:
    sessions.begin(service.database, service.keys, ADMIN_KEY, NOW - sessions.LASTS)

    def left() -> int:
        with service.database.read() as connection:
            return len(connection.execute(select(tables.sessions)).all())

    assert left() == 1
    with serving(service, sync_seconds=0.05):
        deadline = time.monotonic() + 30
        while left():
            assert time.monotonic() < deadline
            time.sleep(0.02)
