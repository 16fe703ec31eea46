"""The query behind each question, without the registry: asked in turn by threads of one process, or behind the least HTTP.

As a program it reads `question connections seconds` a line and answers each with a line of JSON: the nanoseconds of every
query. `least` and `least_fastapi`, run by uvicorn, ask for each path the same query by the same driver in a thread of
theirs, and answer with its rows as JSON: no keys, no cursors, no errors, no names of fields.

The questions are in the file that BENCH_QUESTIONS names, the database is at BENCH_DATABASE.
"""

import asyncio
import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg

if TYPE_CHECKING:
    from fastapi import FastAPI

URL = os.environ.get("BENCH_DATABASE", "")
THREADS = 8
WARM = 16
"""Queries of each connection before it is measured: by then the server has its plan."""


def questions() -> dict[str, list[tuple[str, str, Any]]]:
    """By the name of each kind: path, statement and parameters."""
    found: dict[str, list[tuple[str, str, Any]]] = json.loads(Path(os.environ["BENCH_QUESTIONS"]).read_text())
    return found


def ask(own: Any, statement: str, parameters: Any) -> list[Any]:
    """All rows of the answer, by this thread's own connection."""
    if not hasattr(own, "cursor"):
        own.cursor = psycopg.connect(URL, autocommit=True).cursor()
    rows: list[Any] = own.cursor.execute(statement, parameters).fetchall()
    return rows


def measure(asked: list[tuple[str, str, Any]], connections: int, seconds: float) -> list[int]:
    """Nanoseconds of each query that so many connections asked and read, one after the other."""
    spent: list[int] = []

    def keep_asking(offset: int) -> None:
        turns = cycle([(statement, parameters) for _, statement, parameters in asked[offset:] + asked[:offset]])
        with psycopg.connect(URL, autocommit=True) as connection, connection.cursor() as cursor:
            for _ in range(WARM):
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
    return spent


def by_path() -> dict[str, tuple[str, Any]]:
    """Statement and parameters of each path."""
    return {path: (statement, asked) for kind in questions().values() for path, statement, asked in kind}


class Least:
    """The least ASGI app that answers by a query."""

    def __init__(self) -> None:
        self._asked = {path.encode(): asked for path, asked in by_path().items()}
        self._threads = ThreadPoolExecutor(THREADS)
        self._own = threading.local()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG002
        """Answer one request."""
        query = scope["query_string"]
        statement, parameters = self._asked[scope["raw_path"] + (b"?" + query if query else b"")]
        loop = asyncio.get_running_loop()
        body = await loop.run_in_executor(self._threads, self._answer, statement, parameters)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _answer(self, statement: str, parameters: Any) -> bytes:
        return msgspec.json.encode(ask(self._own, statement, parameters))


def least_fastapi() -> "FastAPI":
    """The same as a route of FastAPI, whose threads it is run by."""
    from fastapi import FastAPI, Request, Response

    app = FastAPI()
    known = by_path()
    own = threading.local()

    @app.get("/{path:path}")
    def get(path: str, request: Request) -> Response:
        query = request.url.query
        rows = ask(own, *known[f"/{path}" + (f"?{query}" if query else "")])
        return Response(msgspec.json.encode(rows), media_type="application/json")

    return app


def main() -> None:
    """Answer until the input ends."""
    known = questions()
    for line in sys.stdin:
        kind, connections, seconds = json.loads(line)
        print(json.dumps(measure(known[kind], connections, seconds)), flush=True)


if __name__ == "__main__":
    main()
