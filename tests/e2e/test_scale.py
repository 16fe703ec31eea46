"""Scenario 13: many ModelDeployments on fake nodes: bench/fleet.py with 300 of them, or as many as FLEET says.

What is counted is judged; CPU and memory, which the machine decides as well, are printed.
"""

import os
import subprocess
import sys

import pytest

from .cluster import ROOT, Cluster

COUNT = 300


@pytest.mark.disruptive
def test_many_are_ready_soon_and_cost_little(
    cluster: Cluster, definition: None, capfd: pytest.CaptureFixture[str]
) -> None:
    cluster.addon("kwok")
    words = [sys.executable, str(ROOT / "bench" / "fleet.py"), os.environ.get("FLEET", str(COUNT)), "--counts"]
    with capfd.disabled():
        done = subprocess.run(words, env={**os.environ, **cluster.environment}, check=False)
    assert done.returncode == 0
