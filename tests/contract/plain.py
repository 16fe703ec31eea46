"""Plain uvicorn on httptools, and an application that answers as ours does: what our connections are held against."""

import asyncio
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import uvicorn
from tests.unit.serve.conftest import PATIENCE_SECONDS, poll

PAGES = {"/health": b'{"status":"ok"}', "/docs": b"<!DOCTYPE html>", "/version": b'{"model_name":"iris"}'}


open_gate = threading.Event()
"""While it is not set, predictions wait."""

open_gate.set()


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Predicts irises by one number, and has the paths of the real thing."""
    path, method = scope["path"], scope["method"]
    if path == "/predict":
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        while not open_gate.is_set():
            await asyncio.sleep(0.01)
        await _answer(send, *_predicted(method, body))
    elif path in PAGES:
        await _answer(send, 200 if method in {"GET", "HEAD"} else 405, PAGES[path])
    else:
        await _answer(send, 404, b'{"code":"not_found"}')


@contextmanager
def plain_uvicorn() -> Iterator[tuple[uvicorn.Server, int]]:
    """Such a server in a thread, and its port."""
    config = uvicorn.Config(app, http="httptools", loop="uvloop", lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    log = logging.getLogger("uvicorn.error")
    log.disabled = True  # a traceback made in a thread spoils one that pytest makes meanwhile (python/cpython #106905)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            poll(lambda: server.started, "plain uvicorn listens")
            yield server, listener.getsockname()[1]
        finally:
            server.should_exit = server.force_exit = True
            thread.join(PATIENCE_SECONDS)
            log.disabled = False


def _predicted(method: str, body: bytes) -> tuple[int, bytes]:
    if method != "POST":
        return 405, b'{"code":"method_not_allowed"}'
    try:
        rows = msgspec.json.decode(body)["features"]
    except (msgspec.DecodeError, TypeError, KeyError):
        return 400, b'{"code":"invalid"}'
    if isinstance(rows[0], list):
        return 200, msgspec.json.encode({"predictions": [_flower(row) for row in rows]})
    return 200, msgspec.json.encode({"prediction": _flower(rows)})


def _flower(row: list[float]) -> str:
    return "setosa" if row[2] < 2.5 else "virginica"


async def _answer(send: Any, status: int, body: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
