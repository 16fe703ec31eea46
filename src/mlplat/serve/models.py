"""What KServe's V1 protocol says about the model, besides predictions: its name, and whether it is ready."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlplat.serve.answers import JSONAnswer
from mlplat.serve.lifecycle import Lifecycle
from mlplat.serve.metadata import check_named


def model_routes(lifecycle: Lifecycle) -> list[Route]:
    """The routes below /v1, besides prediction."""
    name = lifecycle.source.model

    async def models(_: Request) -> Response:
        return JSONAnswer({"models": [name]})

    async def model(request: Request) -> Response:
        check_named(lifecycle, request)
        if lifecycle.ready:
            return JSONAnswer({"name": name, "ready": True})
        return JSONAnswer({"name": name, "ready": False, "error": f"Not ready: {lifecycle.reason}."}, 503)

    return [
        Route("/v1/models", models),
        Route("/v1/models/{model}", model),
        Route("/v1/models/{model}/versions/{version}", model),
    ]
