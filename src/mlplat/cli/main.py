"""`mlplat`: its commands, and the one place where errors become a line on stderr and an exit code."""

import os
import sys
from typing import NoReturn

import typer

from mlplat.cli import batch, demo, models, predict, recipes, serve, train  # noqa: F401 - each adds its commands
from mlplat.cli.app import app
from mlplat.cli.options import Debug
from mlplat.errors import Exit, MlplatError


def main() -> NoReturn:
    """Run the command that the process was started with, and end it with its exit code."""
    try:
        app()
    except MlplatError as error:
        if Debug.on:
            raise
        _complain(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `mlplat models list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.FAILED)
    except Exception as error:
        if Debug.on:
            raise
        _complain(f"Unexpected {type(error).__name__}: {error}. Run it again with --debug for the traceback.")
        sys.exit(Exit.FAILED)
    sys.exit(Exit.DONE)


def _complain(text: str) -> None:
    typer.secho(f"Error: {text}", fg="red", err=True)
