"""The server against a constant, FastAPI, and ONNX Runtime alone, side by side: requests/s, latency, CPU, memory, start.

What is measured has one core, the client another one; all else is stopped meanwhile. The cases of a group are measured in
turn, round by round, so that what disturbs the machine hits all alike. A ratio is that of the best rounds, which others
disturbed least. Exit 0 if every goal that was measured is met.

    python bench/serve.py                                   all: 9 minutes
    python bench/serve.py --only base --seconds 2           against the constant only: 40 seconds
    python bench/serve.py --quick                           all, once and shortly: 2 minutes
    python bench/serve.py --write docs/performance.md       all, and the document brought up to date
"""

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from itertools import groupby
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `bench`, when this file is run by its path

from bench.cases import STARTS, Case, Goal, Kind, Results, cases, goals, judge
from bench.load import Answer, Client, LoadError, Measured, NotServedError, ask, connect, learn
from bench.progress import say
from bench.questions import KEY, Protocol, compact, customers, floats, flowers, get, post, question
from bench.report import render, write
from bench.servers import UVICORN, Cores, Server, Session

TRAINED = {
    "forest": ["--recipe", "iris", "--param", "n_estimators=100"],
    "logistic": ["--recipe", "iris", "--param", "estimator=logistic_regression"],
    "boosting": ["--recipe", "iris", "--param", "estimator=hist_gradient_boosting"],
    "churn": ["--recipe", "tabular", "--target", "churn", "--param", "n_estimators=100"],
}
WARM_SECONDS = 0.3
SCRAPE_SECONDS = 1.0
AGREEING = 0.95
"""The share of rows for which model.joblib and this server must say the same: float32 falls on the other side of a few splits."""

Place = tuple[Kind, str]


class Stand:
    """The models, the servers, and what was learnt of their answers.

    Args:
        folder: for the store, the caches, the logs.
        stack: ends every process.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._cores = Cores()
        self._folder = folder
        self._stack = stack
        self._environment = {"MLPLAT_STORE": str(folder / "store"), "MLPLAT_CACHE": str(folder / "cache")}
        self._servers: dict[Place, Server] = {}
        self._sessions: dict[int, Session] = {}
        self._answers: dict[Case, list[Answer]] = {}
        os.sched_setaffinity(0, {self._cores.client})

    def train(self, models: set[str]) -> None:
        """Publish the models, and put their files beside for those who load them by hand."""
        rows = customers(5000)
        with (self._folder / "churn.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        for model in sorted(models):
            options = [*TRAINED[model], *(["--data", str(self._folder / "churn.csv")] if model == "churn" else [])]
            self._mlplat("train", "--model", model, "--version", "v1", *options)
            self._mlplat("models", "pull", model, "v1", str(self._files(model)))

    @cached_property
    def access_log(self) -> bool:
        """Whether this release can write one."""
        return "--access-log" in self._mlplat("serve", "--help")

    def start(self, kind: Kind, model: str) -> Server:
        """A server of its own, which the caller ends."""
        command, environment = self._command(kind, model)
        ready = self._questions(Case("start", kind, model=model))[0] if kind is not Kind.MLPLAT else get("/ready")
        log = self._folder / f"{kind.name}-{model}.log"
        return Server(command, ready, cores=self._cores, log=log, environment=self._environment | environment)

    def measure(self, case: Case, seconds: float) -> Measured:
        """Measure a case once.

        Raises:
            NotServedError: if the server does not know the protocol.
            LoadError: if it does not answer as it should.
        """
        if case.kind is Kind.ALONE:
            return self._measure_alone(case, seconds)
        server = self._server(case.kind, case.model)
        server.resume()
        try:
            questions = self._questions(case)
            if case not in self._answers:
                self._answers[case] = learn(server.port, questions)
                self._compare(case)
            lengths = [answer.length for answer in self._answers[case]]
            with Client(server.port, questions, lengths, case.connections) as client:
                client.run(WARM_SECONDS, server)
                with scraping(server.port) if case.kind is Kind.GUARDED else ExitStack():
                    return client.run(seconds, server)
        finally:
            server.pause()

    def _measure_alone(self, case: Case, seconds: float) -> Measured:
        if case.rows not in self._sessions:
            rows = self._folder / f"rows-{case.rows}"
            rows.write_bytes(floats(flowers(case.rows)))
            command = [sys.executable, "bench/session.py", str(self._files(case.model) / "model.onnx"), str(rows)]
            session = Session(command, cores=self._cores, log=self._folder / "session.log", environment={}, piped=True)
            self._sessions[case.rows] = self._stack.enter_context(session)
        session = self._sessions[case.rows]
        session.run(WARM_SECONDS)
        return session.run(seconds)

    def _server(self, kind: Kind, model: str) -> Server:
        place = kind, model
        if place not in self._servers:
            self._servers[place] = self._stack.enter_context(self.start(kind, model))
        return self._servers[place]

    def _command(self, kind: Kind, model: str) -> tuple[list[str], dict[str, str]]:
        if kind is Kind.CONSTANT:
            return [*UVICORN, "--lifespan", "off", "bench.apps:constant"], {}
        if kind is Kind.FASTAPI:
            return [*UVICORN, "--factory", "bench.apps:fastapi_constant"], {}
        if kind is Kind.HANDMADE:
            return [*UVICORN, "bench.handmade:app"], {"BENCH_MODEL": str(self._files(model))}
        serve = [sys.executable, "-m", "mlplat", "serve", "--model", model, "--version", "v1"]
        serve += ["--host", "127.0.0.1", "--port", "{port}"]
        if kind is Kind.GUARDED:
            serve += ["--api-keys", KEY, *(["--access-log"] if self.access_log else [])]
        return serve, {}

    def _questions(self, case: Case) -> list[bytes]:
        """64 different requests, fewer if they are long."""
        count = max(8, 64 // case.rows)
        handmade = case.kind is Kind.HANDMADE
        headers = {"X-API-Key": KEY} if case.kind is Kind.GUARDED else {}
        if case.model == "churn":
            path = "/predict/customer" if handmade else "/predict"
            rows = [{name: cell for name, cell in row.items() if name != "churn"} for row in customers(count, seed=8)]
            return [post(path, compact(row), headers) for row in rows]
        path = "/predict/many" if handmade and case.rows > 1 else "/predict"
        drawn = flowers(count * case.rows)
        parts = [drawn[start : start + case.rows] for start in range(0, len(drawn), case.rows)]
        return [question(case.protocol, case.model, rows, path=path, headers=headers) for rows in parts]

    def _compare(self, case: Case) -> None:
        """Check that this server and the pickle say the same of the same rows, once both have answered."""
        for other, answers in self._answers.items():
            pair = {case.kind, other.kind} == {Kind.HANDMADE, Kind.MLPLAT}
            same = (case.model, case.rows, case.protocol) == (other.model, other.rows, other.protocol)
            if pair and same and case.protocol is Protocol.PREDICT:
                left, right = predictions(self._answers[case]), predictions(answers)
                agreeing = sum(a == b for a, b in zip(left, right, strict=True)) / len(left)
                if agreeing < AGREEING:
                    raise LoadError(f"only {agreeing:.0%} of the predictions are those of {other.name}")

    def _files(self, model: str) -> Path:
        return self._folder / f"{model}-v1"

    def _mlplat(self, *words: str) -> str:
        command = [sys.executable, "-m", "mlplat", *words]
        done = subprocess.run(
            command, env=os.environ | self._environment, capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
        return done.stdout


def predictions(answers: list[Answer]) -> list[str]:
    """The classes that some answers name, row by row."""
    bodies = [json.loads(answer.body) for answer in answers]
    return [label for body in bodies for label in body.get("predictions", [body.get("prediction")])]


@contextmanager
def scraping(port: int) -> Iterator[None]:
    """Meanwhile, ask for /metrics every second, as Prometheus would, only more often."""
    done = threading.Event()

    def scrape() -> None:
        while not done.wait(SCRAPE_SECONDS):
            with suppress(OSError, LoadError), connect(port) as connection:
                ask(connection, get("/metrics"))

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def measure_starts(stand: Stand, rounds: int, results: Results) -> None:
    """Start each server anew, round by round; the first time, which fills caches, does not count."""
    for number in range(rounds + 1):
        for kind in STARTS:
            with stand.start(kind, "forest") as server:
                if number:
                    results.starts.setdefault(kind, []).append(server.start_seconds)
        if number:
            shown = ", ".join(f"{kind} {results.starts[kind][-1]:.2f} s" for kind in STARTS)
            say(f"start, round {number}: {shown}")


def measure_cases(stand: Stand, wanted: list[Case], rounds: int, seconds: float, results: Results) -> None:
    """Measure group by group, in each round by round."""
    for _, members in groupby(wanted, key=lambda case: case.group):
        group = list(members)
        for number in range(1, rounds + 1):
            for case in group:
                if case in results.problems:
                    continue
                try:
                    one = stand.measure(case, seconds)
                except NotServedError:
                    results.problems[case] = "not served by this release"
                    say(f"{case.name}: not served by this release")
                except (LoadError, OSError) as error:
                    results.problems[case] = "failed"
                    say(f"{case.name}: {error}")
                else:
                    results.measured.setdefault(case, []).append(one)
                    say(
                        f"{case.name}, round {number}: {one.rate:,.0f}/s, p50 {one.p50:.2f} ms, "
                        f"p99 {'-' if one.p99 is None else f'{one.p99:.2f}'} ms, {one.cpu:.0f} us a request, busy: server "
                        f"{one.server_cpu / one.seconds:.0%}, client {one.client_cpu / one.seconds:.0%}, others {one.others:.0%}"
                    )


def main() -> int:
    """Run what is wanted; 0 if every goal of it was met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", metavar="SUBSTRING", default="", help="cases with this in their name, e.g. 'base'")
    parser.add_argument("--quick", action="store_true", help="one round of one second")
    parser.add_argument("--write", metavar="DOCUMENT", type=Path, help="put the tables into it")
    parser.add_argument("--machine", default=f"{os.cpu_count()} cores", help="words for the machine in the tables")
    options = parser.parse_args()
    if options.only and options.write:
        parser.error("--write wants everything measured, without --only")
    seconds, rounds = (1.0, 1) if options.quick else (options.seconds, options.rounds)
    wanted = [case for case in cases() if options.only in case.name]
    judged = [goal for goal in goals() if goal.figure == "start" or {goal.ours, goal.theirs} <= {*wanted, None}]
    starts = options.only in "start"
    if not starts:
        judged = [goal for goal in judged if goal.figure != "start"]
    if not wanted and not starts:
        parser.error(f"no case has {options.only!r} in its name")
    results = run(wanted, starts=starts, rounds=rounds, seconds=seconds)
    return conclude(judged, results, options.machine, options.write)


def run(wanted: list[Case], *, starts: bool, rounds: int, seconds: float) -> Results:
    """Measure; every process has ended afterwards."""
    estimate = len(wanted) * rounds * (seconds + 0.6) + 25 + (8 * (rounds + 1) if starts else 0)
    say(f"{len(wanted)} cases, {rounds} rounds of {seconds:g} s: about {estimate / 60:.1f} minutes")
    results = Results()
    with tempfile.TemporaryDirectory(prefix="bench-serve-") as name, ExitStack() as stack:
        stand = Stand(Path(name), stack)
        stand.train({case.model for case in wanted} | ({"forest"} if starts else set()))
        say("models trained")
        measure_cases(stand, wanted, rounds, seconds, results)
        if starts:
            measure_starts(stand, rounds, results)
        if any(case.kind is Kind.GUARDED for case in wanted) and not stand.access_log:
            results.notes.append("This release writes no access log.")
    say(f"load of the machine at the end: {os.getloadavg()[0]:.1f}")
    return results


def conclude(judged: list[Goal], results: Results, machine: str, document: Path | None) -> int:
    """Print the tables, and write them; 0 if every goal was met and every case measured."""
    verdicts = [judge(goal, results) for goal in judged]
    text = render(verdicts, results, machine)
    print(text)
    if document is not None:
        write(document, text)
    return 0 if all(verdict.met for verdict in verdicts) and not results.problems else 1


def on_signal(number: int, _: FrameType | None) -> None:
    """End as an exception does, so that every process that was started is ended."""
    sys.exit(128 + number)


if __name__ == "__main__":
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, on_signal)
    sys.exit(main())
