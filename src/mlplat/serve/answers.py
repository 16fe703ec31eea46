"""Errors of the ASGI application as answers: the right status, in the shape of the path's protocol, on every route."""

from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from mlplat import logs
from mlplat.errors import MlplatError, RequestError
from mlplat.serve.protocols import shape_of
from mlplat.serve.service import FAILED, error_headers

CODES = {404: "not_found", 405: "method_not_allowed"}


class JSONAnswer(Response):
    """A JSON body, encoded by msgspec."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The body as bytes; bytes are sent as they are."""
        return content if isinstance(content, bytes) else msgspec.json.encode(content)


def error_response(error: MlplatError, path: str) -> JSONAnswer:
    """The answer that an error of ours gives at a path, in the shape of its protocol."""
    answer = JSONAnswer(shape_of(path).error(error).body, error.status)
    for line in error_headers(error).decode("latin-1").splitlines():
        name, _, value = line.partition(": ")
        answer.headers[name] = value
    return answer


async def on_mlplat_error(request: Request, error: Exception) -> Response:
    """Handler of `MlplatError`."""
    if not isinstance(error, MlplatError):  # pragma: no cover - registered for that class only
        raise error
    if error.status == 500:
        logs.get().error("request_failed", reason=str(error))
    return error_response(error, request.scope["path"])


async def on_http_error(request: Request, error: Exception) -> Response:
    """Handler of the framework's own errors: no such route, wrong method."""
    if not isinstance(error, HTTPException):  # pragma: no cover - registered for that class only
        raise error
    text = {
        404: f"There is nothing at {request.url.path[:200]}; see /docs.",
        405: f"{request.method[:20]} is not allowed at {request.url.path[:200]}; see /docs.",
    }.get(error.status_code, str(error.detail))
    refusal = RequestError(text, status=error.status_code, code=CODES.get(error.status_code, "http_error"))
    return JSONAnswer(shape_of(request.scope["path"]).error(refusal).body, error.status_code, dict(error.headers or {}))


async def on_failure(request: Request, error: Exception) -> Response:
    """Handler of everything unforeseen; the details go to the log, not to the client."""
    logs.get().error("request_failed", exc_info=error)
    return error_response(FAILED, request.scope["path"])
