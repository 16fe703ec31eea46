"""Real versions, files to score, and a call of `score` with its defaults."""

import csv
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlplat.batch import BatchResult, score
from mlplat.store import Cache, Store, open_store

Score = Callable[..., BatchResult]


@pytest.fixture(scope="session")
def store(trained: Path) -> Store:
    """The trained versions; batch only reads them."""
    return open_store(str(trained), create=False)


@pytest.fixture
def scored(store: Store, tmp_path: Path) -> Score:
    """`score`, for iris v1 and to `out.csv` unless said otherwise; more than one chunk where there are 8 rows."""

    def call(inputs: str | Path | list[str], output: str | Path | None = None, **options: Any) -> BatchResult:
        which = {"version": "v1"} if "alias" not in options else {}
        return score(
            **{
                "store": store,
                "cache": Cache(tmp_path / "cache"),
                "model": "iris",
                **which,
                "inputs": inputs if isinstance(inputs, list) else [str(inputs)],
                "output": str(output if output is not None else tmp_path / "out.csv"),
                "chunk_rows": 7,
                **options,
            }
        )

    return call


@pytest.fixture
def flowers(tmp_path: Path) -> Callable[..., Path]:
    """Write iris rows as CSV: `flowers(20)`, or `flowers(20, "b.csv", seed=1)`; each has an `id` before and a note after."""

    def write(rows: int, name: str = "in.csv", *, seed: int = 0) -> Path:
        chance = random.Random(seed)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["id", "petal_width", "sepal_length", "sepal_width", "petal_length", "note"])
            for row in range(rows):
                cells = [f"{abs(chance.gauss(middle, 1)):.1f}" for middle in (1.2, 5.8, 3.0, 3.7)]
                writer.writerow([f"{row:05}", *cells, f"{seed}:{row}"])
        return path

    return write


@pytest.fixture
def read() -> Callable[[Path], list[dict[str, str]]]:
    """The rows of a CSV file as Python's own reader sees them."""

    def rows(path: Path) -> list[dict[str, str]]:
        with path.open(newline="") as stream:
            return list(csv.DictReader(stream))

    return rows
