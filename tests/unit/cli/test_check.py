"""`mlplat check` against real servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlplat.cli.check import first_key
from mlplat.errors import UsageError

from ..serve.conftest import Running, Start, running_servers  # noqa: TID252 - tests are not a package
from .conftest import Run


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    with running_servers(tmp_path_factory.mktemp("servers")) as begin:
        yield begin


def url_of(running: Running) -> str:
    return f"http://127.0.0.1:{running.port}"


@pytest.mark.parametrize("model", ["iris", "forecast", "customers"])
def test_any_model_answers_the_example_of_its_own_docs(trained: Path, start: Start, run: Run, model: str) -> None:
    url = url_of(start(str(trained), model=model, version="v1").ready())
    done = run("check", url, "--model", model, "--version", "v1")
    assert done.code == 0, done.err
    assert f"answers with {model} v1" in done.out


def test_another_version_or_model_than_expected_fails_and_is_named(trained: Path, start: Start, run: Run) -> None:
    url = url_of(start(str(trained), model="iris", alias="champion").ready())
    assert run("check", url + "/").code == 0
    done = run("check", url, "--version", "v2")
    assert done.code == 1
    assert "the model version v1, expected v2" in done.err
    assert "the model name iris, expected wine" in run("check", url, "--model", "wine").err


def test_a_server_that_is_not_ready_fails_with_its_reason(trained: Path, start: Start, run: Run) -> None:
    done = run("check", url_of(start(str(trained), model="iris", version="v9")))
    assert done.code == 1
    assert "answered 503" in done.err
    assert "v9" in done.err


def test_the_key_of_a_mounted_secret_is_sent(trained: Path, start: Start, run: Run, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "team-a").write_text("\nsecret-a\n")
    url = url_of(start(str(trained), model="iris", version="v1", api_keys="secret-a").ready())
    assert run("check", url, "--api-keys-path", str(tmp_path / "keys")).code == 0
    done = run("check", url)
    assert done.code == 1
    assert "answered 401" in done.err


def test_what_is_no_server_gives_a_sentence(run: Run, tmp_path: Path) -> None:
    assert "no answer" in run("check", "http://127.0.0.1:1").err
    refused = run("check", "127.0.0.1:8000")
    assert refused.code == 2
    assert "http://HOST:PORT" in refused.err
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(UsageError, match="holds no API key"):
        first_key(tmp_path / "empty")
    with pytest.raises(UsageError, match="Cannot read"):
        first_key(tmp_path / "nothing")
