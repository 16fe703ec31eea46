"""`/docs`: the routes, to read and to try. Nothing from other hosts."""

from collections.abc import Callable

from fastapi import APIRouter, Response

from mlplat.registry.service import Service
from mlplat.web import swagger


def docs_routes(_: Service) -> APIRouter:
    """The page and its files."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/docs")
    async def page() -> Response:
        return Response(swagger.page("API of the registry"), media_type="text/html")

    @routes.get("/docs/start.js")
    async def start() -> Response:
        return Response(swagger.START, media_type="text/javascript")

    for name, media_type in swagger.ASSETS.items():
        routes.get(f"/docs/{name}")(_asset(name, media_type))
    return routes


def _asset(name: str, media_type: str) -> Callable[[], Response]:
    def send() -> Response:
        return Response(swagger.asset(name), media_type=media_type)

    return send
