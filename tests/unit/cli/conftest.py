"""The command line, run in this process."""

import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlplat import logs
from mlplat.cli import main
from mlplat.cli.options import Debug


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Runs `mlplat` as a person would, in an empty folder (or beside the store of the fixture `models`)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLPLAT_CACHE", str(tmp_path / "cache"))

    def run(*args: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["mlplat", *args])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Done(int(ended.value.code or 0), printed.out, printed.err)

    before = signal.getsignal(signal.SIGTERM)
    yield run
    signal.signal(signal.SIGTERM, before)
    Debug.on = False
    logs.configure("info", stream=sys.__stderr__)
