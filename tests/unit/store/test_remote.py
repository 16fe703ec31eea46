"""A store behind a registry gives what the store itself would, and never believes what is none."""

import gc
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
import urllib3
from tests.registries import KEY, Registry, Wire, answer, answering, await_true, raw

from mlplat.errors import (
    ConflictError,
    CorruptError,
    DeletedError,
    ForbiddenError,
    MlplatError,
    MovedError,
    NotFoundError,
    StoreError,
    UsageError,
)
from mlplat.store import Cache, Store, client, meter, open_object_store, open_store, prune, pull, push, rollback
from mlplat.store.remote import RegistryStore
from mlplat.store.replies import AwayError
from mlplat.store.seal import seal

Drafts = Callable[..., Any]
JSON = "Content-Type: application/json"


@pytest.fixture
def store(registry: Registry) -> Store:
    return registry.store()


@pytest.fixture
def wire(registry: Registry) -> Iterator[Wire]:
    between = Wire(registry.port)
    yield between
    gc.collect()  # clients close their connections when they go
    between.end()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up at once."""
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 0.3)


def publish(store: Store, draft: Any) -> Any:
    store.publish(draft.manifest, draft.files)
    return draft.manifest


def test_what_is_published_is_there_as_in_the_store_itself(store: Store, registry: Registry, draft: Drafts) -> None:
    manifest = publish(store, draft("v1"))
    itself = open_object_store(str(registry.folder / "store"))
    for each in (store, itself):
        assert (each.models(), each.versions("iris"), each.versions("none")) == (["iris"], ["v1"], [])
        assert each.manifest("iris", "v1") == each.verify("iris", "v1") == manifest
        assert each.read_file(manifest, "card.md") == b"# A card\n"
        assert each.aliases("iris") == each.aliases("none") == {}
    assert abs(store.published(manifest) - itself.published(manifest)) < timedelta(seconds=1)


def test_versions_are_listed_over_many_pages(
    store: Store, registry: Registry, draft: Drafts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlplat.store.remote.PAGE", 2)
    for version in ("v10", "v9", "v1", "v2", "v11"):
        publish(store, draft(version))
        store.move("iris", "champion", version, reason="", by="")
    for model in ("a", "b"):
        publish(store, draft("v1", model=model))
    assert raw(registry, "POST", "/models").status == 422  # and a model without versions is none for the store
    assert store.versions("iris") == ["v1", "v2", "v9", "v10", "v11"]
    assert store.models() == ["a", "b", "iris"]
    assert [move.version for move in store.history("iris", "champion")] == ["v10", "v9", "v1", "v2", "v11"]


def test_publishing_twice_is_publishing_once_and_another_is_refused(store: Store, draft: Drafts) -> None:
    one = draft("v1")
    publish(store, one)
    publish(store, one)
    with pytest.raises(ConflictError, match="has a version 'v1' already"):
        publish(store, draft("v1"))


def test_a_file_that_is_not_the_manifests_is_not_sent(store: Store, draft: Drafts) -> None:
    version = draft("v1")
    version.files["card.md"].write_text("# Another\n")
    with pytest.raises(CorruptError, match=r"card\.md is not the file"):
        publish(store, version)
    assert store.versions("iris") == []


def test_what_does_not_exist_is_told_in_the_words_of_the_registry(store: Store, draft: Drafts) -> None:
    manifest = publish(store, draft("v1"))
    with pytest.raises(NotFoundError, match=r"no version 'v2' of 'iris'\. It has v1"):
        store.manifest("iris", "v2")
    with pytest.raises(NotFoundError, match="no alias 'champion'"):
        store.alias("iris", "champion")
    with pytest.raises(NotFoundError, match="no alias 'champion'"):
        store.history("iris", "champion")
    with pytest.raises(NotFoundError, match="no model 'other'"):
        store.manifest("other", "v1")
    with pytest.raises(NotFoundError, match=r"no file 'a\.txt'"):
        store.read_file(manifest, "a.txt")
    with pytest.raises(UsageError):
        store.manifest("../keys", "v1")


def test_an_alias_moves_under_conditions_as_in_the_store_itself(store: Store, draft: Drafts) -> None:
    for version in ("v1", "v2", "v3"):
        publish(store, draft(version))
    with pytest.raises(NotFoundError):
        store.move("iris", "champion", "v9", reason="", by="")
    first = store.move("iris", "champion", "v1", reason="first", by="", expected=None)
    assert (first.number, first.version, first.previous, first.reason) == (1, "v1", None, "first")
    with pytest.raises(MovedError):
        store.move("iris", "champion", "v2", reason="", by="", expected=None)
    with pytest.raises(MovedError, match="'v3' was expected"):
        store.move("iris", "champion", "v2", reason="", by="", expected="v3")
    with pytest.raises(MovedError, match="'v1' was expected"):
        store.move("iris", "other", "v2", reason="", by="", expected="v1")
    with pytest.raises(MovedError):
        store.move("iris", "champion", "v2", reason="", by="", after=7)
    second = store.move("iris", "champion", "v2", reason="", by="", expected="v1")
    assert store.move("iris", "champion", "v2", reason="", by="", expected="v1") == second
    third = store.move("iris", "champion", "v3", reason="", by="", after=2)
    assert store.alias("iris", "champion") == third
    assert store.resolve("iris", alias="champion") == "v3"
    store.stay("iris", "champion", reason="v2 refused: not better", by="")
    store.stay("iris", "none", reason="not better", by="")
    assert [move.version for move in store.history("iris", "champion")] == ["v1", "v2", "v3", "v3"]
    assert rollback(store, "iris", "champion", by="").version == "v2"
    assert list(store.aliases("iris")) == ["champion"]


def test_of_two_promoters_at_once_one_wins(store: Store, registry: Registry, draft: Drafts) -> None:
    for number in range(4):
        publish(store, draft(f"v{number}"))
    store.move("iris", "champion", "v0", reason="", by="")
    with ThreadPoolExecutor(2) as pool:
        for round_ in range(10):
            now = store.alias("iris", "champion").version
            wanted = [f"v{number}" for number in range(4) if f"v{number}" != now][:2]

            def promote(version: str, expected: str = now) -> bool:
                try:
                    registry.store().move("iris", "champion", version, reason="", by="", expected=expected)
                except MovedError:
                    return False
                return True

            won = list(pool.map(promote, wanted))
            assert sorted(won) == [False, True], round_
            assert store.alias("iris", "champion").version == wanted[won.index(True)]


def test_a_deleted_version_is_gone_for_good(store: Store, draft: Drafts) -> None:
    version = draft("v1")
    publish(store, version)
    publish(store, draft("v2"))
    store.move("iris", "champion", "v1", reason="", by="")
    with pytest.raises(ConflictError, match="'champion'"):
        store.delete("iris", "v1", by="", reason="")
    store.move("iris", "champion", "v2", reason="", by="")
    store.delete("iris", "v1", by="", reason="old")
    with pytest.raises(NotFoundError, match=r"deleted on .* \(old\)"):
        store.manifest("iris", "v1")
    with pytest.raises(DeletedError):
        publish(store, version)
    with pytest.raises(NotFoundError):
        store.delete("iris", "v9", by="", reason="")


def test_a_version_can_be_published_if_there_is_none_and_was_none(store: Store, draft: Drafts) -> None:
    manifest = publish(store, draft("v1"))
    assert store.present("iris", "v1") == manifest
    assert store.present("iris", "v2") is None
    store.delete("iris", "v1", by="", reason="old")
    with pytest.raises(DeletedError, match="choose a new version"):
        store.present("iris", "v1")


@pytest.mark.parametrize(
    ("role", "pattern", "allowed"),
    [
        ("reader", None, set()),
        ("writer", "ir*", {"require", "publish"}),
        ("writer", "other", set()),
        ("admin", None, {"require", "publish", "prune"}),
    ],
)
def test_what_a_role_may_not_do_is_refused_before_it_is_begun(  # noqa: PLR0917 - pytest names them
    registry: Registry,
    draft: Drafts,
    monkeypatch: pytest.MonkeyPatch,
    role: str,
    pattern: str | None,
    allowed: set[str],
) -> None:
    publish(registry.store(), draft("v1"))
    monkeypatch.setenv("MLPLAT_STORE_KEY", registry.new_key(role, pattern))
    store = registry.store()
    acts: dict[str, Callable[[], object]] = {
        "require": lambda: store.require("iris", "writer"),
        "publish": lambda: publish(store, draft("v2")),
        "prune": lambda: prune(store, "iris", dry_run=False),
    }
    for name, act in acts.items():
        if name in allowed:
            act()
        else:
            with pytest.raises(ForbiddenError, match=r"key.*MLPLAT_STORE_KEY"):
                act()


def test_old_versions_are_pruned(store: Store, draft: Drafts) -> None:
    for number in range(1, 5):
        publish(store, draft(f"v{number}"))
    store.move("iris", "champion", "v2", reason="", by="")
    planned = prune(store, "iris", keep=1, older_than=timedelta(0))
    assert (planned.versions, planned.kept) == (("v1", "v3"), ("v2", "v4"))
    assert store.versions("iris") == ["v1", "v2", "v3", "v4"]
    done = prune(store, "iris", keep=1, older_than=timedelta(0), dry_run=False)
    assert done == planned.model_copy(update={"dry_run": False})
    assert store.versions("iris") == ["v2", "v4"]
    with pytest.raises(NotFoundError):
        prune(store, "none")


def test_a_version_is_pulled_and_pushed(store: Store, draft: Drafts, tmp_path: Path) -> None:
    manifest = publish(store, draft("v1"))
    assert pull(store, "iris", "v1", tmp_path / "v1") == manifest
    assert (tmp_path / "v1/card.md").read_text() == "# A card\n"
    assert push(store, tmp_path / "v1", version="v2").version == "v2"
    assert push(open_store(str(tmp_path / "other")), tmp_path / "v1") == manifest
    assert store.versions("iris") == ["v1", "v2"]


def large(draft: Drafts, version: str = "v1") -> Any:
    return draft(version, contents={"model.onnx": os.urandom(3 << 20), "card.md": b"# A card\n", "none": b""})


def test_a_download_goes_on_where_it_broke(wire: Wire, store: Store, draft: Drafts, tmp_path: Path) -> None:
    version = large(draft)
    publish(store, version)
    wire.cut_down = [1 << 20, 1 << 20]
    broken = open_store(wire.url)
    broken.download(version.manifest, "model.onnx", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == version.files["model.onnx"].read_bytes()
    assert wire.connections == 3
    broken.download(version.manifest, "none", tmp_path / "empty")
    assert (tmp_path / "empty").read_bytes() == b""


def test_a_transfer_that_takes_long_says_how_far_it_is(
    store: Store, draft: Drafts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meter, "EVERY_SECONDS", 0.0)
    version = large(draft)
    with structlog.testing.capture_logs() as lines:
        publish(store, version)
        store.download(version.manifest, "model.onnx", tmp_path / "copy")
    for event in ("uploading", "downloading"):
        said = [(line["bytes"], line["of"], line["percent"]) for line in lines if line["event"] == event]
        assert len(said) > 2
        assert sorted(said) == said
        assert said[-1][0] == said[-1][1]
        assert said[-1][2] == 100


def test_a_download_that_gets_nowhere_ends(
    hasty: None, wire: Wire, store: Store, draft: Drafts, tmp_path: Path
) -> None:
    version = large(draft)
    publish(store, version)
    wire.cut_down = [1 << 20, *[0] * 1000]
    with pytest.raises(StoreError, match="the connection was cut"):
        open_store(wire.url).download(version.manifest, "model.onnx", tmp_path / "copy")


def test_an_upload_that_is_cut_is_sent_again_and_leaves_nothing_besides(
    wire: Wire, store: Store, registry: Registry, draft: Drafts
) -> None:
    version = large(draft)
    wire.cut_up = [1 << 20, 2 << 20]
    publish(open_store(wire.url), version)
    assert store.verify("iris", "v1") == version.manifest
    assert list(registry.uploads.iterdir()) == []


KILLED = """
import sys, time
from pathlib import Path
from mlplat.store import multipart, open_store, push

real = multipart._read

def blocks(path, size):
    for block in real(path, size):
        yield block
        print("half", flush=True)
        time.sleep(3600)

multipart._read = blocks
push(open_store(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_publisher_that_is_killed_leaves_nothing_and_the_next_one_publishes(
    store: Store, registry: Registry, draft: Drafts, tmp_path: Path
) -> None:
    version = large(draft)
    folder = version.files["card.md"].parent
    (folder / "manifest.json").write_bytes(seal(version.manifest))
    command = [sys.executable, "-c", KILLED, registry.url, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == b"half\n"
        await_true(lambda: any(registry.uploads.iterdir()))
        killed.kill()
    await_true(lambda: not any(registry.uploads.iterdir()))
    assert store.versions("iris") == []
    assert push(store, folder) == store.verify("iris", "v1") == version.manifest


def test_an_upload_whose_answer_was_lost_is_found_to_be_there(
    wire: Wire, store: Store, draft: Drafts, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = draft("v1")
    real, sent = client.Client.upload, []

    def lose(self: client.Client, path: str, body: Any) -> client.Reply:
        sent.append(path)
        real(self, path, body)
        raise AwayError("lost")

    monkeypatch.setattr(client.Client, "upload", lose)
    publish(store, version)
    assert len(sent) == 1
    assert store.verify("iris", "v1") == version.manifest


@pytest.fixture
def lose(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Lose the answer to the first request of a method, after something else happened."""

    def arrange(method: str, then: Callable[[], object]) -> list[str]:
        real, lost = client.Client._send, list[str]()

        def send(self: client.Client, *sent: Any) -> Any:
            response = real(self, *sent)
            if sent[0] == method and not lost:
                lost.append(method)
                response.drain_conn()
                response.release_conn()
                then()
                raise AwayError("lost")
            return response

        monkeypatch.setattr(client.Client, "_send", send)
        return lost

    return arrange


@pytest.mark.parametrize("others", [False, True])
def test_a_move_whose_answer_was_lost_is_done_once_and_undoes_nothing(
    store: Store, registry: Registry, draft: Drafts, lose: Callable[..., list[str]], *, others: bool
) -> None:
    for version in ("v1", "v2", "v3"):
        publish(store, draft(version))
    store.move("iris", "champion", "v1", reason="first", by="me")
    colleague = registry.store()

    def meanwhile() -> None:
        if others:
            colleague.move("iris", "champion", "v3", reason="v2 is broken", by="colleague")

    lost = lose("PUT", meanwhile)
    moved = store.move("iris", "champion", "v2", reason="better", by="me")
    assert lost == ["PUT"]
    assert (moved.version, moved.number, moved.reason) == ("v2", 2, "better")
    found = [(move.version, move.reason) for move in store.history("iris", "champion")]
    assert found == [("v1", "first"), ("v2", "better"), ("v3", "v2 is broken")][: 3 if others else 2]


def test_one_that_someone_else_made_first_is_made_after_it(
    store: Store, registry: Registry, draft: Drafts, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("v1", "v2", "v3"):
        publish(store, draft(version))
    colleague = registry.store()
    real, moved = RegistryStore._number, list[Any]()

    def number(self: RegistryStore, model: str, alias: str) -> int:
        found = real(self, model, alias)
        if self is store and not moved:
            moved.append(colleague.move("iris", "champion", "v3", reason="faster", by="colleague"))
        return found

    monkeypatch.setattr(RegistryStore, "_number", number)
    store.move("iris", "champion", "v2", reason="better", by="me")
    assert [move.version for move in store.history("iris", "champion")] == ["v3", "v2"]


def test_a_delete_whose_answer_was_lost_is_done(store: Store, draft: Drafts, lose: Callable[..., list[str]]) -> None:
    for version in ("v1", "v2"):
        publish(store, draft(version))
    lost = lose("DELETE", lambda: None)
    store.delete("iris", "v1", by="me", reason="old")
    store.delete("iris", "v1", by="me", reason="twice is once")
    assert lost == ["DELETE"]
    assert store.versions("iris") == ["v2"]


def test_a_file_that_is_damaged_behind_the_registry_is_refused(
    store: Store, registry: Registry, draft: Drafts, tmp_path: Path
) -> None:
    manifest = publish(store, draft("v1"))
    path = registry.folder / "store/iris/files" / manifest.files["card.md"].sha256
    path.write_bytes(b"# A lie!\n")
    for act in (
        lambda: store.read_file(manifest, "card.md"),
        lambda: store.verify("iris", "v1"),
        lambda: store.download(manifest, "card.md", tmp_path / "copy"),
    ):
        with pytest.raises(CorruptError, match=r"'card\.md' of 'iris' 'v1' in http.* is damaged"):
            act()
    path.unlink()
    with pytest.raises(CorruptError, match="missing from the store"):
        store.read_file(manifest, "card.md")


def test_a_registry_that_is_away_is_asked_again_until_it_is_back(
    store: Store, registry: Registry, draft: Drafts
) -> None:
    publish(store, draft("v1"))
    registry.end()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(store.versions, "iris")
        registry.start()
        assert asked.result() == ["v1"]


def test_the_cache_serves_on_while_the_registry_is_away(
    hasty: None, store: Store, registry: Registry, draft: Drafts, tmp_path: Path
) -> None:
    manifest = publish(store, draft("v1"))
    cache = Cache(tmp_path / "cache")
    cache.manifest(store, "iris", "v1")
    cache.fetch(store, manifest)
    registry.end()
    assert cache.manifest(store, "iris", "v1") == manifest
    assert cache.fetch(store, manifest)["card.md"].read_bytes() == b"# A card\n"
    with pytest.raises(StoreError, match="cannot be reached: connection refused"):
        cache.manifest(store, "iris", "v2")
    registry.start()


def test_a_store_that_is_away_behind_the_registry_is_an_error_of_the_store(
    hasty: None, store: Store, registry: Registry, draft: Drafts
) -> None:
    manifest = publish(store, draft("v1"))
    (registry.folder / "store").rename(registry.folder / "gone")
    with pytest.raises(StoreError, match="cannot answer now"):
        store.read_file(manifest, "card.md")


@pytest.mark.parametrize("key", [None, "wrong"])
def test_without_a_right_key_it_is_said_how_to_give_one(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    monkeypatch.delenv("MLPLAT_STORE_KEY")
    if key is not None:
        monkeypatch.setenv("MLPLAT_STORE_KEY", key)
    with pytest.raises(UsageError, match="MLPLAT_STORE_KEY"):
        registry.store().models()


def test_a_key_in_a_file_may_rotate(
    registry: Registry, draft: Drafts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLPLAT_STORE_KEY")
    file = tmp_path / "key"
    file.write_text(KEY + "\n")
    monkeypatch.setenv("MLPLAT_STORE_KEY_FILE", str(file))
    store = registry.store()
    publish(store, draft("v1"))
    file.write_text("revoked")
    with pytest.raises(UsageError):
        store.models()
    file.unlink()
    with pytest.raises(UsageError):
        store.models()
    (tmp_path / "new").write_text(KEY)
    (tmp_path / "new").rename(file)
    assert store.models() == ["iris"]


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"MLPLAT_STORE_KEY": ""}, "holds no key"),
        ({"MLPLAT_STORE_KEY": "a\nb"}, "no key has"),
        ({"MLPLAT_STORE_KEY": "ключ"}, "no key has"),
        ({"MLPLAT_STORE_KEY_FILE": "/none"}, "cannot be read from /none"),
        ({"MLPLAT_STORE_KEY_FILE": "/dev/null"}, "holds no key"),
        ({"MLPLAT_STORE_KEY_FILE": "/dev/null", "MLPLAT_STORE_KEY": "a"}, "both set"),
    ],
)
def test_a_key_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=words):
        open_store("http://localhost:1")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://ann:secret@localhost/", "a user or a password"),
        ("https://ann@localhost", "a user or a password"),
        ("http://", "not the URL of a registry"),
        ("http://localhost?key=1", "not the URL of a registry"),
        ("http://localhost/#a", "not the URL of a registry"),
        ("http://localhost:99999999", "is none"),
        ("http://[::1", "is none"),
    ],
)
def test_a_url_that_is_none_is_refused_and_no_password_is_shown(url: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        open_store(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://localhost:8080/", "http://localhost:8080"),
        ("https://host/registry/", "https://host/registry"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_a_url_is_kept_without_a_slash_at_its_end(given: str, url: str) -> None:
    assert open_store(given).url == url


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n"
HTML = b"<html>\x1b[31mWelcome</html>"


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (answer("200 OK", HTML, "Content-Type: text/html"), StoreError, "does not answer as a registry"),
        (answer("404 Not Found", HTML, "Content-Type: text/html"), StoreError, "404, text/html"),
        (
            answer("404 Not Found", b'{"error": "There is nothing at /x; see /docs.", "code": "not_found"}'),
            StoreError,
            "404",
        ),
        (answer("404 Not Found", b'{"error": "gone\\u001b[31m", "code": "not_found"}'), NotFoundError, r"gone \[31m"),
        (answer("401 Unauthorized", HTML), UsageError, "refuses access"),
        (
            answer("403 Forbidden", b'{"error": "This needs a writer.", "code": "forbidden"}'),
            UsageError,
            "needs a writer",
        ),
        (answer("413 Content Too Large", HTML), UsageError, "so large"),
        (answer("422 No", b'{"error": "No.", "code": "bad_upload"}'), UsageError, r"No\."),
        (answer("500 Failed", b'{"error": "Failed.", "code": "internal"}'), StoreError, r"failed: Failed\."),
        (answer("500 Failed", b'{"error": "Bad.", "code": "corrupt"}'), CorruptError, r"Bad\."),
        (answer("302 Found", b"", "Location: http://elsewhere.example/"), StoreError, "redirects to http://elsewhere"),
        (answer("307 Moved", b"", "Location: /login"), StoreError, "redirects to /login"),
        (answer("200 OK", b"[" * 100_000), StoreError, "does not answer as a registry"),
        (answer("200 OK", b'{"items": 7, "next": null}'), StoreError, "items"),
        (answer("200 OK", b'{"items": [{"name": 1}], "next": null}'), StoreError, "name"),
        (answer("200 OK", b'{"items": [], "next": "&admin=1"}'), StoreError, "next"),
        (answer("204 No Content", b""), StoreError, "does not answer as a registry"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", StoreError, "its answer is no HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1000 + b"\r\n", StoreError, "its answer is no HTTP"),
        (CHUNKED + b"zz\r\n", StoreError, "the connection was cut"),
        (answer("200 OK", b"{}")[:-1], StoreError, "the connection was cut"),
        (b"", StoreError, "the connection was cut"),
    ],
)
def test_what_is_no_registry_is_one_clear_error(
    hasty: None, reply: bytes, error: type[MlplatError], words: str
) -> None:
    with answering(reply) as (url, _), pytest.raises(error, match=words) as raised:
        open_store(url).models()
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("status", ["200 OK", "500 Failed"])
def test_a_body_without_an_end_is_cut(hasty: None, monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    monkeypatch.setattr(client, "REPLY_BYTES", 1 << 20)
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\n\r\n".encode()
    with answering(head, endless=b" " * 65536) as (url, _), pytest.raises(StoreError, match="as a registry does"):
        open_store(url).models()


def test_a_list_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlplat.store.remote.MOST_PAGES", 20)
    page = answer("200 OK", b'{"items": [], "next": "abc"}')
    with answering(page) as (url, requests), pytest.raises(StoreError, match="no end in sight"):
        open_store(url).models()
    assert len(requests) == 20


def test_a_file_that_is_longer_or_shorter_than_its_manifest_says_is_refused(draft: Drafts, tmp_path: Path) -> None:
    manifest = draft("v1").manifest
    for body in (b"#", b"# A card\n# and more"):
        with answering(answer("200 OK", body)) as (url, _), pytest.raises(StoreError, match="as a registry does"):
            open_store(url).download(manifest, "card.md", tmp_path / "copy")


def test_a_manifest_of_something_else_is_refused() -> None:
    for reply in (answer("200 OK", HTML, "Content-Type: text/html"), answer("200 OK", b"{}", 'ETag: "abc"', JSON)):
        with answering(reply) as (url, _), pytest.raises(StoreError, match="not the one it says"):
            open_store(url).manifest("iris", "v1")


def test_a_registry_of_an_earlier_release_says_what_a_key_may_when_it_is_used(draft: Drafts) -> None:
    version = draft("v1")
    missing = answer("404 Not Found", b'{"error": "none", "code": "not_found"}')
    unknown = answer(
        "404 Not Found", b'{"error": "There is nothing at /models/iris/access; see /docs.", "code": "not_found"}'
    )
    forbidden = answer("403 Forbidden", b'{"error": "This needs a writer.", "code": "forbidden"}')
    with (
        answering(missing, unknown, forbidden) as (url, requests),
        pytest.raises(ForbiddenError, match="needs a writer"),
    ):
        publish(open_store(url), version)
    assert requests[2].startswith(b"POST /models/iris/versions ")


def test_an_upload_that_another_product_takes_is_no_version(draft: Drafts) -> None:
    missing = answer("404 Not Found", b'{"error": "none", "code": "not_found"}')
    with (
        answering(missing, answer("204 No Content", b""), answer("200 OK", b"{}")) as (url, _),
        pytest.raises(StoreError, match="sha256"),
    ):
        publish(open_store(url), draft("v1"))


def test_it_is_asked_again_when_it_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    busy = [answer("503 Busy", b"", f"Retry-After: {after}") for after in ("2", "0", "never")]
    done = answer("200 OK", b'{"items": [], "next": null}')
    with answering(*busy, answer("502 Bad Gateway", HTML), done) as (url, requests):
        assert open_store(url).models() == []
    assert len(requests) == 5
    assert slept[:2] == [2.0, 0.0]


@pytest.mark.parametrize("after", ["3600", "Fri, 31 Dec 2999 23:59:59 GMT"])
def test_it_is_not_waited_for_longer_than_a_few_seconds(after: str) -> None:
    busy = answer("503 Busy", b"", f"Retry-After: {after}")
    with answering(busy) as (url, requests), pytest.raises(StoreError, match="cannot answer now: 503"):
        open_store(url).models()
    assert len(requests) == 1


def test_the_key_is_sent_as_a_bearer_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPLAT_STORE_KEY", "mlp_a_b")
    with answering(answer("200 OK", b'{"items": [], "next": null}')) as (url, requests):
        open_store(url + "/prefix/").models()
    assert requests[0].startswith(b"GET /prefix/models?sort=name&limit=200 HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer mlp_a_b\r\n" in requests[0]


def test_a_host_that_does_not_answer_is_an_error_of_the_store(hasty: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TIMEOUT", urllib3.Timeout(connect=0.2, read=0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(StoreError, match="does not answer in time"):
        open_store(f"http://127.0.0.1:{silent.getsockname()[1]}").models()


def test_a_host_that_does_not_exist_is_an_error_of_the_store(hasty: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(StoreError, match="no such host"):
        open_store("http://registry.example").models()


def test_a_key_that_rotates_between_two_requests_costs_none() -> None:
    class Rotating:
        keys = ["old", "new", "new"]  # noqa: RUF012 - one test's own

        @property
        def value(self) -> str:
            return self.keys.pop(0)

    done = answer("200 OK", b"{}")
    with answering(answer("401 Unauthorized", b""), done) as (url, requests):
        key: Any = Rotating()
        assert client.Client(url, key).ask("GET", "/models").body == b"{}"
    assert [b"Bearer old" in requests[0], b"Bearer new" in requests[1]] == [True, True]


def test_another_part_of_a_file_than_was_asked_for_is_refused(draft: Drafts, tmp_path: Path) -> None:
    manifest = draft("v1").manifest
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n# A"
    other = answer("206 Partial Content", b"# A card\n", "Content-Range: bytes 0-8/9")
    with answering(half, other) as (url, requests), pytest.raises(StoreError, match="another part of a file"):
        open_store(url).download(manifest, "card.md", tmp_path / "copy")
    asked = requests[1].lower()
    assert b"\r\nrange: bytes=3-\r\n" in asked
    assert f'\r\nif-range: "{manifest.files["card.md"].sha256}"\r\n'.encode() in asked


def test_a_server_that_does_not_resume_is_read_from_the_start(draft: Drafts, tmp_path: Path) -> None:
    manifest = draft("v1").manifest
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n# A"
    with answering(half, answer("200 OK", b"# A card\n")) as (url, _):
        open_store(url).download(manifest, "card.md", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"# A card\n"


def test_a_server_without_tls_is_an_error_of_the_store_at_once() -> None:
    with answering(answer("200 OK", b"{}")) as (url, requests):
        with pytest.raises(StoreError, match=r"does not speak TLS\. Perhaps its URL begins with http://"):
            open_store(url.replace("http:", "https:")).models()
        assert len(requests) == 1


def test_a_folder_that_cannot_be_written_is_said(store: Store, draft: Drafts, tmp_path: Path) -> None:
    manifest = publish(store, draft("v1"))
    with pytest.raises(StoreError, match="Cannot write"):
        store.download(manifest, "card.md", tmp_path / "none/copy")
