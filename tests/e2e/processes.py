"""The processes of pods, seen from the machine: all nodes of the cluster share its kernel."""

import os
import signal
from pathlib import Path

from .namespace import Object


def kill(pod: Object) -> None:
    """SIGKILL to the processes of a pod, which its own namespace would not let anyone send to the first of them.

    Raises:
        AssertionError: if it has none.
    """
    name = pod["spec"].get("hostname", pod["metadata"]["name"])  # pods of an Indexed Job are called after their index
    found = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal() and _is_of(path, name)]
    assert found, f"{name} has no process"
    for process in found:
        os.kill(process, signal.SIGKILL)


def minio() -> list[int]:
    """The process of the cluster's object store, if it runs."""
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal() and _is_minio(path)]


def _is_minio(process: Path) -> bool:
    try:
        return b"/data/.certs" in (process / "cmdline").read_bytes().split(b"\0")
    except OSError:  # it ended
        return False


def _is_of(process: Path, name: str) -> bool:
    try:
        environment = (process / "environ").read_bytes().split(b"\0")
    except OSError:  # it ended, or is none of ours
        return False
    return f"HOSTNAME={name}".encode() in environment and b"MLPLAT_CACHE=/tmp/cache" in environment
