"""Answers: JSON, and every error as a sentence and a word, with the right status, on every route."""

from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from mlplat import logs
from mlplat.errors import MlplatError, OverloadedError, RequestError
from mlplat.registry.bodies import Failure

CODES = {404: "not_found", 405: "method_not_allowed"}
FAILED = MlplatError("The registry failed on this request; the reason is in its log.")
RETRY_AFTER = 5
"""Seconds after which to try again where nobody said when: the store is away."""


class JSONAnswer(Response):
    """A JSON body."""

    media_type = "application/json"


def answer(body: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> JSONAnswer:
    """The answer that holds a body."""
    return JSONAnswer(body.model_dump_json(), status, dict(headers or {}))


def error_response(error: MlplatError) -> JSONAnswer:
    """The answer that an error of ours gives."""
    if error.status == 503:
        after = error.retry_after if isinstance(error, OverloadedError) else RETRY_AFTER
        return answer(Failure(error=str(error), code="unavailable"), 503, {"Retry-After": str(after)})
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    return answer(Failure(error=str(error), code=error.code), error.status, headers)


async def on_mlplat_error(_: Request, error: Exception) -> Response:
    """Handler of `MlplatError`."""
    if not isinstance(error, MlplatError):  # pragma: no cover - registered for that class only
        raise error
    if error.status >= 500:
        logs.get().error("request_failed", reason=str(error))
    return error_response(error)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Handler of the framework's own errors: no such route, wrong method, a body that cannot be received."""
    if not isinstance(error, HTTPException):  # pragma: no cover - registered for that class only
        raise error
    if isinstance(error.__cause__, MlplatError):
        return error_response(error.__cause__)
    if error.status_code == 400:  # the framework's only one
        is_form = request.headers.get("content-type", "").lower().startswith("multipart/form-data")
        return error_response(RequestError(f"The body is not {'a form' if is_form else 'JSON in UTF-8'}."))
    text = {
        404: f"There is nothing at {request.url.path[:200]}; see /docs.",
        405: f"{request.method[:20]} is not allowed at {request.url.path[:200]}; see /docs.",
    }.get(error.status_code, str(error.detail))
    refusal = RequestError(text, status=error.status_code, code=CODES.get(error.status_code, "http_error"))
    found = error_response(refusal)
    found.headers.update(error.headers or {})
    return found


async def on_invalid(_: Request, error: Exception) -> Response:
    """Handler of what a path, a query, a header or a body must not be; the first of these is named."""
    if not isinstance(error, RequestValidationError):  # pragma: no cover - registered for that class only
        raise error
    return error_response(RequestError(sentence(error.errors()[0])))


async def on_gone(_: Request, __: Exception) -> Response:
    """Handler of clients that left before all of their body had arrived; the status is for the metrics only."""
    return Response(status_code=499)


async def on_failure(_: Request, error: Exception) -> Response:
    """Handler of everything unforeseen; the details go to the log, not to the client."""
    logs.get().error("request_failed", exc_info=error)
    return error_response(FAILED)


def sentence(problem: Mapping[str, Any]) -> str:
    """What pydantic found wrong, where, and what was there."""
    where = ".".join(str(part)[:100] for part in problem["loc"])
    if problem["type"] == "json_invalid":
        return f"The body is not JSON: {problem['ctx']['error']}, at byte {problem['loc'][-1]}."
    text = str(problem["msg"]).removeprefix("Value error, ")
    return f"{where}: {text[0].lower() + text[1:]}{_found(problem.get('input'))}."


def _found(value: Any) -> str:
    """A small value, as it was sent."""
    if not isinstance(value, str | int | float | bool):
        return ""
    try:
        shown = msgspec.json.encode(value).decode()
    except (msgspec.MsgspecError, OverflowError, UnicodeEncodeError):
        return ""
    return f"; found {shown[:100]}"
