"""Makes values.schema.json and Chart-README.md from a chart's values.yaml: `python charts/reference.py` (`--check` compares).

A comment `# -- TEXT` above a key describes it; `# @schema {...}` below that narrows or widens what its default says about
its type. Objects are closed: a key that is not in values.yaml is refused. To Helm, null takes a key
and its default away: where no empty value could stand in, the key is required. A map whose keys are the user's own says so by
`additionalProperties`. A comment above a section of the root that has no `--` opens its table.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts" / "ml-platform"

TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


@dataclass(frozen=True)
class Value:
    """A key of values.yaml: its path, default, description, schema, and the keys below it."""

    path: tuple[str, ...]
    default: Any
    description: str
    section: str
    rule: dict[str, Any]
    children: tuple["Value", ...]

    @property
    def name(self) -> str:
        """The key as Helm's `--set` takes it."""
        return ".".join(self.path)


def read(text: str) -> tuple[Value, ...]:
    """The keys of values.yaml.

    Raises:
        ValueError: naming a key without a description, or whose type nothing says.
    """
    root = yaml.compose(text, yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise ValueError("values.yaml holds no keys.")  # noqa: TRY004 - a file with wrong contents
    return tuple(_values(root, text.splitlines(), ()))


def schema(values: tuple[Value, ...]) -> dict[str, Any]:
    """The JSON schema; `global`, which Helm shares between charts, is open."""
    root = {"$schema": "http://json-schema.org/draft-07/schema#"} | _object(values)
    root["properties"]["global"] = {"type": "object"}
    return root


def readme(values: tuple[Value, ...], chart: dict[str, Any]) -> str:
    """The reference as Markdown: a table for each section."""
    lines = [
        f"# {chart['name']} {chart['version']}",
        "",
        f"{chart['description']} Kubernetes {chart['kubeVersion'].removesuffix('.0-0').removeprefix('>=')} or later; Helm 3 or 4.",
        "",
        "    helm install ml-platform charts/ml-platform -f values/minikube.yaml",
        "",
        "Made from `charts/ml-platform/values.yaml` by `make reference`; a misspelt key is refused with its name.",
    ]
    for value in values:
        if value.children:
            lines += _table(value.path[0], value.section, tuple(_leaves(value)))
    return (
        "\n".join(lines + _table("names and labels", "", tuple(value for value in values if not value.children))) + "\n"
    )


def outputs() -> dict[Path, str]:
    """The files that are made, with what should be in them."""
    values = read((CHART / "values.yaml").read_text())
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    return {
        CHART / "values.schema.json": json.dumps(schema(values), indent=2) + "\n",
        ROOT / "Chart-README.md": readme(values, chart),
    }


def _values(node: yaml.MappingNode, lines: list[str], path: tuple[str, ...]) -> Iterator[Value]:
    for key, child in node.value:
        below = (*path, key.value)
        description, rule, section = _comments(lines, key.start_mark.line)
        nested = isinstance(child, yaml.MappingNode) and child.value and not description
        children = tuple(_values(child, lines, below)) if nested else ()
        if not children and not description:
            raise ValueError(f"{'.'.join(below)} has no description: put a `# -- ...` above it.")
        loader = yaml.SafeLoader("")
        default = loader.construct_object(child, deep=True)
        if default is None and "type" not in rule:
            raise ValueError(f"{'.'.join(below)} has no type: put a `# @schema {{type: ...}}` above it.")
        yield Value(below, default, description, section, rule, children)


def _comments(lines: list[str], row: int) -> tuple[str, dict[str, Any], str]:
    """The description, the rule and the opening words above a line."""
    first = row
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    words: list[str] = []
    opening: list[str] = []
    rule: dict[str, Any] = {}
    for line in (line.strip().removeprefix("#").strip() for line in lines[first:row]):
        if line.startswith("@schema"):
            rule = yaml.safe_load(line.removeprefix("@schema"))
        elif line.startswith("--"):
            words.append(line.removeprefix("--").strip())
        else:
            (words or opening).append(line)
    return " ".join(words), rule, " ".join(opening)


def _object(values: tuple[Value, ...]) -> dict[str, Any]:
    required = [value.path[-1] for value in values if _required(value)]
    return {
        "type": "object",
        "additionalProperties": False,
        **({"required": required} if required else {}),
        "properties": {value.path[-1]: _property(value) for value in values},
    }


def _required(value: Value) -> bool:
    """Whether templates need the key: all but texts, lists and the user's own maps that may be empty, and what may be null."""
    if value.children or "minItems" in value.rule:
        return True
    empty = value.default in ("", None) or isinstance(value.default, list | dict)
    return not empty and "null" not in value.rule.get("type", ())


def _property(value: Value) -> dict[str, Any]:
    if value.children:
        return _object(value.children)
    found: dict[str, Any] = {"description": value.description}
    if "enum" not in value.rule and value.default is not None:
        found["type"] = TYPES[type(value.default)]
    if isinstance(value.default, dict):
        found["additionalProperties"] = False
    return found | value.rule


def _leaves(value: Value) -> Iterator[Value]:
    if not value.children:
        yield value
    for child in value.children:
        yield from _leaves(child)


def _table(title: str, opening: str, leaves: tuple[Value, ...]) -> list[str]:
    head = [
        "",
        f"## {title}",
        "",
        *([opening, ""] if opening else []),
        "| key | default | what it is |",
        "| --- | --- | --- |",
    ]
    return [*head, *map(_row, leaves)]


def _row(value: Value) -> str:
    default = json.dumps(value.default) if value.default is not None else "null"
    cells = (f"`{value.name}`", f"`{default}`", value.description)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main() -> None:
    """Write the files, or with `--check` fail if one of them is not up to date."""
    check = "--check" in sys.argv[1:]
    stale = [path for path, text in outputs().items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if not check:
            path.write_text(outputs()[path])
    if check and stale:
        sys.exit(f"Run `make reference`: {', '.join(path.name for path in stale)} do not match values.yaml.")


if __name__ == "__main__":
    main()
