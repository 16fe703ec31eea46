"""`mlplat serve --train`: a first try on an empty store."""

import json
import os
import signal
from pathlib import Path

import httpx
import pytest

from mlplat.cli import first
from mlplat.cli.first import FirstTraining
from mlplat.settings import ServeSettings
from mlplat.store import open_store

from .conftest import FLOWER, await_ready, poll, serving

ENDLESS = """
import os, signal, time
from pathlib import Path
from mlplat.recipes.iris import Iris

class Endless(Iris):
    def data(self, source):
        {first}
        Path("pid.new").write_text(str(os.getpid()))
        Path("pid.new").rename("pid")
        while True:
            time.sleep(0.01)
"""


@pytest.mark.parametrize("which", [("--version", "v1"), ("--alias", "champion")])
def test_an_empty_store_gets_the_version_and_it_answers(tmp_path: Path, which: tuple[str, str]) -> None:
    store = tmp_path / "store"
    with serving(store, tmp_path, *which, "--train", "iris") as (_, url, log):
        assert httpx.get(f"{url}/ready").status_code == 503
        await_ready(url)
        answer = httpx.post(f"{url}/predict", json=FLOWER).json()
        assert (answer["prediction"], answer["model_version"]) == ("setosa", "v1")
        poll(lambda: "trained" in log.read_text(), "the training is reaped")


@pytest.mark.parametrize("which", [("--version", "v2"), ("--alias", "champion")])
def test_nothing_is_trained_if_the_version_is_there(trained: Path, tmp_path: Path, which: tuple[str, str]) -> None:
    with serving(trained, tmp_path, *which, "--train", "iris", "--drain-seconds", "0") as (process, url, log):
        await_ready(url)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
        assert events == ["listening", "ready", "draining", "stopped"]


def test_a_training_that_fails_leaves_the_server_waiting_and_the_log_says_why(tmp_path: Path) -> None:
    with serving(tmp_path / "store", tmp_path, "--version", "v1", "--train", "nothing") as (process, url, log):
        poll(lambda: "training_failed" in log.read_text(), "the failure is logged")
        assert "no recipe 'nothing'" in log.read_text()
        answer = httpx.get(f"{url}/ready")
        assert answer.status_code == 503
        assert "no model 'iris'" in answer.json()["error"]
        assert process.poll() is None


@pytest.mark.parametrize("habit", ["pass", "signal.signal(signal.SIGTERM, signal.SIG_IGN)"])
def test_sigterm_during_the_training_ends_both_without_a_drain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, habit: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("endless.py").write_text(ENDLESS.format(first=habit))
    options = ("--version", "v1", "--train", "endless:Endless", "--drain-seconds", "3600")
    with serving(tmp_path / "store", tmp_path, *options) as (process, _, log):
        poll(lambda: Path("pid").exists(), "the training runs")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        with pytest.raises(ProcessLookupError):
            os.kill(int(Path("pid").read_text()), 0)
        assert "training_failed" not in log.read_text()


def test_a_store_that_cannot_be_used_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first, "RETRY_SECONDS", 0.01)
    store = tmp_path / "store"
    store.write_text("a file where the folder should be")
    settings = ServeSettings(store=str(store), model="iris", version="v1", train="iris")
    with FirstTraining(settings, "iris"):
        store.unlink()
        poll(lambda: store.is_dir() and open_store(str(store)).versions("iris") == ["v1"], "the version is trained")
