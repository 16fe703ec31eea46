"""values.schema.json and Chart-README.md are made from values.yaml, and the schema is closed."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import helm_python as helm
import pytest

from .conftest import CHART, ROOT, Render, read

SCRIPT = ROOT / "charts" / "reference.py"


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["reference"] = module
    spec.loader.exec_module(module)
    return module


def test_what_is_made_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_defaults_pass_their_own_schema(chart: helm.Chart) -> None:
    chart.validate_schema(read(CHART / "values.yaml"))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"modle": {}}, "modle"),
        ({"model": {"versoin": "v2"}}, "versoin"),
        ({"serving": {"autoscaling": {"minReplica": 2}}}, "minReplica"),
        ({"serving": {"replicas": "two"}}, "want integer"),
        ({"image": {"digest": "sha256:short"}}, "digest"),
        ({"image": {"pullPolicy": "Sometimes"}}, "Always"),
        ({"batch": {"shards": 0}}, "minimum"),
        ({"store": {"url": "ftp://host/models"}}, "/store/url"),
        ({"store": {"through": "proxy"}}, "/store/through"),
        ({"store": {"keys": {"reader": ""}}}, "/store/keys/reader"),
        ({"registry": {"databse": {}}}, "databse"),
        ({"registry": {"replicas": "two"}}, "/registry/replicas"),
        ({"policies": {"networkPolicy": {"databasePorts": []}}}, "/policies/networkPolicy/databasePorts"),
        ({"serving": {"paths": ["predict"]}}, "/serving/paths/0"),
        ({"auth": {"keys": {"team": ""}}}, "/auth/keys/team"),
        ({"policies": {"networkPolicy": {"storePorts": []}}}, "/policies/networkPolicy/storePorts"),
        ({"policies": {"networkPolicy": {"storePorts": None}}}, "missing property 'storePorts'"),  # no ports: all ports
        ({"serving": {"paths": None}}, "missing property 'paths'"),
        ({"serving": {"probes": {"startup": None}}}, "missing property 'startup'"),
        ({"serving": None}, "missing property 'serving'"),
        ({"batch": {"shards": None}}, "missing property 'shards'"),
    ],
)
def test_what_is_misspelt_or_of_another_type_is_refused_by_name(
    chart: helm.Chart, values: dict[str, Any], words: str
) -> None:
    with pytest.raises(helm.HelmValuesError, match=words):
        chart.validate_schema(values)


def test_global_is_open_since_other_charts_share_it(chart: helm.Chart) -> None:
    chart.validate_schema({"global": {"anything": {"at": "all"}}})


def test_a_key_without_words_or_type_is_refused_when_the_reference_is_made(reference: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"a\.b has no description"):
        reference.read("a:\n  b: 1\n")
    with pytest.raises(ValueError, match="a has no type"):
        reference.read("# -- What it is.\na: null\n")


def test_a_stale_file_is_named(tmp_path: Path, reference: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "outputs", lambda: {tmp_path / "Chart-README.md": "new"})
    monkeypatch.setattr(sys, "argv", ["reference.py", "--check"])
    with pytest.raises(SystemExit, match=r"make reference.*Chart-README\.md"):
        reference.main()
    monkeypatch.setattr(sys, "argv", ["reference.py"])
    reference.main()
    assert (tmp_path / "Chart-README.md").read_text() == "new"


def test_every_value_is_used_by_a_template(reference: ModuleType, render: Render) -> None:
    """A key that nothing reads would be a promise that is not kept."""
    text = "".join(path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file())
    unused = []

    def look(values: tuple[Any, ...]) -> None:
        for value in values:
            look(value.children)
            if not value.children and f".{value.path[-1]}" not in text:
                unused.append(value.name)

    look(reference.read((CHART / "values.yaml").read_text()))
    probes = {f"serving.probes.{probe}" for probe in ("startup", "liveness", "readiness")}  # rendered whole
    assert [name for name in unused if name.rpartition(".")[0] not in probes] == []
