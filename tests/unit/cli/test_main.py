"""Exit codes, errors in one sentence, options as environment variables."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlplat import __version__
from mlplat.cli import options
from mlplat.cli.models import LookSettings
from mlplat.errors import UsageError
from mlplat.settings import BatchSettings, DemoSettings, RegistrySettings, ServeSettings, Settings, TrainSettings
from mlplat.store import Store

from .conftest import Run

COMMANDS: dict[str, type[Settings]] = {
    "train": TrainSettings,
    "serve": ServeSettings,
    "batch": BatchSettings,
    "demo": DemoSettings,
    "registry": RegistrySettings,
}


def test_without_a_command_the_help_is_shown(run: Run) -> None:
    done = run()
    assert done.code == 2
    assert "train" in done.out + done.err


def test_the_release_is_printed(run: Run) -> None:
    assert run("--version").out.strip() == __version__


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_teaches_every_option_and_its_variable(
    run: Run, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("TERMINAL_WIDTH", "300")
    done = run(command, "--help")
    assert done.code == 0
    for field, info in COMMANDS[command].model_fields.items():
        assert options.flag(field) in done.out
        assert options.variable(field, info) in done.out


def test_no_variable_means_two_things() -> None:
    """The pods of one release share their environment."""
    kinds = (TrainSettings, ServeSettings, BatchSettings, DemoSettings, LookSettings)
    for field in ("output", "keep"):
        said = [options.variable(field, kind.model_fields[field]) for kind in kinds if field in kind.model_fields]
        assert len(said) == len(set(said)) == 2


@pytest.mark.parametrize(
    "command", ["list", "show", "history", "verify", "promote", "rollback", "prune", "pull", "push"]
)
def test_every_command_of_models_has_help(run: Run, command: str) -> None:
    assert run("models", command, "--help").code == 0


def test_an_option_is_an_environment_variable_too(run: Run, models: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPLAT_STORE", models.url)
    monkeypatch.setenv("MLPLAT_LIST_OUTPUT", "json")
    assert '"iris"' in run("models", "list").out


def test_each_line_of_a_variable_is_a_value_of_a_repeated_option(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPLAT_PARAM", "target=the target\nestimator=decision_tree\n")
    Path("a.csv").write_text("x,the target\n" + "".join(f"{i % 7},{'ab'[i % 2]}\n" for i in range(100)))
    args = ["train", "--recipe", "tabular", "--model", "a", "--version", "v1", "--data", "a.csv"]
    done = run(*args)
    assert "a v1 published" in done.out, done.err
    listed = json.loads(run("models", "list", "a", "--output", "json").out)
    assert listed[0]["params"] == {"target": "the target", "estimator": "decision_tree"}
    assert run(*args, "--param", "target=y").code == 1  # the command line goes before all of the variable


def test_a_value_on_the_command_line_goes_before_the_variable(
    run: Run, models: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPLAT_STORE", "/nowhere")
    assert "iris" in run("models", "list", "--store", models.url).out


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["serve", "--model", "iris"], 2, "either a version or an alias"),
        (["serve", "--model", "iris", "--version", "v1", "--alias", "champion"], 2, "either a version or an alias"),
        (["serve", "--model", "iris", "--version", "v1", "--port", "70000"], 2, "--port"),
        (["serve"], 2, "--model"),
        (["serve", "--model", "iris", "--version", "../x"], 2, "cannot name a version"),
        (["serve", "--model", "a/b", "--version", "v1"], 2, "cannot name a model"),
        (["serve", "--model", "iris", "--version", "v1", "--api-keys", " , "], 2, "API keys holds none"),
        (["serve", "--model", "iris", "--version", "v1", "--api-keys", ""], 2, "API keys holds none"),
        (["serve", "--nonsense"], 2, "--nonsense"),
        (["train", "--recipe", "iris", "--floor", "nan"], 2, "--floor"),
        (["train", "--recipe", "nothing"], 2, "no recipe 'nothing'"),
        (["train", "--recipe", "iris", "--param", "colour=red"], 2, "n_estimators"),
        (["train", "--recipe", "iris", "--param", "n_estimators"], 2, "NAME=VALUE"),
        (["train", "--recipe", "iris", "--param", "a=1", "--param", "a=2"], 2, "given twice"),
        (["train", "--recipe", "iris", "--if-absent"], 2, "--promote"),
        (["train", "--recipe", "iris", "--margin", "0.1"], 2, "Add --if-better METRIC"),
        (["train", "--recipe", "iris", "--floor", "0", "--promote", "champion"], 2, "Add --if-better METRIC"),
        (["train", "--recipe", "iris", "--margin", "0.1", "--if-better", "f1"], 2, "Add --promote ALIAS"),
        (["models", "prune", "iris", "--older-than-days", "1e12"], 2, "--older-than-days"),
        (["models", "prune", "iris", "--older-than-days", "nan"], 2, "--older-than-days"),
        (["models", "list", "iris", "--store", "nowhere"], 3, "no such file"),
        (["train", "--recipe", "iris", "--model", "a/b"], 2, "cannot name a model"),
        (["train", "--recipe", "iris", "--store", "ftp://x"], 2, "unknown scheme"),
        (["models", "show", "iris", "v9"], 3, "v9"),
        (["models", "list", "nothing"], 3, "nothing"),
        (["models", "verify", "nothing"], 3, "nothing"),
        (["models", "history", "iris", "nobody"], 3, "champion"),
        (["predict", "--model", "iris", "--version", "v1", "{"], 1, "not JSON"),
        (["predict", "--model", "iris", "--version", "v1", "@nowhere"], 3, "nowhere"),
        (["batch", "--model", "iris", "--version", "v9", "--input", "sample", "--output", "a.csv"], 3, "v2"),
        (["batch", "--model", "iris", "--version", "v1", "--input", "none.csv", "--output", "a.csv"], 3, "none.csv"),
    ],
)
def test_an_error_is_one_sentence_with_the_documented_exit_code(
    run: Run, models: Store, args: list[str], code: int, words: str
) -> None:
    done = run(*args)
    assert done.code == code, done.err
    assert words in done.err
    assert "Traceback" not in done.err


def test_debug_shows_the_traceback(run: Run, models: Store) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlplat", "models", "show", "iris", "v9", "--debug", "--store", models.url],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: There is no version 'v9' of 'iris'.")


def test_something_unforeseen_is_one_sentence_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("mlplat.cli.models.open_store", fail)
    done = run("models", "list")
    assert done.code == 1
    assert "Unexpected ZeroDivisionError: by zero. Run it again with --debug" in done.err


def test_a_wrong_log_level_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "chatty")
    done = run("models", "list")
    assert (done.code, "LOG_LEVEL" in done.err) == (2, True)


def test_a_reader_that_goes_away_is_no_traceback(models: Store) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "mlplat", "models", "list", "--store", models.url],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert "Traceback" not in done.stderr


def test_a_misspelt_setting_is_named() -> None:
    with pytest.raises(UsageError, match="--kep: extra inputs"):
        options.validate(DemoSettings, {"kep": True})


def test_a_variable_of_keys_that_is_empty_does_not_open_the_server(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from a Secret without a key."""
    monkeypatch.setenv("MLPLAT_API_KEYS", "")
    done = run("serve", "--model", "iris", "--version", "v1")
    assert done.code == 2
    assert "MLPLAT_API_KEYS is set and empty" in done.err


ENDS = """
import atexit, sys, threading
sys.argv = ["mlplat", *sys.argv[1:]]
from mlplat.cli import start
threading.Thread(target=threading.Event().wait).start()
atexit.register(print, "done with")
start()
"""


@pytest.mark.parametrize(("argument", "code"), [("--version", 0), ("--nonsense", 2)])
def test_the_end_waits_for_no_thread_but_for_what_others_want_done(argument: str, code: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ENDS, argument], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == code
    assert ended.stdout.endswith("done with\n")
    assert (__version__ in ended.stdout) == (code == 0)
