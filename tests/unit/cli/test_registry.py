"""`mlplat registry`: keys, reindex, and the server as a process."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.registries import await_listening, await_true

from mlplat.registry.audit import list_changes
from mlplat.registry.database import Database
from mlplat.registry.keyset import Slice
from mlplat.store import open_store

from .conftest import Run

Drafts = Callable[..., Any]


def test_a_key_is_printed_once_listed_and_revoked(run: Run) -> None:
    made = run("registry", "keys", "create", "ann", "--role", "writer", "--pattern", "team-*", "--days", "30")
    assert made.code == 0, made.err
    key = made.out.strip()
    assert key.startswith("mlp_")
    listed = run("registry", "keys", "list", "--output", "json")
    assert key not in listed.out
    (row,) = json.loads(listed.out)
    assert (row["name"], row["role"], row["pattern"], row["revoked_at"]) == ("ann", "writer", "team-*", None)
    assert row["id"] in run("registry", "keys", "revoke", row["id"]).out
    assert json.loads(run("registry", "keys", "list", "--output", "json").out)[0]["revoked_at"]
    database = Database("sqlite:///models/registry.db")
    with database.read() as connection:
        line = list_changes(connection, Slice(), action="key.revoke").items[0]
    database.close()
    assert line.before == {"name": "ann", "role": "writer", "pattern": "team-*"}
    assert Path("models/registry.db").is_file()


def test_what_cannot_be_meant_is_said(run: Run) -> None:
    assert "There are no keys yet" in run("registry", "keys", "list").out
    for args, code, said in (
        (("keys", "create", "a\nb"), 2, "--name"),
        (("keys", "create", "x", "--role", "king"), 2, "role"),
        (("keys", "create", "x", "--pattern", "a[b]"), 2, "--pattern"),
        (("keys", "revoke", "nonsense"), 3, "no key"),
        (("keys", "list", "--database", "mysql://x"), 2, "sqlite:///FILE"),
        (("reindex", "--store", "http://registry"), 2, "registry"),
        (("--database", "nonsense"), 2, "URL"),
        (("--admin-key", "short"), 2, "16 characters"),
        (("--store", "https://registry"), 2, "registry"),
    ):
        done = run("registry", *args)
        assert (done.code, said in done.err) == (code, True), (args, done.err)


def test_the_catalogue_is_made_anew(run: Run, draft: Drafts) -> None:
    store = open_store("models")
    for version in ("v1", "v2"):
        made = draft(version)
        store.publish(made.manifest, made.files)
    done = run("registry", "reindex")
    assert (done.code, done.out.splitlines()[-1]) == (0, "1 models: 2 new versions, 0 cannot be read"), done.err
    assert "0 new versions" in run("registry", "reindex").out
    damaged = Path("models/rose/versions/v1.json")
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"{}")
    done = run("registry", "reindex")
    assert (done.code, done.out.splitlines()[-1]) == (1, "2 models: 0 new versions, 1 cannot be read"), done.err
    assert "restore" in done.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_server_answers_and_ends_well(tmp_path: Path, number: int) -> None:
    command = [sys.executable, "-m", "mlplat", "registry", "--open", "--host", "127.0.0.1", "--port", "0"]
    environ = {**os.environ, "MLPLAT_DRAIN_SECONDS": "0.2"}
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=output)
    with httpx.Client(base_url=await_listening(log, process), timeout=60) as client:
        await_true(lambda: client.get("/ready").status_code == 200, 60)
        assert client.get("/models").json() == {"items": [], "next": None}
    process.send_signal(number)
    assert process.wait(60) == 0, log.read_text()
    assert "Traceback" not in log.read_text()
