"""The ASGI application."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from mlplat import __version__
from mlplat.errors import MlplatError
from mlplat.registry.answers import on_failure, on_gone, on_http_error, on_invalid, on_mlplat_error
from mlplat.registry.edge import OPEN_PATHS, Edge
from mlplat.registry.routes import all_routes
from mlplat.registry.service import Service
from mlplat.registry.shortcut import Shortcut
from mlplat.registry.ui.errors import shown
from mlplat.registry.ui.routes import page_routes
from mlplat.registry.upkeep import Upkeep
from mlplat.web.apikeys import SECURITY

READERS = 40
"""Threads that answer plain reads, as many as the framework has for the rest."""


def create_app(service: Service, *, sync_seconds: float = 60.0) -> FastAPI:
    """The application of a registry.

    Args:
        service: the registry.
        sync_seconds: how often to look for what others wrote into the store.
    """
    readers = ThreadPoolExecutor(READERS, "read")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        upkeep = Upkeep(service, sync_seconds)
        upkeep.start()
        yield
        upkeep.end()
        readers.shutdown()
        service.database.close()

    app = FastAPI(
        title="Registry of mlplat",
        version=__version__,
        description="Models, versions, aliases, and who changed what.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        exception_handlers={
            MlplatError: shown(on_mlplat_error),
            HTTPException: shown(on_http_error),
            RequestValidationError: shown(on_invalid),
            ClientDisconnect: on_gone,
            Exception: shown(on_failure),
        },
    )
    of_service = all_routes(service)
    for routes in (*of_service, *page_routes(service)):
        app.include_router(routes)
    reads = [route for routes in of_service for route in routes.routes]
    app.add_middleware(Shortcut, service=service, routes=reads, threads=readers)
    app.add_middleware(Edge, service=service)
    generated = app.openapi

    def openapi() -> dict[str, Any]:
        document = generated()
        document["components"]["securitySchemes"] = SECURITY
        document["security"] = [{scheme: []} for scheme in SECURITY]
        for path in OPEN_PATHS:
            document["paths"][path]["get"]["security"] = []
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI documents it
    return app
