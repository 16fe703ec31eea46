"""A create that is sent twice is done once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
from sqlalchemy import update

from mlplat.errors import ConflictError, RequestError
from mlplat.registry import tables
from mlplat.registry.database import Database
from mlplat.registry.idempotency import GIVEN_UP, Answer, Keep, forget_old, once


class Act:
    """Answers, and counts how often."""

    def __init__(self, database: Database) -> None:
        self.done = 0
        self._database = database

    def __call__(self, keep: Keep) -> None:
        self.done += 1
        with self._database.write() as connection:
            keep(connection, Answer(201, f'{{"number":{self.done}}}'))


def give_up(database: Database) -> None:
    """Let the request that is at work be of a minute ago."""
    with database.write() as connection:
        connection.execute(update(tables.idempotency).values(at=datetime.now(UTC) - GIVEN_UP))


def test_the_second_time_the_first_answer_is_given(database: Database) -> None:
    act = Act(database)
    first = once(database, "ann", "k1", b"same", act)
    second = once(database, "ann", "k1", b"same", act)
    assert (act.done, first.repeated, second.repeated) == (1, False, True)
    assert (second.status, second.body) == (first.status, first.body)


def test_keys_are_of_their_caller_and_none_is_no_key(database: Database) -> None:
    act = Act(database)
    for who, key in (("ann", "k1"), ("bob", "k1"), ("ann", "k2"), ("ann", None), ("ann", None)):
        once(database, who, key, b"same", act)
    assert act.done == 5


def test_a_key_for_another_request_is_refused(database: Database) -> None:
    act = Act(database)
    once(database, "ann", "k1", b"one", act)
    with pytest.raises(RequestError) as caught:
        once(database, "ann", "k1", b"two", act)
    assert (caught.value.status, caught.value.code, act.done) == (422, "idempotency_mismatch", 1)


@pytest.mark.parametrize("key", ["", " ", "a b", "ü", "a\0", "x" * 256])
def test_what_is_no_key_is_refused(database: Database, key: str) -> None:
    with pytest.raises(RequestError):
        once(database, "ann", key, b"", Act(database))


def test_what_failed_is_done_again(database: Database) -> None:
    def fail(_: Keep) -> None:
        raise ConflictError("no")

    with pytest.raises(ConflictError):
        once(database, "ann", "k1", b"same", fail)
    assert once(database, "ann", "k1", b"same", Act(database)).status == 201


def test_two_at_once_are_done_once(database: Database) -> None:
    entered, leave = Event(), Event()

    def slow(keep: Keep) -> None:
        entered.set()
        leave.wait(30)
        Act(database)(keep)

    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(once, database, "ann", "k1", b"same", slow)
        entered.wait(30)
        with pytest.raises(RequestError) as caught:
            once(database, "ann", "k1", b"same", Act(database))
        leave.set()
        assert first.result().status == 201
    assert (caught.value.status, caught.value.code) == (409, "in_progress")


def test_a_request_that_was_killed_does_not_stand_in_the_way_for_ever(database: Database) -> None:
    def killed(_: Keep) -> None:
        give_up(database)
        assert once(database, "ann", "k1", b"same", act).status == 201
        raise ConflictError("it is there")

    act = Act(database)
    assert once(database, "ann", "k1", b"same", killed).repeated, "what took its place was answered, and this one alike"
    assert act.done == 1


def test_what_is_done_is_answered_even_if_its_process_was_killed_before_it_said_so(database: Database) -> None:
    act = Act(database)

    def killed(keep: Keep) -> None:
        act(keep)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        once(database, "ann", "k1", b"same", killed)
    give_up(database)
    assert once(database, "ann", "k1", b"same", act).repeated
    assert act.done == 1


def test_old_keys_are_forgotten(database: Database) -> None:
    once(database, "ann", "k1", b"same", Act(database))
    assert forget_old(database, datetime.now(UTC)) == 0
    assert forget_old(database, datetime.now(UTC) + timedelta(days=1, seconds=1)) == 1
