"""The routes of pages: each finds what it shows, and a template shows it."""

from fastapi import APIRouter

from mlplat.registry.service import Service
from mlplat.registry.ui.routes.aliases import alias_pages
from mlplat.registry.ui.routes.assets import assets
from mlplat.registry.ui.routes.audit import audit_pages
from mlplat.registry.ui.routes.entrance import entrance
from mlplat.registry.ui.routes.files import file_pages
from mlplat.registry.ui.routes.models import model_pages
from mlplat.registry.ui.routes.versions import version_pages


def page_routes(service: Service) -> list[APIRouter]:
    """The routes of the registry's pages."""
    makers = (assets, entrance, model_pages, version_pages, file_pages, alias_pages, audit_pages)
    return [make(service) for make in makers]
