"""`python -m mlplat` is `mlplat`."""

from mlplat.cli import start

start()
