"""Answers of an API server, prepared beforehand, over HTTP."""

import json
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from lightkube import AsyncClient, KubeConfig

from mlplat.operator.children import MANAGER, Manifest


class ApiServer:
    """Lists what it is given, answers watches as it is told, takes every write, and refuses some requests.

    Attributes:
        items: what there is, by the plural of its kind; all of one namespace.
        watches: what the next watches of a kind answer before they end; later ones stay open and tell nothing.
        refusals: status and message for the requests that have a piece of a path, or a method and that piece; for the status 0
            the connection is cut.
        holds: until when requests with a piece, as of refusals, wait for their answer.
        lapses: so for the next requests only, one after the other, also by a piece of a query.
        reads: path and query of each list and watch.
        writes: what was written last, by method and path.
    """

    def __init__(self) -> None:
        self.items: dict[str, list[Manifest]] = {}
        self.watches: dict[str, list[bytes]] = {}
        self.refusals: dict[str, tuple[int, str]] = {}
        self.holds: dict[str, Event] = {}
        self.lapses: dict[str, list[tuple[int, str]]] = {}
        self.reads: list[str] = []
        self.writes: dict[str, Any] = {}
        self._ending = Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                with suppress(ConnectionError):  # the client is gone
                    outer.answer(self)

            do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - as the server wants them

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._server.shutdown()
        self._server.server_close()

    def client(self) -> AsyncClient:
        """A client of it."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{self._server.server_address[1]}"}}],
            "users": [{"name": "here", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
        }
        return AsyncClient(KubeConfig.from_dict(config).get(), field_manager=MANAGER)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer a request."""
        url = urlsplit(request.path)
        asked = f"{request.command} {url.path}"
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        written = json.loads(body) if body else {"metadata": {}}
        if request.command != "GET":
            self.writes[asked] = written
        else:
            self.reads.append(request.path)
        code, message = self._verdict(asked, request.path)
        namespace, plural, *name = url.path.partition("/namespaces/")[2].split("/")
        if name and request.command == "GET":
            code, message = 404, f"there is no {name[0]}"
        if code == 0:
            return
        if code != 200:
            _send(request, code, {"kind": "Status", "apiVersion": "v1", "code": code, "message": message})
        elif request.command != "GET":
            written["metadata"]["resourceVersion"] = "1000"
            _send(request, code, written)
        elif "watch" in parse_qs(url.query):
            _send(request, code, None)
            prepared = self.watches.get(plural)
            if prepared:
                request.wfile.write(prepared.pop(0))
            else:
                self._ending.wait()
        else:
            items = [item for item in self.items.get(plural, []) if item["metadata"]["namespace"] == namespace]
            _send(request, code, {"metadata": {"resourceVersion": "10"}, "items": items})

    def _verdict(self, asked: str, path: str) -> tuple[int, str]:
        """Status and message for a request, as soon as it may be answered."""
        for until in [until for piece, until in list(self.holds.items()) if piece in asked]:
            until.wait()
        lapse = next((found for piece, found in list(self.lapses.items()) if found and piece in path), None)
        if lapse:
            return lapse.pop(0)
        return next((refusal for piece, refusal in list(self.refusals.items()) if piece in asked), (200, ""))


def event(kind: str, manifest: Manifest) -> bytes:
    """A line of a watch."""
    return json.dumps({"type": kind, "object": manifest}).encode() + b"\n"


def _send(request: BaseHTTPRequestHandler, code: int, content: Any) -> None:
    request.send_response(code)
    request.send_header("Content-Type", "application/json")
    request.end_headers()
    request.wfile.flush()
    if content is not None:
        request.wfile.write(json.dumps(content).encode())
