"""The HTTP routes. Each translates HTTP and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

import numpy as np
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from mlplat import __version__
from mlplat.errors import MlplatError, OverloadedError
from mlplat.metrics import ServeMetrics
from mlplat.serve.answers import JSONAnswer, on_failure, on_http_error, on_mlplat_error
from mlplat.serve.body import BodyLimits, check_content_type, read_body
from mlplat.serve.decode import Limits, Question, decode, encode_columns
from mlplat.serve.docs import add_docs
from mlplat.serve.edge import Edge
from mlplat.serve.encode import encode, encode_forecast
from mlplat.serve.keys import KeyRing
from mlplat.serve.lifecycle import Lifecycle, Phase, Served


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits of the server's requests; times in seconds."""

    limits: Limits
    body: BodyLimits
    deadline: float = 30.0
    drain_unready: bool = False


def create_app(lifecycle: Lifecycle, metrics: ServeMetrics, keys: KeyRing, rules: Rules) -> FastAPI:
    """The application around a lifecycle, which it starts and ends."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        running = asyncio.create_task(lifecycle.run())
        yield
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    app = FastAPI(
        title="ml-platform",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        exception_handlers={
            MlplatError: on_mlplat_error,
            HTTPException: on_http_error,
            Exception: on_failure,
        },
    )
    app.add_middleware(Edge, keys=keys, lifecycle=lifecycle, metrics=metrics)

    async def predict(request: Request) -> Response:
        """Predict a row or rows."""
        served = lifecycle.require()
        manifest = served.manifest
        check_content_type(request)
        try:
            body = await read_body(request, rules.body)
        except ClientDisconnect:
            return Response(status_code=499)
        question = decode(body, manifest.features, manifest.task, rules.limits)
        answer = await _answer(served, question, rules.deadline)
        metrics.rows.labels(manifest.version).inc(question.rows)
        return JSONAnswer(answer)

    async def health(_: Request) -> Response:
        """Whether the process lives."""
        return JSONAnswer({"status": "ok"})

    async def ready(_: Request) -> Response:
        """Whether exactly the wanted version is loaded, checked and warm; else why not."""
        leaving = lifecycle.phase is Phase.DRAINING and rules.drain_unready
        if lifecycle.current is None or leaving:
            return JSONAnswer(
                {"error": f"Not ready: {lifecycle.reason}.", "code": "not_ready", "status": lifecycle.phase},
                503,
                {"Retry-After": "1"},
            )
        manifest = lifecycle.current.manifest
        return JSONAnswer({"status": lifecycle.phase, "model_name": manifest.model, "model_version": manifest.version})

    async def exposition(_: Request) -> Response:
        """Metrics for Prometheus; drift is measured when it is asked for."""
        await lifecycle.measure_drift()
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

    app.add_api_route("/predict", predict, methods=["POST"])
    for path, endpoint in {"/health": health, "/ready": ready, "/metrics": exposition, "/version": version}.items():
        app.add_api_route(path, endpoint, methods=["GET"], name=path.removeprefix("/"))
        app.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
    add_docs(app, lifecycle)
    return app


async def _answer(served: Served, question: Question, deadline: float) -> bytes:
    """Predict a question within `deadline` seconds.

    Raises:
        OverloadedError: if it takes longer.
        RequestError: if a value cannot be encoded.
    """
    manifest = served.manifest
    inputs = encode_columns(question, manifest.features)
    try:
        async with asyncio.timeout(deadline):
            if question.series is not None and question.horizon is not None:
                series = np.asarray(question.series)
                forecast = partial(served.predictor.forecast, series, question.horizon)
                values = await served.batcher.call(forecast)
                return encode_forecast(values, manifest)
            prediction = await served.batcher.predict(inputs, question.rows)
        served.drift.add(inputs, prediction)
        return encode(question, prediction, manifest)
    except TimeoutError as error:
        raise OverloadedError(f"No prediction within {deadline:g} s.", hint="Try again later.") from error
