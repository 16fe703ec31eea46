"""What the tests of the store share: a store of each kind, processes that publish, and volumes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mlplat.store import ObjectStore, open_object_store

PUBLISHER = Path(__file__).with_name("publisher.py")


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """An empty store, in a folder and in a bucket."""
    return open_object_store(
        str(tmp_path / "store") if request.param == "file" else request.getfixturevalue("s3").new_url()
    )


@pytest.fixture
def files(tmp_path: Path) -> ObjectStore:
    """An empty store in a folder."""
    return open_object_store(str(tmp_path / "store"))


class Publisher:
    """A process that publishes folders when it is told to."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, PUBLISHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ.copy()
        )
        assert self._read() == {"ready": True}

    def tell(self, **command: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        result: dict[str, Any] = json.loads(self._process.stdout.readline())
        return result

    def end(self) -> None:
        self._process.communicate()


@pytest.fixture
def publishers(request: pytest.FixtureRequest) -> Iterator[Callable[[], Publisher]]:
    """Start processes that publish."""
    started: list[Publisher] = []

    def start() -> Publisher:
        started.append(Publisher())
        return started[-1]

    yield start
    for each in started:
        each.end()


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[bool]:
    """A tmpfs at `folder`, if this user may mount; whether it could."""
    folder.mkdir(parents=True, exist_ok=True)
    done = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False, capture_output=True
        ).returncode
    )
    try:
        yield done
    finally:
        if done:
            subprocess.run(["umount", folder], check=True)


@pytest.fixture
def mount() -> Callable[[Path, str], Any]:
    """Mount a tmpfs where this user may."""
    return mounted
