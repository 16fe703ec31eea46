"""What every request to the ASGI application passes: the API key, the metrics, and the hint to leave while draining."""

import time

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlplat.metrics import ServeMetrics
from mlplat.serve.answers import error_response
from mlplat.serve.keys import KeyRing
from mlplat.serve.lifecycle import Lifecycle, Phase
from mlplat.web.apikeys import sent_key, unauthorized

OPEN_PATHS = frozenset({"/metrics", "/v2/health/live", "/v2/health/ready"})
"""Answered without a key, for scrapers and probes; the other probes are answered below ASGI."""


class Edge:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, keys: KeyRing, lifecycle: Lifecycle, metrics: ServeMetrics) -> None:
        self._app = app
        self._keys = keys
        self._lifecycle = lifecycle
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass on what is none."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 500

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._lifecycle.phase is Phase.DRAINING:
                    MutableHeaders(scope=message)["connection"] = "close"
            await send(message)

        headers = dict(scope["headers"])
        try:
            if scope["path"] in OPEN_PATHS or self._keys.accepts(sent_key(headers)):
                await self._app(scope, receive, send_noting)
            else:
                refusal = error_response(unauthorized(), scope["path"])
                if b"text/html" in headers.get(b"accept", b""):  # a browser then asks for it, as a password
                    refusal.headers["WWW-Authenticate"] = 'Basic realm="API key as password", charset="UTF-8"'
                await refusal(scope, receive, send_noting)
        finally:
            self._metrics.tally("http", "").add(time.perf_counter() - start, status)
