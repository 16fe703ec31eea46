"""Who did what, when, and what was there before."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlplat.registry.access import Caller
from mlplat.registry.audit import Author, list_changes
from mlplat.registry.database import Database
from mlplat.registry.keyset import Slice


def test_lines_are_found_by_what_they_say(database: Database) -> None:
    ann, bob = Author(Caller("ann", "writer"), "r1"), Author(Caller("bob", "admin"))
    with database.write() as connection:
        ann.note(connection, "model.create", model="iris", after={"name": "iris"})
        bob.note(connection, "alias.move", model="iris", target="champion", before={"version": "v1"}, after={"a": "\0"})
        bob.note(connection, "key.create", target="abc")

    def found(**wanted: Any) -> list[str]:
        with database.read() as connection:
            return [line.action for line in list_changes(connection, Slice(50), **wanted).items]

    now = datetime.now(UTC)
    assert found() == ["key.create", "alias.move", "model.create"]
    assert found(who="ann") == found(model="iris", action="model.create") == ["model.create"]
    assert (
        found(model="rose") == found(until=now - timedelta(minutes=1)) == found(since=now + timedelta(minutes=1)) == []
    )
    assert len(found(since=now - timedelta(minutes=1), until=now + timedelta(minutes=1))) == 3
    with database.read() as connection:
        page = list_changes(connection, Slice(1))
        line = list_changes(connection, Slice(1, page.next)).items[0]
    assert (line.who, line.role, line.model, line.target) == ("bob", "admin", "iris", "champion")
    assert (line.before, line.after, line.request_id) == ({"version": "v1"}, {"a": "\0"}, None)


def test_a_write_that_fails_leaves_no_line(database: Database) -> None:
    def fail() -> None:
        with database.write() as connection:
            Author(Caller("ann", "writer")).note(connection, "model.create")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with database.read() as connection:
        assert list_changes(connection, Slice(50)).items == []
