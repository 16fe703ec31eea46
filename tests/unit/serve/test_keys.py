"""API keys: who is let in, and rotation without a restart."""

from pathlib import Path

import pytest

from mlplat.errors import UsageError
from mlplat.serve.keys import KeyRing


def test_without_keys_everyone_is_let_in() -> None:
    assert KeyRing().accepts(None)


@pytest.mark.parametrize("keys", [[""], [" ", ""]])
def test_a_list_without_a_key_is_refused_and_does_not_open_the_server(keys: list[str]) -> None:
    with pytest.raises(UsageError, match="holds none"):
        KeyRing(keys)


@pytest.mark.parametrize("key", [None, "", "wrong", "secre", "secrets", "\udcff"])
def test_with_keys_only_they_are_let_in(key: str | None) -> None:
    ring = KeyRing(["secret", "other"])
    assert ring.accepts("secret")
    assert ring.accepts("other")
    assert not ring.accepts(key)


def test_a_file_holds_a_key_a_line(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("first\n\n  second  \n")
    ring = KeyRing(path=file)
    assert ring.accepts("first")
    assert ring.accepts("second")
    assert not ring.accepts("")


def test_a_file_that_is_no_text_is_refused_with_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_bytes(b"cl\xe9\n")
    with pytest.raises(UsageError, match=r"Cannot read API keys .*0xe9"):
        KeyRing(path=file)


def test_a_new_key_works_and_the_old_one_ends_without_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("old\n")
    ring = KeyRing(path=file)
    file.write_text("new-one\n")
    ring.look()
    assert ring.accepts("new-one")
    assert not ring.accepts("old")


def test_only_other_keys_make_another_generation(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("old\n")
    ring = KeyRing(path=file)
    generation = ring.generation
    ring.look()
    assert ring.generation is generation
    file.write_text("new-one\n")
    ring.look()
    assert ring.generation is not generation


def test_a_mounted_secret_is_followed_when_kubernetes_swaps_its_link(tmp_path: Path) -> None:
    for version, key in (("1", "old"), ("2", "new")):
        (tmp_path / f"..{version}").mkdir()
        (tmp_path / f"..{version}" / "team").write_text(key)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "team").symlink_to("..data/team")
    ring = KeyRing(path=tmp_path)
    assert ring.accepts("old")
    (tmp_path / "..next").symlink_to("..2")
    (tmp_path / "..next").replace(tmp_path / "..data")
    ring.look()
    assert ring.accepts("new")
    assert not ring.accepts("old")


def test_a_file_that_vanishes_for_a_moment_leaves_the_last_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("secret\n")
    ring = KeyRing(path=file)
    file.unlink()
    ring.look()
    assert ring.accepts("secret")
    assert not ring.accepts("wrong")


def test_a_file_that_is_emptied_lets_no_one_in(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("secret\n")
    ring = KeyRing(path=file)
    file.write_text("")
    ring.look()
    assert not ring.accepts("secret")
    assert not ring.accepts(None)


def test_bad_bytes_leave_the_last_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("secret\n")
    ring = KeyRing(path=file)
    file.write_bytes(b"\xff\xfe\n")
    ring.look()
    assert ring.accepts("secret")


def test_no_file_or_no_key_in_it_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no API keys at"):
        KeyRing(path=tmp_path / "none")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(UsageError, match="holds no API key"):
        KeyRing(path=tmp_path / "empty")
