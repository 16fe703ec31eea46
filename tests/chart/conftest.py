"""The chart, rendered as Helm does it, without a cluster."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "ml-platform"
NAMESPACE = "models"

Object = dict[str, Any]
Render = Callable[..., list[Object]]


def toggles() -> list[Path]:
    """The values of one toggle each."""
    return sorted((CHART / "ci").glob("*-values.yaml"))


def environments() -> list[Path]:
    """The values of one environment each."""
    return sorted((ROOT / "values").glob("*.yaml"))


def named(paths: list[Path]) -> list[Any]:
    """Paths as parameters of a test, called after their files."""
    return [pytest.param(path, id=path.stem.removesuffix("-values")) for path in paths]


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@pytest.fixture(scope="session")
def chart() -> Iterator[helm.Chart]:
    with helm.Chart.load(CHART) as loaded:
        yield loaded


@pytest.fixture(scope="session")
def render(chart: helm.Chart) -> Render:
    """The objects of a release: `render({"model": {"version": "v2"}}, name="ml-platform")`, or of a values file."""

    def render(values: dict[str, Any] | Path | None = None, name: str = "ml-platform") -> list[Object]:
        given = read(values) if isinstance(values, Path) else values
        texts = chart.render(given or {}, name=name, namespace=NAMESPACE)
        manifests = {path: text for path, text in texts.items() if not path.endswith("NOTES.txt")}
        return [each for text in manifests.values() for each in yaml.load_all(text, _Strict) if each]

    return render


@pytest.fixture(scope="session")
def notes(chart: helm.Chart) -> Callable[..., str]:
    """NOTES.txt as `helm install` prints it."""

    def notes(values: dict[str, Any] | None = None, name: str = "ml-platform") -> str:
        texts = chart.render(values or {}, name=name, namespace=NAMESPACE)
        return next(text for path, text in texts.items() if path.endswith("NOTES.txt"))

    return notes


def one(objects: list[Object], kind: str, ending: str = "") -> Object:
    """The one object of a kind (whose name ends so)."""
    found = of(objects, kind, ending)
    assert len(found) == 1, [each["metadata"]["name"] for each in found]
    return found[0]


def of(objects: list[Object], kind: str, ending: str = "") -> list[Object]:
    return [each for each in objects if each["kind"] == kind and each["metadata"]["name"].endswith(ending)]


def labelled(objects: list[Object], kind: str, component: str) -> list[Object]:
    """The objects of a kind that are of a component."""
    label = "app.kubernetes.io/component"
    return [each for each in of(objects, kind) if each["metadata"]["labels"][label] == component]


def pod_templates(objects: list[Object]) -> list[tuple[str, Object]]:
    """Each pod that the objects would make: whose, and its metadata and spec."""
    found = []
    for each in objects:
        match each["kind"]:
            case "Deployment" | "Job":
                template = each["spec"]["template"]
            case "CronJob":
                template = each["spec"]["jobTemplate"]["spec"]["template"]
            case "Pod":
                template = each
            case _:
                continue
        found.append((f"{each['kind']}/{each['metadata']['name']}", template))
    return found


def container(objects: list[Object], kind: str, ending: str = "") -> Object:
    """The container of the one object of a kind."""
    [(_, template)] = pod_templates([one(objects, kind, ending)])
    [found] = template["spec"]["containers"]
    return dict(found)


def environment(container: Object) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}


class _Strict(yaml.CSafeLoader):
    """Refuses a key that stands twice in one mapping, as Kubernetes' own parser does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        assert not twice, f"{twice} twice at {node.start_mark}"
        return super().construct_mapping(node, deep)
