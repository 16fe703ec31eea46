"""An API server in between, which counts what is written through it and ends the writer before one of the writes."""

import json
import os
import signal
import ssl
import subprocess
import threading
from http.client import HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
CHUNK_BYTES = 65536


class Interceptor:
    """Passes requests on to the API server of a kubeconfig, with its credentials.

    Attributes:
        writes: method and path of each write that was passed on, or that was not.
    """

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._server = urlsplit(cluster["server"])
        self._context = ssl.create_default_context(cafile=cluster["certificate-authority"])
        self._context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        self._context.load_cert_chain(user["client-certificate"], user["client-key"])
        self._lock = threading.Lock()
        self._victim: subprocess.Popen[bytes] | None = None
        self._fatal = 0
        self._spared: str | None = None
        self.writes: list[str] = []

    def start(self, folder: Path) -> Path:
        """Listen; returns a kubeconfig that leads here."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass_on(self) -> None:
                outer.handle(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815 - as the server wants them

            def log_message(self, *_: Any) -> None:
                pass

        self._listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._listener.daemon_threads = True
        threading.Thread(target=self._listener.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{self._listener.server_address[1]}"
        path = folder / "intercepted.json"
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "here",
                    "clusters": [{"name": "here", "cluster": {"server": url}}],
                    "users": [{"name": "here", "user": {}}],
                    "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
                }
            )
        )
        return path

    def stop(self) -> None:
        """Listen no longer."""
        self._listener.shutdown()
        self._listener.server_close()

    def reset(self) -> None:
        """Count anew, and kill none."""
        with self._lock:
            self.writes, self._fatal, self._spared, self._victim = [], 0, None, None

    def kill_unless(self, spared: str, victim: subprocess.Popen[bytes]) -> None:
        """Kill a process before its first write, or before its second one if the first is the one that is spared."""
        with self._lock:
            self._fatal, self._spared, self._victim = 1, spared, victim

    def kill_before(self, write: int, victim: subprocess.Popen[bytes]) -> None:
        """Kill a process before its write of this number, from 1."""
        with self._lock:
            self._fatal, self._victim = write, victim

    def _is_fatal(self) -> bool:
        """Whether the writer is to be killed before the latest write."""
        if self.writes == [self._spared]:
            return False
        return 0 < self._fatal <= len(self.writes)

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        """Pass a request on, unless it is the one."""
        request.close_connection = True
        if request.command in WRITES:
            with self._lock:
                self.writes.append(f"{request.command} {urlsplit(request.path).path}")
                if self._victim is not None and self._is_fatal():
                    os.kill(self._victim.pid, signal.SIGKILL)
                    return
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        headers = {
            name: value for name, value in request.headers.items() if name.lower() not in {"host", "accept-encoding"}
        }
        server = HTTPSConnection(str(self._server.hostname), self._server.port, context=self._context)
        try:
            server.request(request.command, request.path, body, headers)
            answer = server.getresponse()
            request.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"transfer-encoding", "connection", "content-length"}:
                    request.send_header(name, value)
            request.send_header("Connection", "close")
            request.end_headers()
            while part := answer.read1(CHUNK_BYTES):
                request.wfile.write(part)
                request.wfile.flush()
        except OSError:  # the process is gone
            return
        finally:
            server.close()
