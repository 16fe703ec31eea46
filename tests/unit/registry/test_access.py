"""Keys: shown once, stored hashed, and worth no more than their role, pattern and time."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from mlplat.errors import NotFoundError, RequestError
from mlplat.registry import access, tables
from mlplat.registry.access import Caller, KeyRing
from mlplat.registry.bodies import MadeKey, NewKey, Role
from mlplat.registry.database import Database

NOW = datetime.now(UTC)


def make(database: Database, name: str = "ann", **rest: object) -> MadeKey:
    with database.write() as connection:
        return access.make_key(connection, NewKey.model_validate({"name": name, **rest}), now=NOW)


def test_a_key_names_its_caller(database: Database) -> None:
    made = make(database, role="writer", pattern="team-*")
    assert KeyRing(database).look_up(made.key) == Caller("ann", "writer", "team-*", made.id)
    assert (len(made.key), made.key.split("_")[:2]) == (56, ["mlp", made.id])


def test_no_table_holds_what_a_key_opens_with(database: Database) -> None:
    made = make(database)
    with database.read() as connection:
        row = connection.execute(select(tables.keys)).one()
    assert made.key.split("_")[2] not in str(row)


def test_any_other_key_is_refused(database: Database) -> None:
    made = make(database)
    ring = KeyRing(database, admin_key="the admin's")
    for wrong in (None, "", "x", made.key[:-1], made.key + "x", made.key.replace("mlp", "MLP"), f"mlp_{made.id}_", "ü"):
        with pytest.raises(RequestError) as caught:
            ring.look_up(wrong)
        assert (caught.value.status, caught.value.code) == (401, "unauthorized")
    for odd in (
        "mlp_\0\0\0\0\0\0\0\0_x",
        "mlp_' OR '1_x",
        "mlp_%%%%%%%%_x",
        "mlp_\udc80\udc80\udc80\udc80\udc80\udc80\udc80\udc80_x",
    ):
        with pytest.raises(RequestError):
            ring.look_up(odd)
    assert ring.look_up("the admin's") == Caller("admin", "admin", key_id="admin")


def test_a_revoked_or_expired_key_opens_nothing(database: Database) -> None:
    revoked, expired, later = (
        make(database),
        make(database, expires_at=NOW),
        make(database, expires_at="2999-01-01T00:00Z"),
    )
    ring = KeyRing(database)
    assert ring.look_up(revoked.key)
    with database.write() as connection:
        first = access.revoke_key(connection, revoked.id, now=NOW)
        assert access.revoke_key(connection, revoked.id, now=NOW + timedelta(1)) == first
    assert ring.known(revoked.key)  # for a few seconds
    ring.forget()
    for key in (revoked.key, expired.key):
        with pytest.raises(RequestError):
            ring.look_up(key)
    assert ring.look_up(later.key)


def test_a_key_is_forgotten_before_it_expires(database: Database) -> None:
    made = make(database, expires_at=NOW + timedelta(days=1))
    ring = KeyRing(database, clock=lambda: NOW + timedelta(days=1, microseconds=-1))
    assert ring.look_up(made.key)
    assert ring.known(made.key) is None


def test_it_is_noted_when_a_key_was_used_once_a_minute(database: Database) -> None:
    made = make(database)
    now = NOW
    ring = KeyRing(database, clock=lambda: now)

    def used() -> datetime | None:
        ring.forget()
        ring.look_up(made.key)
        with database.read() as connection:
            return access.list_keys(connection)[0].last_used_at

    assert used() == NOW
    now = NOW + timedelta(seconds=59)
    assert used() == NOW
    now = NOW + timedelta(seconds=60)
    assert used() == now


def test_a_registry_without_keys_is_closed_and_an_open_one_takes_all_for_admins(database: Database) -> None:
    assert KeyRing(database).is_closed()
    assert not KeyRing(database, admin_key="x").is_closed()
    ring = KeyRing(database, open_to_all=True)
    assert not ring.is_closed()
    assert ring.look_up(None) == Caller("anonymous", "admin")
    with pytest.raises(RequestError):
        ring.look_up("wrong")
    made = make(database)
    assert not KeyRing(database).is_closed()
    assert ring.look_up(made.key).name == "ann"


def test_each_role_may_what_the_lower_ones_may() -> None:
    roles: list[Role] = ["reader", "writer", "admin"]
    for mine, role in enumerate(roles):
        for wanted, other in enumerate(roles):
            assert Caller("x", role).may(other) == (mine >= wanted)


def test_a_pattern_hides_models_and_refuses_changes() -> None:
    caller = Caller("ann", "writer", "team-?")
    caller.require_model("team-a")
    with pytest.raises(NotFoundError):
        caller.require_sight("team-ab")
    with pytest.raises(RequestError) as caught:
        caller.require_model("Team-a")
    assert (caught.value.status, caught.value.code) == (403, "forbidden")
    with pytest.raises(RequestError):
        caller.require_model("team-a", "admin")


def test_a_key_that_never_was_is_not_revoked(database: Database) -> None:
    with database.write() as connection, pytest.raises(NotFoundError):
        access.revoke_key(connection, "nonsense", now=NOW)
