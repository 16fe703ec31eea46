"""The OpenAPI document of each model says what the server does: schemathesis asks what it describes, and worse."""

from typing import Any

import pytest
import schemathesis
from hypothesis import given
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from tests.contract.draws import drawn
from tests.unit.serve.conftest import Running

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]
VERSIONS = [("iris", "v1"), ("customers", "v1"), ("forecast", "v1")]


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: str(mode.value))
@pytest.mark.parametrize("version", VERSIONS, ids="-".join)
def test_every_answer_is_one_that_the_document_names(
    servers: dict[tuple[str, str], Running], version: tuple[str, str], mode: GenerationMode
) -> None:
    url = str(servers[version].client.base_url)
    document = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [operation for path in document.values() for operation in path.values()]
    bodies = [operation for operation in operations if operation.method == "post"]
    assert len(bodies) > 3
    for operation in operations if mode is GenerationMode.POSITIVE else bodies:  # nothing is wrong with a mere path

        @drawn(10 if operation in bodies else 1)
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            case.call_and_validate(base_url=url, checks=CHECKS)

        ask()
