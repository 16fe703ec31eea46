"""What every request passes: the key, a request id, limits on its body, and the metrics."""

import asyncio
import re
import time
from collections.abc import Mapping
from functools import partial
from uuid import uuid4

from anyio import CapacityLimiter, to_thread
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlplat.errors import MlplatError, OverloadedError, RequestError
from mlplat.registry.answers import error_response
from mlplat.registry.audit import Author
from mlplat.registry.protocol import UPLOAD
from mlplat.registry.service import Service
from mlplat.registry.ui import errors, forgery, visits
from mlplat.registry.ui.paths import is_page, is_static
from mlplat.registry.ui.rendering import HEADERS
from mlplat.web.apikeys import sent_key

OPEN_PATHS = frozenset({"/health", "/ready", "/metrics"})
"""Answered without a key, for probes and scrapers."""

BODY_BYTES = 1 << 20
"""What a body may have that is no upload."""

RECEIVE_SECONDS = 30.0
"""Within so many seconds the next part of a body must arrive."""

LOOKS = 40
"""Threads that look keys up: their own, as all others may be waiting for the store."""

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
UPLOADS = re.compile(r"/models/[^/]+/versions")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Edge:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service
        self._looks = CapacityLimiter(LOOKS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass on what is none."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        headers = dict(reversed(scope["headers"]))  # of one that is there twice, the first
        request_id = _request_id(headers)
        status = 500

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                added = MutableHeaders(scope=message)
                added["X-Request-Id"] = request_id
                added["X-Content-Type-Options"] = "nosniff"
                added.setdefault("Cache-Control", "no-store")
                if is_page(scope["path"]):
                    added.update(HEADERS)
            await send(message)

        try:
            await self._admit(scope, headers, request_id)
        except MlplatError as error:
            refusal = errors.as_page(scope, error_response(error))
            if error.status == 401 and b"text/html" in headers.get(b"accept", b""):  # a browser then asks for it
                refusal.headers["WWW-Authenticate"] = 'Basic realm="API key as password", charset="UTF-8"'
            if scope["method"] not in SAFE:
                refusal.headers["Connection"] = "close"  # what is left of the body is not read
            await refusal(scope, receive, send_noting)
        else:
            await self._app(scope, _Body(receive, self._limit(scope)), send_noting)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in METHODS else "other"
            self._service.metrics.count(route, method, status, time.perf_counter() - start)

    async def _admit(self, scope: Scope, headers: Mapping[bytes, bytes], request_id: str) -> None:
        """Let in who may be; says who it is in the scope's state."""
        if scope["path"] in OPEN_PATHS or is_static(scope["path"]) or _is_way_in(scope, headers):
            return
        if not self._service.prepared.is_set():
            raise OverloadedError("The registry has not reached its database yet.", retry_after=2)
        known = await self._known(scope, headers, request_id)
        if scope["method"] not in SAFE:
            forgery.refuse_foreign(headers)
        limit = self._limit(scope)
        if (length := headers.get(b"content-length", b"0")).isdigit() and int(length[:20]) > limit:
            raise too_large(limit)
        if _is_upload(scope):
            known[UPLOAD] = limit
        scope["state"] = {**scope.get("state", {}), **known}

    async def _known(self, scope: Scope, headers: Mapping[bytes, bytes], request_id: str) -> dict[str, object]:
        """Who it is: for pages by a session, and never by a key; for all else by a key, and never by a cookie."""
        if is_page(scope["path"]):
            if scope["method"] not in SAFE:
                forgery.require_origin(headers)
            look = partial(visits.look, self._service, scope, request_id)
            return {"visit": await to_thread.run_sync(look, limiter=self._looks)}
        key = sent_key(headers)
        keys = self._service.keys
        caller = keys.known(key)
        if caller is None:
            caller = await to_thread.run_sync(keys.look_up, key, limiter=self._looks)
        return {"author": Author(caller, request_id)}

    def _limit(self, scope: Scope) -> int:
        """What the body may have; the one route that takes uploads holds other bodies to `BODY_BYTES` itself."""
        return self._service.max_upload_bytes if _is_upload(scope) else BODY_BYTES


class _Body:
    """Receives a body that must have an end, and must not be waited for too long."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._received = 0
        self._ended = False

    async def __call__(self) -> Message:
        """The next message; after the body, whatever comes whenever it does."""
        if self._ended:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), RECEIVE_SECONDS)
        except TimeoutError:
            raise RequestError(
                f"Nothing of the body arrived for {RECEIVE_SECONDS:g} s.", status=408, code="request_timeout"
            ) from None
        self._received += len(message.get("body", b""))
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        if self._received > self._limit:
            raise too_large(self._limit)
        return message


def too_large(limit: int) -> RequestError:
    """The error of a body that is too large."""
    return RequestError(f"The body is larger than {limit} bytes.", status=413, code="body_too_large")


def _is_upload(scope: Scope) -> bool:
    return scope["method"] == "POST" and UPLOADS.fullmatch(scope["path"]) is not None


def _is_way_in(scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a browser asks for nothing but what is here: it is led to the pages."""
    return scope["path"] == "/" and scope["method"] == "GET" and b"text/html" in headers.get(b"accept", b"")


def _request_id(headers: Mapping[bytes, bytes]) -> str:
    sent = headers.get(b"x-request-id", b"").decode("latin-1")
    return sent if REQUEST_ID.fullmatch(sent) else uuid4().hex
