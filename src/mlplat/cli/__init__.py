"""The command line: reads settings, calls one process, prints what came back."""

from mlplat.cli.main import main

__all__ = ["main"]
