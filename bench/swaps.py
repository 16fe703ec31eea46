"""An alias that moves every second under load: each answer is of exactly one version, and nothing is left behind.

A server follows an alias over several versions, asked by all protocols over several connections. The cache is too small to
keep all versions. Exit 0 if nothing failed, memory, descriptors and threads are as they were after a quarter of the time, and
the cache holds no more than it may.

    python bench/swaps.py                    5 minutes
    python bench/swaps.py --minutes 0.5      a quick look
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `bench`, when this file is run by its path

from bench.fuzzing.models import Model
from bench.questions import get
from bench.servers import Cores, Server, mlplat
from bench.versions import Asker, Versions

from mlplat.store import open_store

SEEDS = (0, 1, 2, 3)
"""Of forests; one more version is a logistic regression."""
CONNECTIONS = 8
EVERY_SECONDS = 1.0
POLL_SECONDS = 0.25
CACHE_BYTES = 60_000
MOST_GROWTH = 10.0
"""MiB, between a quarter of the time and its end: the allocator's, not the versions', each of which takes more."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds."""

    memory: float
    descriptors: int
    threads: int

    @classmethod
    def by(cls, server: Server) -> "Held":
        """As the kernel says."""
        process = Path(f"/proc/{server.process.pid}")
        return cls(server.memory(), len(list((process / "fd").iterdir())), len(list((process / "task").iterdir())))


def publish() -> list[str]:
    """Train the versions; their names."""
    names = [f"forest{seed}" for seed in SEEDS]
    for seed, name in zip(SEEDS, names, strict=True):
        mlplat("train", "--recipe", "iris", "--version", name, "--param", "n_estimators=40", "--seed", str(seed))
    mlplat("train", "--recipe", "iris", "--version", "linear", "--param", "estimator=logistic_regression")
    names.append("linear")
    mlplat("models", "promote", "iris", names[0], "champion")
    return names


def run(minutes: float, folder: Path) -> int:
    """Publish, serve, ask and move; 0 if all is as it should be."""
    os.environ |= {"MLPLAT_STORE": str(folder / "store"), "MLPLAT_CACHE": str(folder / "cache")}
    names = publish()
    versions = Versions([Model.read(folder / "store", "iris", name) for name in names])
    command = [sys.executable, "-m", "mlplat", "serve", "--model", "iris", "--alias", "champion", "--host", "127.0.0.1"]
    command += ["--port", "{port}", "--poll-seconds", str(POLL_SECONDS), "--cache-bytes", str(CACHE_BYTES)]
    store = open_store(str(folder / "store"))
    stop = threading.Event()
    with Server(command, get("/ready"), cores=Cores(), log=folder / "log", environment={}) as server:
        askers = [Asker(server.port, versions, stop, number) for number in range(CONNECTIONS)]
        for asker in askers:
            asker.start()
        end = time.monotonic() + 60 * minutes
        quarter = end - 45 * minutes
        settled, moves = Held.by(server), 0
        while time.monotonic() < end:
            moves += 1
            version = names[moves % len(names)]
            store.move(
                "iris", "champion", version, reason="bench", by="bench", expected=names[(moves - 1) % len(names)]
            )
            time.sleep(EVERY_SECONDS)
            if time.monotonic() < quarter:
                settled = Held.by(server)
            if moves % 15 == 0:
                asked = sum(sum(asker.counts.values()) for asker in askers)
                print(f"{moves} moves, {asked:,} answers, {Held.by(server)}", file=sys.stderr, flush=True)
        after = Held.by(server)
        stop.set()
        for asker in askers:
            asker.join()
        swaps = sum("swapped" in line for line in server.log_lines())
        odd = [line for line in server.log_lines() if '"error"' in line or '"warning"' in line]
    kept = sum(path.stat().st_size for path in (folder / "cache" / "files").iterdir())
    counts = sum((Counter(asker.counts) for asker in askers), Counter())
    print(f"{moves} moves, {swaps} swaps, {sum(counts.values()):,} answers: {dict(counts)}")
    print(f"after a quarter: {settled}; at the end: {after}; cache: {kept:,} of {CACHE_BYTES:,} bytes")
    problems = [problem for asker in askers for problem in asker.problems][:10] + odd[:10] + grown(settled, after)
    if swaps < 0.9 * moves - 1 or set(counts) != set(names):
        problems.append("it did not follow the alias")
    if kept > CACHE_BYTES:
        problems.append("the cache is larger than it may be")
    print(*problems or ["nothing failed, and nothing is left behind"], sep="\n")
    return 1 if problems else 0


def grown(before: Held, after: Held) -> list[str]:
    """What of a process has grown, in words."""
    problems = []
    if after.memory > before.memory + MOST_GROWTH:
        problems.append("memory grew")
    if after.descriptors > before.descriptors + 2 or after.threads > before.threads + 2:
        problems.append("descriptors or threads grew")
    return problems


def main() -> int:
    """Run what is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-swaps-") as name:
        return run(options.minutes, Path(name))


if __name__ == "__main__":
    sys.exit(main())
