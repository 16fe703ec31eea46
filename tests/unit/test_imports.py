"""Any module may be the first that a process imports."""

import subprocess
import sys
from pathlib import Path

import mlplat

ROOT = Path(mlplat.__path__[0]).parent

FIRST = """
import importlib, os, sys

for library in sys.argv[1].split():
    importlib.import_module(library)  # once, for all that follows
same, failed = set(), []
for name in sorted(sys.stdin.read().split()):
    if name in same:
        continue
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        importlib.import_module(name)
        os.write(theirs, " ".join(each for each in sys.modules if each.startswith(name + ".")).encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as loaded:
        same.update(loaded.read().split())  # to import one of these first is to import this package first
    if os.waitpid(child, 0)[1]:
        failed.append(name)
print(*failed)
"""

LIBRARIES = "alembic fastapi joblib onnxruntime pandas psycopg pyarrow.parquet rich.console skl2onnx sklearn sqlalchemy typer uvicorn"

RUN_BY_ANOTHER = {"mlplat.registry.migrations.env"}
"""Modules that do their work when they are imported, by alembic."""


def test_each_module_can_be_imported_first() -> None:
    parts = [path.relative_to(ROOT).with_suffix("").parts for path in ROOT.glob("mlplat/**/*.py")]
    modules = {".".join(each).removesuffix(".__init__") for each in parts} - RUN_BY_ANOTHER
    assert len(modules) > 200
    command = [sys.executable, "-c", FIRST, LIBRARIES]
    done = subprocess.run(command, input=" ".join(modules), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stdout + done.stderr
