"""The command line: reads settings, calls one process, prints what came back."""

from mlplat.cli.main import main, start

__all__ = ["main", "start"]
