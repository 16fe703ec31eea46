"""A store with trained versions, for everything that uses one."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.registries import KEY, Registry

from mlplat.store import ObjectStore, open_object_store
from mlplat.train.gate import Promotion
from mlplat.train.run import train

HEADER = "age,plan,member,since,left"


def customer(i: int) -> str:
    """A row of a made-up table: who is a member stays."""
    age = "" if i % 10 == 0 else str(20 + i % 50)
    plan = ("basic", "pro", "")[i % 3]
    member = i % 4 < 2
    return f"{age},{plan},{str(member).lower()},202{i % 5}-0{1 + i % 9}-1{i % 7},{'no' if member else 'yes'}"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with iris v1 (a forest, which champion names) and v2 (logistic regression), forecast v1, and customers v1,
    a table with categories, booleans, dates and missing values. To be copied, not changed.
    """
    folder = tmp_path_factory.mktemp("trained")
    store = open_object_store(str(folder / "store"))
    train(store=store, recipe="iris", version="v1", promotion=Promotion(alias="champion"))
    train(store=store, recipe="iris", version="v2", params={"estimator": "logistic_regression"})
    train(store=store, recipe="forecast", version="v1", params={"n_estimators": "10", "window": "5"})
    csv = folder / "customers.csv"
    csv.write_text("\n".join([HEADER, *map(customer, range(200))]) + "\n")
    train(store=store, recipe="tabular", model="customers", version="v1", params={"target": "left"}, data=str(csv))
    return folder / "store"


@pytest.fixture
def models(trained: Path, tmp_path: Path) -> ObjectStore:
    """A store of one's own with the trained versions."""
    shutil.copytree(trained, tmp_path / "models")
    return open_object_store(str(tmp_path / "models"))


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry, and its key in the environment."""
    monkeypatch.setenv("MLPLAT_STORE_KEY", KEY)
    started = Registry(tmp_path / "registry")
    yield started
    started.end()
