"""What every request passes: the API key, the metrics, and the hint to leave while draining."""

import time
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlplat.errors import RequestError
from mlplat.metrics import ServeMetrics
from mlplat.serve.answers import error_response
from mlplat.serve.keys import KeyRing
from mlplat.serve.lifecycle import Lifecycle, Phase

OPEN_PATHS = frozenset({"/health", "/ready", "/metrics"})
"""Answered without a key, for probes and scrapers."""

ROUTES = OPEN_PATHS | {"/predict", "/version", "/docs", "/openapi.json"}


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
        path: str = scope["path"]
        route = path if path in ROUTES else "other"
        start = time.perf_counter()
        status = 500

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._lifecycle.phase is Phase.DRAINING:
                    MutableHeaders(scope=message)["connection"] = "close"
            await send(message)

        try:
            if path in OPEN_PATHS or self._keys.accepts(_key(Headers(scope=scope))):
                await self._app(scope, receive, send_noting)
            else:
                await error_response(_unauthorized())(scope, receive, send_noting)
        finally:
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - start)


def _key(headers: Mapping[str, str]) -> str | None:
    if "x-api-key" in headers:
        return _as_sent(headers["x-api-key"])
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return _as_sent(token) if scheme.lower() == "bearer" else None


def _as_sent(value: str) -> str:
    """A header, which arrives decoded as Latin-1, as the UTF-8 that it was."""
    return value.encode("latin-1").decode("utf-8", "surrogateescape").strip()


def _unauthorized() -> RequestError:
    return RequestError(
        "The API key is missing or wrong.",
        status=401,
        code="unauthorized",
        hint="Send it as 'X-API-Key: KEY' or 'Authorization: Bearer KEY'.",
    )
