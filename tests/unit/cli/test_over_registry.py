"""Every command that takes a store does its work through a registry, too."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import joblib
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from tests.registries import KEY, Registry
from tests.unit.serve.conftest import FLOWER, await_ready, poll, serving

from mlplat.store import open_object_store, open_store

Run = Callable[..., Any]


@pytest.fixture
def url(registry: Registry, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """A registry with iris v1 and v2, as MLPLAT_STORE."""
    capsys.readouterr()  # what the registry logged when it started
    there, store = open_object_store(str(trained)), registry.store()
    for version in ("v1", "v2"):
        manifest = there.manifest("iris", version)
        files = {name: trained / "iris/files" / entry.sha256 for name, entry in manifest.files.items()}
        store.publish(manifest, files)
    monkeypatch.setenv("MLPLAT_STORE", registry.url)
    return registry.url


def test_models_are_looked_at_moved_copied_and_pruned(run: Run, url: str, tmp_path: Path) -> None:
    assert run("models", "promote", "iris", "v1", "--reason", "first").out == "iris: champion is v1\n"
    assert run("models", "promote", "iris", "v2").out == "iris: champion is v2 (before: v1)\n"
    assert run("models", "rollback", "iris", "champion").out == "iris: champion is v1 (before: v2)\n"
    listed = json.loads(run("models", "list", "--output", "json").out)
    assert listed == [{"model": "iris", "versions": ["v1", "v2"], "aliases": {"champion": "v1"}}]
    assert [row["version"] for row in json.loads(run("models", "list", "iris", "--output", "json").out)] == ["v1", "v2"]
    assert json.loads(run("models", "show", "iris", "champion", "--output", "json").out)["version"] == "v1"
    moves = json.loads(run("models", "history", "iris", "champion", "--output", "json").out)
    assert [(move["version"], move["reason"], move["by"]) for move in moves] == [
        ("v1", "first", "admin"),
        ("v2", "promoted by hand", "admin"),
        ("v1", "rollback", "admin"),
    ]
    assert "all as published" in run("models", "verify", "iris").out
    assert run("models", "pull", "iris", "champion", "folder").code == 0
    assert run("models", "push", "folder", "--version", "v3").out == f"iris v3 is in {url}\n"
    assert run("models", "push", "folder", "--store", "elsewhere").out == "iris v1 is in elsewhere\n"
    assert "Would delete (say --yes to do it): v3" in run("models", "prune", "iris", "--older-than-days", "0").out
    assert run("models", "prune", "iris", "--older-than-days", "0", "--yes").out.startswith("Deleted: v3")
    assert open_store(url).versions("iris") == ["v1", "v2"]
    assert run("models", "show", "iris", "v3").code == 3
    assert run("models", "push", "folder", "--version", "v3").code == 4


def test_a_training_publishes_and_promotes_once(run: Run, url: str) -> None:
    command = ("train", "--recipe", "iris", "--model", "flowers", "--version", "v1", "--promote", "champion")
    done = run(*command)
    assert (done.code, "flowers v1 published" in done.out) == (0, True), done.err
    again = run(*command)
    assert (again.code, "flowers v1 was there already" in again.out) == (0, True)
    better = run("train", "--recipe", "iris", "--model", "flowers", "--version", "v2", "--promote", "champion",
                 "--if-better", "accuracy", "--margin", "0.5")  # fmt: skip
    assert "champion stays" in better.out
    assert "refused" in open_store(url).history("flowers", "champion")[-1].reason
    assert run(*command, "--param", "n_estimators=7").code == 4


def test_predict_and_batch_answer_from_it(run: Run, url: str, tmp_path: Path) -> None:
    run("models", "promote", "iris", "v1")
    answer = json.loads(run("predict", "--model", "iris", "--alias", "champion", json.dumps(FLOWER)).out)
    assert (answer["prediction"], answer["model_version"]) == ("setosa", "v1")
    done = run("batch", "--model", "iris", "--version", "v2", "--input", "sample", "--output", "scored.parquet")
    assert done.code == 0, done.err
    assert set(pq.read_table(tmp_path / "scored.parquet")["model_version"].to_pylist()) == {"v2"}


def test_an_estimator_of_ones_own_is_pushed(run: Run, url: str, tmp_path: Path) -> None:
    frame = load_iris(as_frame=True).frame
    names = {old: old.removesuffix(" (cm)").replace(" ", "_") for old in frame.columns}
    frame = frame.rename(columns=names).assign(target=lambda rows: rows["target"].map({0: "a", 1: "b", 2: "c"}))
    frame.to_csv(tmp_path / "rows.csv", index=False)
    estimator = LogisticRegression(max_iter=1000).fit(frame.drop(columns="target"), frame["target"])
    joblib.dump(estimator, tmp_path / "estimator.joblib")
    options = ("--sample", "rows.csv", "--model", "own", "--version", "v1", "--target", "target")
    done = run("models", "push", "estimator.joblib", *options)
    assert done.out.splitlines()[-2] == f"own v1 is in {url}"
    assert re.match(r"accuracy 0\.9\d+ ", done.out.splitlines()[-1])
    assert run("models", "push", "estimator.joblib", *options).out.splitlines()[-2] == f"own v1 was already in {url}"
    row = json.dumps(frame.drop(columns="target").iloc[0].to_dict())
    assert json.loads(run("predict", "--model", "own", "--version", "v1", row).out)["prediction"] == "a"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("models", "push", "estimator.joblib"), "an estimator needs --sample, --model and --version"),
        (("models", "push", ".", "--sample", "rows.csv"), "about an estimator, not a folder"),
        (("models", "push", "none.joblib", "--sample", "a", "--model", "m", "--version", "v1"), "no file none.joblib"),
    ],
)
def test_what_is_pushed_must_be_a_folder_or_an_estimator(run: Run, command: tuple[str, ...], words: str) -> None:
    done = run(*command, "--store", "store")
    assert done.code in {2, 3}
    assert words in done.err.replace("\n", " ")


def test_a_key_that_is_missing_or_wrong_is_one_sentence(run: Run, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPLAT_STORE_KEY", "wrong")
    wrong = run("models", "list")
    monkeypatch.delenv("MLPLAT_STORE_KEY")
    missing = run("models", "list")
    for done, words in ((wrong, "refuses the key: it is wrong, or has expired"), (missing, "asks for a key. Set")):
        assert done.code == 2
        assert words in done.err
        assert "MLPLAT_STORE_KEY_FILE" in done.err


@pytest.mark.parametrize(("role", "pattern"), [("reader", None), ("writer", "team-*")])
def test_who_may_not_publish_hears_so_before_anything_is_read(  # noqa: PLR0917 - pytest names them
    run: Run, url: str, registry: Registry, monkeypatch: pytest.MonkeyPatch, role: str, pattern: str | None
) -> None:
    monkeypatch.setenv("MLPLAT_STORE_KEY", registry.new_key(role, pattern))
    options = ("--model", "mine", "--version", "v1")
    for command in (
        ("train", "--recipe", "tabular", "--data", "none.csv", "--target", "y", *options),
        ("models", "push", "none.joblib", "--sample", "none.csv", *options),
    ):
        done = run(*command)
        assert done.code == 2
        assert f"'a {role}' is" in done.err
        assert "MLPLAT_STORE_KEY" in done.err


def test_a_writer_trains_and_hears_that_it_may_not_prune(
    run: Run, url: str, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPLAT_STORE_KEY", registry.new_key("writer"))
    done = run("train", "--recipe", "iris", "--version", "v3", "--keep", "1")
    assert done.code == 0
    assert "nothing was pruned: This needs a key with the role admin; 'a writer' is a writer." in done.out
    assert '"event": "not_pruned"' in done.err
    assert "Would delete" in run("models", "prune", "iris", "--older-than-days", "0").out
    refused = run("models", "prune", "iris", "--yes")  # also where there would be nothing to delete
    assert (refused.code, "the role admin" in refused.err) == (2, True)
    monkeypatch.setenv("MLPLAT_STORE_KEY", registry.new_key("admin"))
    assert run("models", "prune", "iris", "--older-than-days", "0", "--yes").out.startswith("Deleted: v1, v2, v3")


def test_a_server_follows_an_alias_and_outlives_the_registry(
    url: str, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = registry.store()
    store.move("iris", "champion", "v1", reason="", by="")
    options = ("--alias", "champion", "--poll-seconds", "0.1", "--drain-seconds", "0")

    def version(at: str) -> str:
        named: str = httpx.post(f"{at}/predict", json=FLOWER).json()["model_version"]
        return named

    with serving(url, tmp_path, *options) as (process, at, log):
        await_ready(at)
        assert version(at) == "v1"
        store.move("iris", "champion", "v2", reason="", by="")
        poll(lambda: version(at) == "v2", "the server follows")
        registry.end()
        poll(lambda: "cannot be reached" in log.read_text(), "the server notices")
        assert version(at) == "v2"
        registry.start()
        store.move("iris", "champion", "v1", reason="", by="")
        poll(lambda: version(at) == "v1", "the server follows again")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    registry.end()
    with serving(url, tmp_path, "--version", "v1") as (_, at, _):
        await_ready(at)
        assert version(at) == "v1"
    registry.start()


def test_a_server_needs_no_restart_when_its_key_rotates(
    url: str, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLPLAT_STORE_KEY")
    monkeypatch.setenv("MLPLAT_STORE_KEY_FILE", str(tmp_path / "key"))
    (tmp_path / "key").write_text("not yet the right one")
    with serving(url, tmp_path, "--version", "v1") as (_, at, log):
        poll(lambda: "refuses the key" in httpx.get(f"{at}/ready").text, "the server is refused")
        (tmp_path / "key").write_text(KEY)
        await_ready(at)
        assert "not yet the right one" not in log.read_text()


LOADED = """
import sys
import mlplat.serve.run
from mlplat.store import open_store
store = open_store(sys.argv[1], create=False)
store.manifest("iris", "v1")
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"urllib3", "obstore", "sqlalchemy", "fastapi"}))
"""


def test_what_opens_a_store_loads_only_what_that_kind_needs(url: str, models: Any) -> None:
    def loaded(store: str) -> list[str]:
        done = subprocess.run([sys.executable, "-c", LOADED, store], check=True, capture_output=True, text=True)
        return done.stdout.split()

    assert "urllib3" not in loaded(models.url)
    assert set(loaded(url)) - set(loaded(models.url)) == {"urllib3"}
