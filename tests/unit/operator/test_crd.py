"""The definition of the custom resource; the rules in it are tried on a cluster, by tests/e2e."""

from typing import Any

import yaml
from charts.crd import FILE, text

from mlplat.operator.crd import RULES, definition
from mlplat.operator.spec import Spec
from mlplat.operator.status import Status


def nodes(schema: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    found = [(path, schema)]
    for name, child in schema.get("properties", {}).items():
        found += nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            found += nodes(schema[key], f"{path}[]")
    return found


def schema() -> dict[str, Any]:
    version: dict[str, Any] = definition()["spec"]["versions"][0]
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return found


def test_the_chart_has_it_as_it_is_made() -> None:
    assert FILE.read_text(encoding="utf-8") == text(), "run: python charts/crd.py"
    assert yaml.safe_load(text()) == definition()


def test_it_is_structural() -> None:
    for path, node in nodes(schema()):
        known = node.get("type") or node.get("x-kubernetes-int-or-string")
        assert known, path
        assert not {"$ref", "anyOf", "title", "const", "$defs"} & node.keys(), path


def test_every_field_is_explained() -> None:
    for path, node in nodes(schema()):
        parts = path.split(".")
        if not path.endswith("[]") and len(parts) > 2 and parts[1] in {"spec", "status"}:
            assert node.get("description", "").strip().endswith((".", "`")), path


def test_every_rule_has_a_sentence() -> None:
    for rules in RULES.values():
        for _, message in rules:
            assert message.endswith(".")


def test_what_is_written_is_what_it_says() -> None:
    assert schema()["properties"]["spec"]["properties"].keys() == {field.alias for field in Spec.model_fields.values()}
    assert schema()["properties"]["status"]["properties"].keys() == {
        field.alias for field in Status.model_fields.values()
    }


def test_what_the_operator_has_not_seen_yet_is_not_taken_for_done() -> None:
    """By kstatus, which compares generations, that begin at 1, where the status has one."""
    told = schema()["properties"]["status"]["default"]
    assert told["observedGeneration"] < 1
    assert Status.model_validate(told) == Status()  # as if there were none: the operator's first is written


def test_the_api_server_says_nothing_that_an_environment_could_say() -> None:
    """A default that it writes into the resource would win over that of the environment."""
    (version,) = definition()["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    own = {"replicas", "paused"}  # every ModelDeployment says these for itself
    assert {name for name, field in spec.items() if "default" in field} == own
    for part in ("resources", "autoscaling", "spread"):
        assert [name for name, field in spec[part]["properties"].items() if "default" in field] == []
