"""SIGTERM ends every command at once, and nothing unfinished stays."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mlplat.store import Store

ENDLESS = """
import time
from pathlib import Path
from mlplat.recipes.iris import Iris

class Endless(Iris):
    def data(self, source):
        Path("loading").touch()
        while True:
            time.sleep(0.01)
"""
ROWS = 3_000_000


def end(args: list[str], when: Callable[[], bool]) -> int:
    """The exit code of `mlplat ARGS` that gets SIGTERM as soon as `when` holds."""
    with subprocess.Popen([sys.executable, "-m", "mlplat", *args]) as process:
        try:
            deadline = time.monotonic() + 60
            while not when():
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.001)
            process.send_signal(signal.SIGTERM)
            return process.wait(30)
        finally:
            process.kill()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLPLAT_CACHE", str(tmp_path / "cache"))


def test_a_training_ends_and_publishes_nothing() -> None:
    Path("endless.py").write_text(ENDLESS)
    args = ["train", "--recipe", "endless:Endless", "--model", "iris", "--version", "v1", "--store", "models"]
    assert end(args, Path("loading").exists) == 128 + signal.SIGTERM
    assert list(Path("models").iterdir()) == []


@pytest.mark.parametrize("output", ["out/scored.csv", "out/scored.parquet"])
def test_a_batch_ends_and_removes_its_unfinished_output(models: Store, output: str) -> None:
    header = b"sepal_length,sepal_width,petal_length,petal_width\n"
    Path("in.csv").write_bytes(header + b"5.1,3.5,1.4,0.2\n" * ROWS)
    Path("out").mkdir()
    args = ["batch", "--model", "iris", "--version", "v1", "--store", models.url, "--threads", "1"]
    args += ["--input", "in.csv", "--output", output]
    assert end(args, lambda: any(Path("out").iterdir())) == 128 + signal.SIGTERM
    assert list(Path("out").iterdir()) == []
