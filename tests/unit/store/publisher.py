"""A process of its own for tests: publishes folders as told, or shows what a kill at each step leaves.

publisher.py                  reads commands, {"url", "folder", "at"}, one JSON line each; answers one line each
publisher.py FOLDER ROOT      publishes FOLDER to ROOT/0, ROOT/1, ... and is killed at step 0, 1, ... of each
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from mlplat.errors import MlplatError
from mlplat.store import open_store, push

STEPS = ("open", "write", "fsync", "link", "unlink", "mkdir", "replace", "rename")


def tell(answer: dict[str, Any]) -> None:
    """Answer one line."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def obey() -> None:
    """Publish what each line says, at the moment it says (of the monotonic clock, which all processes share)."""
    tell({"ready": True})
    for line in sys.stdin:
        command = json.loads(line)
        store = open_store(command["url"])
        while time.monotonic() < command["at"]:
            pass
        try:
            push(store, Path(command["folder"]))
        except MlplatError as error:
            answer: dict[str, Any] = {"error": type(error).__name__, "message": str(error)}
        else:
            answer = {"won": True}
        tell(answer)


def kill_at(step: int) -> None:
    """Let this process die by SIGKILL at the given step that it writes; a write is cut in half before."""
    left = [step]

    def wrap(name: str, real: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            if name == "open" and not args[1] & os.O_CREAT:
                return real(*args, **options)
            if left[0] == 0:
                if name == "write":
                    real(args[0], args[1][: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return real(*args, **options)

        return call

    for name in STEPS:
        setattr(os, name, wrap(name, getattr(os, name)))


def die_everywhere(folder: Path, root: Path) -> None:
    """Publish in a child process per step, until one is not killed; print how many were."""
    step = 0
    while True:
        child = os.fork()
        if child == 0:
            kill_at(step)
            push(open_store(str(root / str(step))), folder)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            tell({"killed": step, "rest": os.waitstatus_to_exitcode(status)})
            return
        step += 1


if __name__ == "__main__":
    if sys.argv[1:]:
        die_everywhere(Path(sys.argv[1]), Path(sys.argv[2]))
    else:
        obey()
