"""Aliases: a log that only grows, moved by compare-and-set."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from mlplat.errors import ConflictError, CorruptError, NotFoundError, UsageError
from mlplat.objects import open_objects
from mlplat.store import UNCHECKED, ObjectStore, open_object_store, rollback
from mlplat.store.seal import seal

Drafts = Callable[..., Any]
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def filled(store: ObjectStore, draft: Drafts) -> ObjectStore:
    """A store with v1 to v4 of iris."""
    for number in range(1, 5):
        version = draft(f"v{number}")
        store.publish(version.manifest, version.files)
    return store


def move(store: ObjectStore, version: str, **options: Any) -> Any:
    return store.move("iris", "champion", version, reason="a test", by="me", **options)


def test_every_move_is_kept_with_reason_time_and_mover(filled: ObjectStore) -> None:
    move(filled, "v1")
    filled.move("iris", "champion", "v2", reason="better", by="gate")
    history = filled.history("iris", "champion")
    assert [(each.number, each.version, each.previous) for each in history] == [(1, "v1", None), (2, "v2", "v1")]
    assert (history[1].reason, history[1].by) == ("better", "gate")
    assert history[0].at < history[1].at <= datetime.now(UTC) + timedelta(seconds=1)
    assert filled.alias("iris", "champion") == history[1]
    assert filled.aliases("iris") == {"champion": history[1]}


def test_moving_to_what_it_names_already_writes_nothing(filled: ObjectStore) -> None:
    first = move(filled, "v1")
    assert move(filled, "v1") == first
    assert move(filled, "v1", expected=None) == first
    assert len(filled.history("iris", "champion")) == 1


def test_why_there_was_no_move_is_kept_and_changes_nothing(filled: ObjectStore) -> None:
    move(filled, "v1")
    moved = move(filled, "v2")
    for _ in range(2):  # as when a pod is tried again
        filled.stay("iris", "champion", reason="v3 refused: worse", by="gate")
    history = filled.history("iris", "champion")
    assert [(each.version, each.previous) for each in history] == [("v1", None), ("v2", "v1"), ("v2", "v2")]
    assert (history[2].reason, history[2].by) == ("v3 refused: worse", "gate")
    assert move(filled, "v2") == history[2]
    assert filled.alias("iris", "champion").version == moved.version
    assert rollback(filled, "iris", "champion", by="me").version == "v1"


def test_an_alias_that_does_not_exist_has_nothing_to_stay_at(filled: ObjectStore) -> None:
    filled.stay("iris", "champion", reason="v1 refused: below the floor", by="gate")
    assert filled.aliases("iris") == {}


def test_a_move_that_expects_something_else_is_a_conflict(filled: ObjectStore) -> None:
    with pytest.raises(ConflictError, match=r"names nothing yet; 'v3' was expected"):
        move(filled, "v2", expected="v3")
    move(filled, "v1", expected=None)
    with pytest.raises(ConflictError, match=r"names 'v1' since .*; it must not exist yet"):
        move(filled, "v2", expected=None)
    assert move(filled, "v2", expected="v1").previous == "v1"


def test_an_alias_cannot_name_a_version_that_does_not_exist(filled: ObjectStore) -> None:
    with pytest.raises(NotFoundError, match=r"no version 'v9'.*It has v1, v2, v3, v4"):
        move(filled, "v9")
    with pytest.raises(NotFoundError, match=r"has no alias 'champion'. It has none; its versions are v1"):
        filled.alias("iris", "champion")
    move(filled, "v1")
    with pytest.raises(NotFoundError, match=r"has no alias 'challenger'. It has champion"):
        filled.history("iris", "challenger")
    with pytest.raises(NotFoundError, match="no model 'rose'"):
        filled.alias("rose", "champion")


def test_time_goes_on_in_the_log_when_the_clock_jumps_back(filled: ObjectStore) -> None:
    times = iter([NOON, NOON - timedelta(days=1), NOON - timedelta(days=1), NOON + timedelta(hours=1)])
    store = ObjectStore(filled.objects, clock=lambda: next(times))
    at = [move(store, version).at for version in ("v1", "v2", "v3", "v4")]
    assert at == [
        NOON,
        NOON + timedelta(milliseconds=1),
        NOON + timedelta(milliseconds=2),
        NOON + timedelta(hours=1),
    ]
    assert [each.at for each in store.history("iris", "champion")] == at


def test_of_movers_that_expect_the_same_exactly_one_wins(filled: ObjectStore) -> None:
    move(filled, "v1")

    def race(version: str) -> str:
        try:
            return str(move(filled, version, expected="v1").version)
        except ConflictError:
            return "lost"

    with ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(race, ["v2", "v3", "v4"]))
    assert answers.count("lost") == 2
    assert filled.alias("iris", "champion").version in answers
    assert len(filled.history("iris", "champion")) == 2


def test_movers_that_expect_nothing_all_get_their_turn(filled: ObjectStore) -> None:
    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(lambda number: move(filled, f"v{number % 4 + 1}"), range(24)))
    history = filled.history("iris", "champion")
    assert [each.number for each in history] == list(range(1, len(history) + 1))
    assert all(after.previous == before.version for before, after in pairwise(history))
    assert {each.writer for each in done} <= {each.writer for each in history}


def test_a_lost_reply_to_a_move_is_one_move(proxy: Any, once: Any, s3: Any, draft: Drafts) -> None:
    store = open_object_store(s3.new_url())
    version = draft("v1")
    store.publish(version.manifest, version.files)
    proxy.lose = once(lambda method, path: method == "PUT" and "/aliases/" in path)
    moved = store.move("iris", "champion", "v1", reason="first", by="me", expected=None)
    assert len(proxy.lost) == 1
    assert store.history("iris", "champion") == [moved]


def test_gaps_and_foreign_files_in_the_log_do_not_matter(files: ObjectStore, draft: Drafts, tmp_path: Path) -> None:
    for name in ("v1", "v2"):
        version = draft(name)
        files.publish(version.manifest, version.files)
    move(files, "v1")
    folder = tmp_path / "store/iris/aliases/champion"
    (folder / "00000001.json").rename(folder / "00000007.json")
    for junk in ("notes.txt", "8.json", "00000009.json.bak", "0000000x.json", "٠٠٠٠٠٠٠٩.json", ".00000009.json"):
        (folder / junk).write_text("by hand")
    (folder / "00000099").mkdir()
    assert files.alias("iris", "champion").number == 7
    assert move(files, "v2").number == 8
    assert [each.version for each in files.history("iris", "champion")] == ["v1", "v2"]


@pytest.mark.parametrize(
    "garbage", [b"", b"{", b"null", b'{"version": "../v1"}', b"\xff\xfe", b'{"version": "v1", "at": "noon"}']
)
def test_a_damaged_move_is_refused_by_name(files: ObjectStore, draft: Drafts, tmp_path: Path, garbage: bytes) -> None:
    version = draft("v1")
    files.publish(version.manifest, version.files)
    move(files, "v1")
    (tmp_path / "store/iris/aliases/champion/00000002.json").write_bytes(garbage)
    for call in (files.alias, files.history):
        with pytest.raises(CorruptError, match=r"iris/aliases/champion/00000002\.json"):
            call("iris", "champion")


def test_rollback_goes_to_the_last_other_version(filled: ObjectStore) -> None:
    for version in ("v1", "v2", "v3"):
        move(filled, version)
    back = rollback(filled, "iris", "champion", by="me")
    assert (back.version, back.previous, back.reason) == ("v2", "v3", "rollback")
    assert rollback(filled, "iris", "champion", by="me", to="v1", reason="older").reason == "older"
    assert filled.alias("iris", "champion").version == "v1"


def test_rollback_goes_to_what_was_named_at_a_time(filled: ObjectStore) -> None:
    times = iter([NOON, NOON + timedelta(days=1), NOON + timedelta(days=2), NOON + timedelta(days=3)])
    store = ObjectStore(filled.objects, clock=lambda: next(times))
    for version in ("v1", "v2", "v3"):
        move(store, version)
    back = rollback(store, "iris", "champion", by="me", at=NOON + timedelta(days=1, hours=23))
    assert back.version == "v2"
    with pytest.raises(NotFoundError, match="had no version then"):
        rollback(store, "iris", "champion", by="me", at=NOON - timedelta(seconds=1))


def test_rollback_says_why_it_cannot(filled: ObjectStore) -> None:
    move(filled, "v1")
    with pytest.raises(NotFoundError, match=r"never named another version. It named v1"):
        rollback(filled, "iris", "champion", by="me")
    with pytest.raises(NotFoundError, match="never named 'v3'"):
        rollback(filled, "iris", "champion", by="me", to="v3")
    with pytest.raises(UsageError):
        rollback(filled, "iris", "champion", by="me", to="v1", at=NOON)


VERSIONS = ["v1", "v2", "v3"]


def make_log_machine(root: Path, template: Any) -> type[RuleBasedStateMachine]:  # noqa: C901
    """The log of one alias against a plain list of (version, previous, at)."""
    numbers = iter(range(1_000_000))

    class LogMachine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.time = NOON
            self.store = ObjectStore(open_objects(str(root / str(next(numbers)))), clock=lambda: self.time)
            for version in VERSIONS:
                manifest = template.manifest.model_copy(update={"version": version})
                self.store.objects.put_if_absent(f"iris/versions/{version}.json", seal(manifest))
            self.log: list[tuple[str, str | None, datetime]] = []

        @property
        def named(self) -> str | None:
            return self.log[-1][0] if self.log else None

        @rule(seconds=st.integers(-3600, 3600))
        def change_clock(self, seconds: int) -> None:
            self.time += timedelta(seconds=seconds)

        @rule(version=st.sampled_from(VERSIONS), expected=st.sampled_from([UNCHECKED, None, *VERSIONS]))
        def move(self, version: str, expected: Any) -> None:
            if self.named != version and expected not in {UNCHECKED, self.named}:
                with pytest.raises(ConflictError):
                    self.store.move("iris", "champion", version, reason="r", by="b", expected=expected)
                return
            moved = self.store.move("iris", "champion", version, reason="r", by="b", expected=expected)
            assert moved.version == version
            self._grow(version)

        @rule()
        def roll_back(self) -> None:
            others = [version for version, _, _ in self.log if version != self.named]
            if not others:
                with pytest.raises(NotFoundError):
                    rollback(self.store, "iris", "champion", by="b")
                return
            assert rollback(self.store, "iris", "champion", by="b").version == others[-1]
            self._grow(others[-1])

        @rule(version=st.sampled_from(["v9", "w"]))
        def refuse_unknown(self, version: str) -> None:
            with pytest.raises(NotFoundError):
                self.store.move("iris", "champion", version, reason="r", by="b")

        def _grow(self, version: str) -> None:
            if self.named == version:
                return
            earliest = self.log[-1][2] + timedelta(milliseconds=1) if self.log else self.time
            self.log.append((version, self.named, max(self.time, earliest)))

        @invariant()
        def the_log_is_what_was_done(self) -> None:
            if not self.log:
                with pytest.raises(NotFoundError):
                    self.store.history("iris", "champion")
                return
            history = self.store.history("iris", "champion")
            assert [(each.version, each.previous, each.at) for each in history] == self.log
            assert [each.number for each in history] == list(range(1, len(self.log) + 1))

    return LogMachine


def test_the_log_behaves_as_a_plain_list(draft: Drafts, tmp_path: Path) -> None:
    machine = make_log_machine(tmp_path / "stores", draft("v1"))
    run_state_machine_as_test(
        machine, settings=settings(max_examples=25, stateful_step_count=15, deadline=None, database=None)
    )


def test_an_alias_that_ends_names_what_it_did_until_it_names_nothing(filled: ObjectStore) -> None:
    for version in ("v1", "v2", "v3"):
        move(filled, version)
    named = []
    real = filled.objects.delete

    def delete(key: str) -> None:
        named.append(filled.alias("iris", "champion").version)
        real(key)

    filled.objects.delete = delete  # type: ignore[method-assign]
    assert filled.end("iris", "champion") == [1, 2, 3]
    assert named == ["v3"] * 3
    assert filled.aliases("iris") == {}
    assert move(filled, "v2").number == 1
