"""The ASGI application: what is asked rarely. Each route translates HTTP and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlplat import __version__
from mlplat.errors import MlplatError
from mlplat.metrics import ServeMetrics
from mlplat.serve.agreement import Comparison
from mlplat.serve.answers import JSONAnswer, on_failure, on_http_error, on_mlplat_error
from mlplat.serve.docs import docs_routes
from mlplat.serve.edge import Edge
from mlplat.serve.keys import KeyRing
from mlplat.serve.lifecycle import Lifecycle
from mlplat.serve.metadata import metadata_routes
from mlplat.serve.models import model_routes
from mlplat.serve.pages import page_routes


def create_app(
    lifecycle: Lifecycle,
    metrics: ServeMetrics,
    keys: KeyRing,
    *,
    comparison: Comparison | None = None,
    drain_unready: bool = False,
) -> Starlette:
    """The application around a lifecycle, which it starts and ends.

    Args:
        lifecycle: the version that serves.
        metrics: what is counted.
        keys: who is let in.
        comparison: with another version, started and ended likewise.
        drain_unready: whether readiness says no while draining.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        running = [asyncio.create_task(each.run()) for each in (lifecycle, comparison) if each is not None]
        yield
        for task in running:
            task.cancel()
        for task in running:
            with suppress(asyncio.CancelledError):
                await task

    async def exposition(_: Request) -> Response:
        """Metrics for Prometheus; drift and recent predictions are measured when they are asked for."""
        await lifecycle.measure_drift()
        lifecycle.note_recent()
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def version(_: Request) -> Response:
        """What is running: this release, and the model and version that serve."""
        served = lifecycle.current
        manifest = served.manifest if served is not None else None
        return JSONAnswer(
            {
                "version": __version__,
                "model_name": lifecycle.source.model,
                "model_version": manifest.version if manifest is not None else None,
                "alias": lifecycle.source.alias,
                "runtime": manifest.runtime if manifest is not None else None,
            }
        )

    return Starlette(
        routes=[
            Route("/metrics", exposition),
            Route("/version", version),
            *model_routes(lifecycle),
            *metadata_routes(lifecycle, drain_unready=drain_unready),
            *docs_routes(lifecycle, keys=keys.required),
            *page_routes(lifecycle),
        ],
        lifespan=lifespan,
        middleware=[Middleware(Edge, keys=keys, lifecycle=lifecycle, metrics=metrics)],
        exception_handlers={MlplatError: on_mlplat_error, HTTPException: on_http_error, Exception: on_failure},
    )
