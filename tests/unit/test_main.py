"""The process of `mlplat`, before its command begins."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

MLPLAT = str(Path(sys.executable).with_name("mlplat"))

SLOW = """
import time

print("is imported", flush=True)
time.sleep(600)
"""
"""A library that takes its time, as on a node with other things to do."""

FIRST = ["unshare", "--pid", "--fork", "--kill-child"]
"""Let a command be the process with number 1, which ignores signals that it does not handle."""


def may_be_first() -> bool:
    """Whether this machine lets us have another process with number 1."""
    return shutil.which("unshare") is not None and subprocess.run([*FIRST, "true"], check=False).returncode == 0


def last_of(process: int) -> int:
    """A process's child, if it has one, or else itself."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return last_of(int(children[0])) if children else process


@pytest.mark.parametrize("command", [[MLPLAT], [sys.executable, "-m", "mlplat"]], ids=["mlplat", "python -m mlplat"])
@pytest.mark.parametrize("first", [False, True], ids=["as any process", "as the first"])
def test_sigterm_ends_it_while_it_is_imported(tmp_path: Path, command: list[str], first: bool) -> None:
    if first and not may_be_first():
        pytest.skip("needs a PID namespace")
    (tmp_path / "typer.py").write_text(SLOW)
    process = subprocess.Popen(
        [*(FIRST if first else []), *command, "serve", "--model", "iris", "--version", "v1"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"is imported\n"
        os.kill(last_of(process.pid), signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM  # without a handler it would be -SIGTERM, or would not end
    finally:
        process.kill()
        process.communicate()
