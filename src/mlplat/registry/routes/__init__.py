"""The routes: each translates HTTP and nothing else."""

from fastapi import APIRouter

from mlplat.registry.routes.aliases import alias_routes
from mlplat.registry.routes.audit import audit_routes
from mlplat.registry.routes.docs import docs_routes
from mlplat.registry.routes.files import file_routes
from mlplat.registry.routes.keys import key_routes
from mlplat.registry.routes.models import model_routes
from mlplat.registry.routes.probes import probe_routes
from mlplat.registry.routes.versions import version_routes
from mlplat.registry.service import Service


def all_routes(service: Service) -> list[APIRouter]:
    """The routes of a registry."""
    makers = (
        model_routes,
        version_routes,
        file_routes,
        alias_routes,
        audit_routes,
        key_routes,
        probe_routes,
        docs_routes,
    )
    return [make(service) for make in makers]
