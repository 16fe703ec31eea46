"""The fixtures of servers, for clients that were written by others; and some of those clients."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uv
from tests.unit.conftest import models, trained
from tests.unit.serve.conftest import Running, running_servers, start

__all__ = ["models", "start", "trained"]

SDKS = Path(__file__).with_name("sdks.py")


@pytest.fixture(scope="session")
def servers(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str], Running]]:
    """A server of each version, for tests that change nothing."""
    versions = [("iris", "v1"), ("iris", "v2"), ("customers", "v1"), ("forecast", "v1")]
    with running_servers(tmp_path_factory.mktemp("servers")) as begin:
        yield {
            (model, version): begin(str(trained), model=model, version=version).ready() for model, version in versions
        }


class SdkError(Exception):
    """What a client raised, as its type and text."""


class Sdks:
    """The clients of `sdks.py`, in a process with an environment of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def call(self, name: str, port: int, **arguments: Any) -> Any:
        """The result of a function there."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"call": name, "port": port} | arguments) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self.line())
        if "error" in answer:
            raise SdkError(answer["error"])
        return answer["result"]

    def line(self) -> str:
        """What it says next; nothing if it ended."""
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@pytest.fixture(scope="session")
def sdks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sdks]:
    """KServe's and MLflow's clients, from uv's cache, where `make test` has put them; else from the package registry."""
    command = [uv.find_uv_bin(), "run", "--quiet", "--locked", "--python", sys.executable, "--script", str(SDKS)]
    environment = os.environ | {"UV_PYTHON_DOWNLOADS": "never", "MLFLOW_DISABLE_TELEMETRY": "true"}
    log = tmp_path_factory.mktemp("sdks") / "log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True
        ) as process,
    ):
        clients = Sdks(process)
        if clients.line() != "ready\n":
            pytest.fail(f"the clients did not start:\n{log.read_text()}")
        yield clients
