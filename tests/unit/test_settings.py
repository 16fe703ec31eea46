"""The defaults of every process are pinned, so that none changes unnoticed."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mlplat.settings import (
    BatchSettings,
    CheckSettings,
    DemoSettings,
    RegistrySettings,
    ServeSettings,
    TrainSettings,
    cache_folder,
)

WHICH: dict[str, Any] = {
    "store": "models",
    "version": None,
    "alias": None,
    "cache": cache_folder(),
    "cache_bytes": 2 * 1024**3,
    "threads": 1,
    "allow_pickle": False,
}


def defaults(settings: type[Any]) -> dict[str, Any]:
    return {name: info.default for name, info in settings.model_fields.items() if not info.is_required()}


def test_train() -> None:
    assert defaults(TrainSettings) == {
        "store": "models",
        "model": None,
        "version": "auto",
        "data": None,
        "target": None,
        "param": (),
        "seed": 0,
        "jobs": 1,
        "run": None,
        "promote": None,
        "if_absent": False,
        "if_better": None,
        "margin": 0.0,
        "floor": None,
        "keep": None,
        "allow_pickle": False,
    }


def test_serve() -> None:
    assert defaults(ServeSettings) == WHICH | {
        "train": None,
        "host": "0.0.0.0",
        "port": 8000,
        "poll_seconds": 5.0,
        "compare_with": None,
        "max_rows": 10_000,
        "max_body_bytes": 16 * 1024**2,
        "max_head_bytes": 16 * 1024,
        "receive_seconds": 10.0,
        "max_connections": 8192,
        "access_log": False,
        "tracing": False,
        "max_horizon": 1000,
        "deadline_seconds": 30.0,
        "max_waiting": 1024,
        "drain_seconds": 20.0,
        "drain_unready": False,
        "keep_alive_seconds": 75,
        "api_keys": None,
        "api_keys_path": None,
    }


def test_batch() -> None:
    assert defaults(BatchSettings) == WHICH | {
        "threads": 2,
        "on_error": "fail",
        "overwrite": False,
        "shard": None,
        "shards": None,
        "chunk_rows": 65_536,
    }


def test_registry() -> None:
    assert defaults(RegistrySettings) == {
        "store": "models",
        "database": None,
        "host": "0.0.0.0",
        "port": 8080,
        "admin_key": None,
        "open": False,
        "max_upload_bytes": 5 * 1024**3,
        "uploads": Path(tempfile.gettempdir()),
        "sync_seconds": 60.0,
        "pool_size": 10,
        "drain_seconds": 5.0,
        "keep_alive_seconds": 75,
    }


def test_a_short_key_of_an_admin_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least 16 characters"):
        RegistrySettings(admin_key="secret")


def test_check() -> None:
    assert defaults(CheckSettings) == {"model": None, "version": None, "api_keys_path": None, "timeout_seconds": 10.0}


def test_demo() -> None:
    assert defaults(DemoSettings) == {"keep": False}


@pytest.mark.parametrize("which", [{}, {"version": "v1", "alias": "champion"}])
def test_a_version_or_an_alias_is_needed_and_not_both(which: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="either a version or an alias"):
        ServeSettings.model_validate({"model": "iris"} | which)


def test_every_field_has_a_description() -> None:
    for settings in (TrainSettings, ServeSettings, BatchSettings, DemoSettings, RegistrySettings):
        assert [name for name, info in settings.model_fields.items() if not info.description] == []


def test_the_cache_is_the_users_or_a_temporary_folder_where_there_is_no_home(tmp_path: Path) -> None:
    assert cache_folder({"HOME": str(tmp_path)}) == tmp_path / ".cache/mlplat"
    assert cache_folder({"HOME": str(tmp_path), "XDG_CACHE_HOME": "/caches"}) == Path("/caches/mlplat")
    assert cache_folder({"HOME": "/"}).name.startswith("mlplat-cache-")
    assert cache_folder({"HOME": "/does/not/exist"}).name.startswith("mlplat-cache-")
