"""Requests nobody would send, many of them, to a server of each model: no 5xx but 503, no hang, no wrong answer.

Each 200 is compared with what scikit-learn's own estimator says of the input as Python's json, csv and struct read it. What
goes wrong is printed, and kept in full in a file that `--replay` sends again. Exit 0 if nothing did.

    python bench/fuzz.py                              100,000 requests: about 8 minutes on two cores
    python bench/fuzz.py --requests 5000 --seed 7     another, shorter run
    python bench/fuzz.py --replay FILE                what was kept of a finding, sent once more
"""

import argparse
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `bench`, when this file is run by its path

from bench.fuzzing import wire
from bench.fuzzing.judge import Judge, WrongError
from bench.fuzzing.models import Model
from bench.fuzzing.mutations import shoot, stream
from bench.fuzzing.requests import Limits
from bench.fuzzing.shots import PROTOCOLS
from bench.questions import get
from bench.servers import Cores, Server, mlplat

TRAINED = {
    ("iris", "v1"): ["--recipe", "iris"],
    ("iris", "v2"): ["--recipe", "iris", "--param", "estimator=logistic_regression"],
    ("forecast", "v1"): ["--recipe", "forecast", "--param", "n_estimators=10", "--param", "window=5"],
    ("customers", "v1"): ["--recipe", "tabular", "--target", "left"],
}
LIMITS = Limits(rows=100)
BLOCK = 250
"""So many answers are compared at once."""
STREAMS = 0.25
"""The share of requests that are spoiled as bytes, each on a connection of its own."""
WAITING = 0.02
"""The share of those after which nothing says that no more will come: the server has to lose its patience."""
THREADS = 8
MOST_SHOWN = 20


@dataclass
class Findings:
    """What went wrong, over all threads."""

    folder: Path
    count: int = 0
    done: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, model: Model, seed: str, data: bytes, problem: str, *, alone: bool) -> None:
        """Print one, and keep its bytes."""
        with self.lock:
            self.count += 1
            kind = "stream" if alone else "request"
            path = self.folder / f"{model.name}-{model.version}-{kind}-{self.count}"
            path.write_bytes(data)
            if self.count <= MOST_SHOWN:
                print(
                    f"\n{model.name} {model.version}, {seed}: {problem}\n  kept in {path}\n  {data[:600]!r}", flush=True
                )


class Shooter(threading.Thread):
    """Asks one server until its share is done."""

    def __init__(self, port: int, model: Model, seed: str, share: int, findings: Findings) -> None:
        super().__init__(name=seed)
        self._port = port
        self._model = model
        self._rng = random.Random(seed)
        self._seed = seed
        self._share = share
        self._findings = findings
        self._judge = Judge(model, LIMITS)
        self._wire = wire.Wire(port)

    def run(self) -> None:
        """Ask, compare, count."""
        for number in range(self._share):
            alone = self._rng.random() < STREAMS
            if alone:
                data = stream(self._rng, self._model, PROTOCOLS)
                half_close = self._rng.random() >= WAITING
                self._judged(data, number, alone=True, half_close=half_close)
            else:
                self._judged(shoot(self._rng, self._model, PROTOCOLS).data(), number, alone=False)
            if number % BLOCK == BLOCK - 1 or number == self._share - 1:
                for (data, alone), problem in self._judge.settle():
                    self._findings.add(self._model, self._seed, data, problem, alone=alone)
            self._findings.done += 1
        self._wire.close()
        with self._findings.lock:
            self._findings.statuses.update({str(status): count for status, count in self._judge.statuses.items()})
            self._findings.statuses["rows compared"] += self._judge.checked

    def _judged(self, data: bytes, number: int, *, alone: bool, half_close: bool = True) -> None:
        try:
            for response in wire.ask(self._wire, self._port, data, self._judge, alone=alone, half_close=half_close):
                del response
        except Exception as problem:  # noqa: BLE001 - whatever it is, it is a finding
            self._wire.close()
            self._findings.add(self._model, f"{self._seed}, number {number}", data, repr(problem), alone=alone)


def run(options: argparse.Namespace, folder: Path) -> int:
    """Train, serve, ask; 0 if nothing went wrong."""
    os.environ |= {"MLPLAT_STORE": str(folder / "store"), "MLPLAT_CACHE": str(folder / "cache")}
    write_customers(folder / "customers.csv")
    for (name, version), words in TRAINED.items():
        data = ["--data", str(folder / "customers.csv")] if name == "customers" else []
        mlplat("train", "--model", name, "--version", version, *words, *data)
    models = [Model.read(folder / "store", name, version) for name, version in TRAINED]
    kept = Path(tempfile.mkdtemp(prefix="fuzz-findings-"))
    findings = Findings(kept)
    print(f"seed {options.seed}, {options.requests:,} requests, findings are kept in {kept}", flush=True)
    with ExitStack() as stack:
        servers = [stack.enter_context(serve(model, folder)) for model in models]
        if options.replay:
            return replay(options.replay, servers, models)
        threads = []
        for number in range(THREADS):
            at = number % len(models)
            share = options.requests * (number + 1) // THREADS - options.requests * number // THREADS
            seed = f"seed {options.seed}/{number}"
            threads.append(Shooter(servers[at].port, models[at], seed, share, findings))
        began = time.monotonic()
        for thread in threads:
            thread.start()
        watch(threads, findings, options.requests)
        seconds = time.monotonic() - began
        for server, model in zip(servers, models, strict=True):
            ended = server.process.poll() is not None
            failures = [line for line in server.log_lines() if "request_failed" in line]
            if ended or failures:
                findings.count += 1
                print(
                    f"\n{model.name} {model.version}: {'it ended' if ended else 'it failed'}", *failures[:5], sep="\n"
                )
            print(f"{model.name} {model.version}: {server.memory():.0f} MiB resident at the end")
    shown = ", ".join(f"{name}: {count:,}" for name, count in sorted(findings.statuses.items()))
    print(f"{findings.done:,} requests in {seconds:.0f} s, {findings.done / seconds:,.0f}/s; {shown}")
    print(f"{findings.count} findings" if findings.count else "nothing found")
    return 1 if findings.count else 0


def watch(threads: Sequence[threading.Thread], findings: Findings, total: int) -> None:
    """Say every few seconds how far it is, until all is done."""
    last = time.monotonic()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.1)
        if time.monotonic() - last > 15:
            last = time.monotonic()
            print(f"{findings.done:,} of {total:,}, {findings.count} findings", file=sys.stderr, flush=True)


def replay(path: Path, servers: Sequence[Server], models: Sequence[Model]) -> int:
    """Send what was kept of a finding once more; 0 if it is answered as it should be now."""
    name, version, kind, _ = path.name.rsplit("-", 3)
    at = next(i for i, model in enumerate(models) if (model.name, model.version) == (name, version))
    judge = Judge(models[at], LIMITS)
    data = path.read_bytes()
    try:
        for response in wire.ask(wire.Wire(servers[at].port), servers[at].port, data, judge, alone=kind == "stream"):
            print(response)
        problems = [problem for _, problem in judge.settle()]
    except WrongError as problem:
        problems = [repr(problem)]
    print(*problems or ["answered as it should be"], sep="\n")
    return 1 if problems else 0


def serve(model: Model, folder: Path) -> Server:
    """A server that soon loses its patience."""
    command = [sys.executable, "-m", "mlplat", "serve", "--model", model.name, "--version", model.version]
    command += ["--host", "127.0.0.1", "--port", "{port}", "--max-rows", str(LIMITS.rows)]
    command += ["--receive-seconds", "1", "--keep-alive-seconds", "2"]
    log = folder / f"{model.name}-{model.version}.log"
    return Server(command, get("/ready"), cores=Cores(), log=log, environment={})


def write_customers(path: Path) -> None:
    """A table with a category, a boolean, a date, and missing values."""
    rng = random.Random(0)
    lines = ["age,plan,member,since,left"]
    for _ in range(300):
        age = "" if rng.random() < 0.1 else str(rng.randrange(18, 80))
        member = rng.random() < 0.5
        since = f"202{rng.randrange(5)}-0{rng.randrange(1, 10)}-1{rng.randrange(10)}"
        left = "no" if member != (rng.random() < 0.1) else "yes"
        lines.append(f"{age},{rng.choice(['basic', 'pro', ''])},{str(member).lower()},{since},{left}")
    path.write_text("\n".join(lines) + "\n")


def main() -> int:
    """Run what is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--replay", metavar="FILE", type=Path, help="send what was kept of a finding once more")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-fuzz-") as name:
        return run(options, Path(name))


if __name__ == "__main__":
    sys.exit(main())
