"""What is answered to everyone: `/`, which leads to the pages, and the files that each of them needs."""

from fastapi import APIRouter, HTTPException, Request, Response
from starlette.responses import RedirectResponse

from mlplat.registry.service import Service
from mlplat.registry.ui.paths import STATIC
from mlplat.registry.ui.rendering import style, style_hash
from mlplat.web import look

FOR_EVER = "public, max-age=31536000, immutable"


def assets(_: Service) -> APIRouter:
    """The routes that nobody must log in for."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    def way_in(request: Request) -> Response:
        """Lead a browser to the pages; a program finds nothing here."""
        if "text/html" not in request.headers.get("accept", ""):
            raise HTTPException(404)
        return RedirectResponse("ui", 303)

    @routes.get(f"{STATIC}ui.css")
    def sheet(v: str = "") -> Response:
        """The style sheet; who asks for that of another release, while a release is rolled out, does not keep it."""
        kept = {"Cache-Control": FOR_EVER} if v == style_hash() else {}
        return Response(style(), media_type="text/css", headers=kept)

    @routes.get(f"{STATIC}icon.svg")
    def icon() -> Response:
        return Response(look.icon(), media_type="image/svg+xml", headers={"Cache-Control": "public, max-age=86400"})

    return routes
