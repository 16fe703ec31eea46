"""The OpenAPI document says what the registry does: schemathesis asks what it describes, and worse."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from httpx import Client
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from mlplat.registry.access import KeyRing
from mlplat.registry.database import Database
from mlplat.registry.metrics import RegistryMetrics
from mlplat.registry.service import Service
from mlplat.store import ObjectStore

from .conftest import ADMIN, serving

KEY = {"X-API-Key": ADMIN}

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]


@pytest.fixture
def base(database: Database, store: ObjectStore, tmp_path: Path, draft: Callable[..., Any]) -> Iterator[str]:
    """A registry for everyone, with a version and an alias."""
    version = draft("v1")
    store.publish(version.manifest, version.files)
    store.move("iris", "champion", "v1", reason="", by="")
    service = Service(database, store, KeyRing(database, admin_key=ADMIN), tmp_path, 1 << 20, RegistryMetrics())
    with serving(service) as url, Client(base_url=url, headers=KEY, timeout=60) as client:
        assert service.prepared.wait(30)
        assert client.get("/models/iris").status_code == 200
        yield url


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: str(mode.value))
def test_every_answer_is_one_that_the_document_names(base: str, mode: GenerationMode) -> None:
    document = schemathesis.openapi.from_url(f"{base}/openapi.json", headers=KEY)
    operations = [operation for path in document.values() for operation in path.values()]
    assert len(operations) > 20
    for operation in operations:
        if mode is GenerationMode.NEGATIVE and operation.path in {"/health", "/ready", "/metrics", "/version"}:
            continue  # nothing is wrong with a mere path

        @settings(
            max_examples=8, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            case.call_and_validate(base_url=base, headers=KEY, checks=CHECKS)

        ask()
