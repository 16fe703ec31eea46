"""Client processes that are killed while they publish, through two registries over one PostgreSQL and one S3."""

import json
import os
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.timeout(900)
def test_no_version_is_lost_or_doubled_when_processes_are_killed(postgresql: Any, s3: Any) -> None:
    killed = 0
    for seed in count():  # where a publish takes less time, fewer of them live until they are killed
        words = ["--count", "80", "--seed", str(seed), "--database", postgresql.new_url(), "--store", s3.new_url()]
        command = [sys.executable, str(ROOT / "bench" / "publishes.py"), *words]
        done = subprocess.run(
            command, check=False, env=os.environ | s3.environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stdout + done.stderr
        report = json.loads(done.stdout)
        assert (report["faults"], sum(report["answers"].values())) == ([], 80)
        killed += report["processes killed"]
        if killed > 10:
            break
    parts = [path for path in (s3.folder / ".minio.sys" / "multipart").rglob("*") if path.is_file()]
    assert parts == [], "uploads in parts are left"
