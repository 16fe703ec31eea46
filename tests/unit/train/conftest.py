"""Data sets of a kind that users have, and a store."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import structlog

from mlplat.store import Store, open_store


@pytest.fixture(autouse=True)
def default_logs() -> None:
    """Another test may have sent the log to a stream that is closed by now."""
    structlog.reset_defaults()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store in a folder."""
    return open_store(str(tmp_path / "store"))


@pytest.fixture(scope="session")
def mixed() -> pd.DataFrame:
    """500 rows with strings, missing values, booleans, dates, an id, and targets of each task that depend on them."""
    return mixed_frame()


def mixed_frame(rows: int = 500) -> pd.DataFrame:
    """As `mixed`."""
    rng = np.random.default_rng(0)
    income = rng.normal(3000, 800, rows).round(2)
    city = rng.choice(["Berlin", "Rome", "Oslo, north", 'the "old" town'], rows)
    member = rng.random(rows) < 0.4
    since = np.datetime64("2015-01-01") + rng.integers(0, 3000, rows).astype("timedelta64[D]")
    score = income / 800 + 2 * (city == "Rome") + member + rng.normal(0, 0.3, rows)
    frame = pd.DataFrame(
        {
            "customer_id": rng.permutation(rows) + 1000,
            "income": np.where(rng.random(rows) < 0.1, np.nan, income),
            "city": pd.Series(city).where(rng.random(rows) > 0.1, None),
            "member": pd.Series(member).astype(object).where(rng.random(rows) > 0.1, None),
            "since": pd.Series(np.datetime_as_string(since, unit="D")).where(rng.random(rows) > 0.1, None),
            "note": [f"text {i}" for i in range(rows)],
        }
    )
    frame["grade"] = np.select([score < 4, score < 5.5], ["low", "mid"], "high")
    frame["good"] = score > 5
    frame["spend"] = (score * 1000 - 4500).round(3)
    return frame


@pytest.fixture
def write_csv(tmp_path: Path) -> Any:
    """Write columns of a frame as CSV and return the path."""

    def write(frame: pd.DataFrame, *drop: str) -> str:
        path = tmp_path / f"data{len(list(tmp_path.glob('data*')))}.csv"
        frame.drop(columns=list(drop)).to_csv(path, index=False)
        return str(path)

    return write
