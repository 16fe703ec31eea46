"""`mlplat`: its commands, and the one place where errors become a line on stderr and an exit code."""

import atexit
import contextlib
import os
import signal
import sys
import traceback
from types import FrameType
from typing import NoReturn

import typer

from mlplat.cli import batch, check, demo, deployments, models, operator, predict, recipes, registry, serve, train  # noqa: F401 - each adds its commands
from mlplat.cli.app import app
from mlplat.cli.options import Debug
from mlplat.errors import Exit, MlplatError

SIGNALLED = 128
"""What a shell adds to the number of the signal that ended a process."""


def start() -> NoReturn:
    """Run the command that the process was started with, and end the process.

    Python does not take itself apart first: a thread of Arrow's that still lets go of a buffer would then abort the process
    (exit code 134), and nobody waits for a store that does not answer.
    """
    try:
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else Exit.DONE
    atexit._run_exitfuncs()  # noqa: SLF001 - what others want done in any case
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads, or it is closed
            stream.flush()
    os._exit(code)


def main() -> NoReturn:
    """Run the command that the process was started with, and exit with its code."""
    signal.signal(signal.SIGTERM, _end)  # `serve` replaces it as soon as it listens
    try:
        app()
    except MlplatError as error:
        _complain(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `mlplat models list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.FAILED)
    except Exception as error:  # noqa: BLE001 (here all become one sentence)
        hint = "" if Debug.on else " Run it again with --debug for the traceback."
        _complain(f"Unexpected {type(error).__name__}: {error}.{hint}")
        sys.exit(Exit.FAILED)
    sys.exit(Exit.DONE)


def _end(number: int, _: FrameType | None) -> NoReturn:
    """End at SIGTERM by an exception, so that unfinished files are removed on the way out.

    Before, when there is nothing to remove yet, `mlplat.__main__` ends it.
    """
    signal.signal(number, signal.SIG_IGN)  # a second one must not disturb that
    sys.exit(SIGNALLED + number)


def _complain(text: str) -> None:
    if Debug.on:
        traceback.print_exc()
    typer.secho(f"Error: {text}", fg="red", err=True)
