"""`/health`, `/ready`, `/metrics` and `/version`."""

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Response
from pydantic import BaseModel

from mlplat import __version__, logs
from mlplat.registry.answers import answer
from mlplat.registry.database import DatabaseError
from mlplat.registry.routes.asking import errors
from mlplat.registry.service import Service


class Health(BaseModel):
    """That the process lives."""

    status: str = "ok"


class Ready(BaseModel):
    """Whether the registry can answer: the database must, and the store should."""

    status: str
    database: str
    store: str


class Release(BaseModel):
    """What is running."""

    version: str
    store: str


def probe_routes(service: Service) -> APIRouter:
    """The routes for probes and scrapers."""
    routes = APIRouter(tags=["probes"])
    threads = CapacityLimiter(2)  # its own, as all others may be waiting for the database

    @routes.get("/health", response_model=Health)
    async def health() -> Response:
        """Whether the process lives."""
        return answer(Health())

    @routes.get("/ready", response_model=Ready, responses={503: {"model": Ready, "description": "not yet, and why"}})
    async def ready() -> Response:
        """Whether the database answers and its tables are up to date. A store that is away does not count."""
        try:
            await to_thread.run_sync(service.database.check, limiter=threads)
            database = "ok" if service.prepared.is_set() else "its tables are not up to date yet"
        except DatabaseError as error:
            logs.get().warning("database_unreachable", reason=str(error))
            database = "away"  # why is not for strangers
        done = database == "ok"
        body = Ready(status="ready" if done else "unready", database=database, store=service.condition.store)
        return answer(body, 200 if done else 503, {} if done else {"Retry-After": "2"})

    @routes.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    def metrics() -> Response:
        """Metrics for Prometheus."""
        text = service.metrics.exposition(service.database)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    @routes.get("/version", response_model=Release, responses=errors())
    def version() -> Response:
        """This release, and the store behind it."""
        return answer(Release(version=__version__, store=service.store.url))

    return routes
