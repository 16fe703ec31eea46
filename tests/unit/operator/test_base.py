"""The base, as the chart writes it."""

import pytest

from mlplat.errors import SchemaError
from mlplat.operator.base import ENVIRONMENTS, MANIFESTS, read_base

from .conftest import PRODUCTION, SERVING


def test_it_is_read_by_kind() -> None:
    base = read_base("ml", {MANIFESTS: SERVING, ENVIRONMENTS: PRODUCTION})
    assert base.manifests["Deployment"]["metadata"]["name"] == "release"
    assert base.settings == {"MLPLAT_DRAIN_SECONDS": "20", "LOG_LEVEL": "info"}
    assert base.environments["production"]["resources"] == {"requests": {"cpu": "250m"}}


def test_another_one_has_another_digest() -> None:
    one = read_base("ml", {MANIFESTS: SERVING})
    assert one.digest == read_base("ml", {MANIFESTS: SERVING}).digest
    assert one.digest != read_base("ml", {MANIFESTS: SERVING, ENVIRONMENTS: PRODUCTION}).digest


def test_one_that_lacks_a_kind_is_refused() -> None:
    with pytest.raises(SchemaError, match="no Service, HorizontalPodAutoscaler"):
        read_base("ml", {MANIFESTS: SERVING.split("---\napiVersion: v1\nkind: Service", 1)[0]})
    with pytest.raises(SchemaError, match="no YAML"):
        read_base("ml", {MANIFESTS: "{"})
