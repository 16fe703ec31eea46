"""Downloads for who has a session, not a key: the same bytes by the same way."""

from typing import Annotated

from fastapi import APIRouter, Header, Response

from mlplat.registry.routes.asking import ModelName, VersionName
from mlplat.registry.routes.files import Conditions, FileName, Sent, send_file, send_manifest
from mlplat.registry.service import Service
from mlplat.registry.ui.visits import Visiting


def file_pages(service: Service) -> APIRouter:
    """The routes of downloads."""
    routes = APIRouter(prefix="/ui/models/{name}/versions/{version}", include_in_schema=False)

    @routes.get("/manifest")
    def manifest(visit: Visiting, name: ModelName, version: VersionName) -> Response:
        """The manifest, as a file."""
        visit.known.caller.require_sight(name)
        answer = send_manifest(service, name, version, None)
        answer.headers["Content-Disposition"] = f'attachment; filename="{name}-{version}.json"'
        return _unkept(answer)

    @routes.get("/files/{file}")
    def download(  # noqa: PLR0917
        visit: Visiting,
        name: ModelName,
        version: VersionName,
        file: FileName,
        range_: Annotated[str | None, Header(alias="Range")] = None,
        if_range: Sent = None,
    ) -> Response:
        """A file, or what is left of it where a download is taken up again."""
        visit.known.caller.require_sight(name)
        return _unkept(send_file(service, name, version, file, Conditions(range_, if_range)))

    return routes


def _unkept(answer: Response) -> Response:
    """An answer that a browser which others use, too, does not keep."""
    answer.headers["Cache-Control"] = "no-store"
    return answer
