"""Who did what, when, and what was there before."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx import Client

from mlplat.registry.access import Caller
from mlplat.registry.audit import Author, list_changes
from mlplat.registry.database import Database
from mlplat.registry.keyset import Slice

from .conftest import Publish


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


def test_what_was_there_before_is_what_the_write_before_left(client: Client, publish: Publish) -> None:
    publish("v1")
    for path, action in (("/models/iris", "model.patch"), ("/models/iris/versions/v1", "version.patch")):
        bodies = [{"tags": {"number": str(number)}} for number in range(40)]
        with ThreadPoolExecutor(8) as threads:
            answers = threads.map(lambda body, path=path: client.patch(path, json=body), bodies)
            assert {answer.status_code for answer in answers} == {200}
        lines = client.get(f"/audit?limit=200&action={action}").json()["items"][::-1]
        assert len(lines) == 40
        assert [line["before"] for line in lines] == [{"tags": {}}, *(line["after"] for line in lines[:-1])]
