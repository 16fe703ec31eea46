"""The files in values/: only what differs from the defaults, each with its reason."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest

from .conftest import ROOT, Render, environments, named, one, read

FILES = named(environments())
COMPOSED = [
    ("production", "prometheus-operator"),
    ("minikube", "forecast"),
    ("staging", "retraining"),
    ("production", "registry"),
]


def leaves(values: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(values, dict) and values:
        for key, value in values.items():
            yield from leaves(value, (*path, key))
    else:
        yield path, values


@pytest.mark.parametrize("path", FILES)
def test_it_holds_only_what_differs_from_the_defaults(chart: helm.Chart, path: Path) -> None:
    defaults = dict(leaves(chart.values))
    same = [".".join(key) for key, value in leaves(read(path)) if key in defaults and defaults[key] == value]
    assert same == []


@pytest.mark.parametrize("path", FILES)
def test_it_opens_with_what_it_is_for(path: Path) -> None:
    assert path.read_text().startswith("# ")


@pytest.mark.parametrize("names", COMPOSED, ids="+".join)
def test_files_can_be_combined(chart: helm.Chart, names: tuple[str, str]) -> None:
    values: dict[str, Any] = {}
    for name in names:
        values = merged(values, read(ROOT / "values" / f"{name}.yaml"))
    assert chart.render(values, name="r", namespace="n")


def merged(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    both = {key: merged(one[key], two[key]) for key in one.keys() & two.keys() if isinstance(one[key], dict)}
    return one | two | both


def test_minikube_is_reached_at_its_port(render: Render) -> None:
    values = read(ROOT / "values" / "minikube.yaml")
    for objects, ending, port in (
        (render(values), "ml-platform", 30080),
        (render(merged(values, {"registry": {"enabled": True}})), "ml-platform-registry", 30800),
    ):
        service = one(objects, "Service", ending)
        assert service["spec"]["type"] == "NodePort"
        assert service["spec"]["ports"][0]["nodePort"] == port


def test_production_survives_a_lost_node(render: Render) -> None:
    objects = render(ROOT / "values" / "production.yaml")
    kinds = {each["kind"] for each in objects}
    assert {"HorizontalPodAutoscaler", "PodDisruptionBudget", "ResourceQuota", "NetworkPolicy"} <= kinds
    assert "PersistentVolumeClaim" not in kinds
    scaler = one(objects, "HorizontalPodAutoscaler")["spec"]
    assert scaler["minReplicas"] >= 3
    assert scaler["metrics"][0]["resource"]["target"]["averageUtilization"] == 70
    assert "MLPLAT_API_KEYS_PATH" in str(one(objects, "Deployment"))
