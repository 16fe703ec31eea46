"""The processes of pods, seen from the machine: all nodes of the cluster share its kernel."""

import os
import signal
from pathlib import Path


def kill(pod: str) -> None:
    """SIGKILL to the processes of a pod, which its own namespace would not let anyone send to the first of them.

    Raises:
        AssertionError: if it has none.
    """
    found = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal() and _is_of(path, pod)]
    assert found, f"{pod} has no process"
    for process in found:
        os.kill(process, signal.SIGKILL)


def _is_of(process: Path, pod: str) -> bool:
    try:
        environment = (process / "environ").read_bytes().split(b"\0")
    except OSError:  # it ended, or is none of ours
        return False
    return f"HOSTNAME={pod}".encode() in environment and b"MLPLAT_CACHE=/tmp/cache" in environment
