"""What any framework costs: an ASGI app that answers a constant, and the same in FastAPI. Run by uvicorn."""

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import FastAPI

ANSWER = {
    "prediction": "setosa",
    "prediction_index": 0,
    "confidence": 1.0,
    "probabilities": {"setosa": 1.0, "versicolor": 0.0, "virginica": 0.0},
    "model_name": "forest",
    "model_version": "v1",
    "timestamp": "2026-01-01T00:00:00Z",
}
"""As long as an answer of this server."""

BODY = json.dumps(ANSWER, separators=(",", ":")).encode()
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]


async def constant(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 - it does not even read the body
    """Answer every request with the same bytes."""
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


def fastapi_constant() -> "FastAPI":
    """The same as people write it in FastAPI."""
    from fastapi import FastAPI

    app = FastAPI()

    @app.post("/predict")
    async def predict() -> dict[str, Any]:
        return ANSWER

    return app
