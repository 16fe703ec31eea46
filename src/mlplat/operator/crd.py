"""The definition of the custom resource, made from the typed spec."""

from typing import Any

from mlplat.bundle.names import PATTERN
from mlplat.operator.spec import GROUP, KIND, MOST_NAME, OWN_ENV, OWN_LABELS, PLURAL, STORE_KEY, VERSION, Spec
from mlplat.operator.status import Status

RULES: dict[tuple[str, ...], list[tuple[str, str]]] = {
    (): [
        (
            f"self.metadata.name.size() <= {MOST_NAME}",
            f"The name has more than {MOST_NAME} characters: those of the pods are made from it.",
        ),
        (
            "self.metadata.name.matches('^[a-z][-a-z0-9]*$')",
            "The name is not a Service's: it begins with a lower case letter, then has such letters, digits and -.",
        ),
    ],
    ("spec",): [
        ("has(self.modelVersion) != has(self.alias)", "Give exactly one of modelVersion and alias."),
        (
            "!has(self.alias) || !has(self.store)",
            "An alias is looked up in the operator's own store only: give modelVersion, or leave store out.",
        ),
    ],
    ("spec", "modelVersion"): [
        (f"type(self) == int || self.matches('{PATTERN}')", "Found what cannot name a version."),
    ],
    ("spec", "autoscaling"): [
        (
            "!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
            "minReplicas is above maxReplicas.",
        ),
    ],
    ("spec", "strategy"): [
        ("!has(self.canary) || !has(self.type) || self.type == 'canary'", "canary is given, but the type is rolling."),
    ],
    ("spec", "strategy", "canary"): [
        (
            "!has(self.steps) || self.steps.map(step, step.weight).isSorted()",
            "The weights of the steps must rise.",
        ),
        (
            "!has(self.steps) || self.steps.all(a, self.steps.exists_one(b, b.weight == a.weight))",
            "Two steps have the same weight.",
        ),
    ],
    ("spec", "env", "[]"): [
        ("!(has(self.value) && has(self.valueFrom))", "Give value or valueFrom, not both."),
        (f"!self.name.startsWith('{OWN_ENV}')", f"{OWN_ENV}* in spec.env is the operator's own."),
    ],
    ("spec", "store", "env"): [
        (
            f"self.all(name, name == '{STORE_KEY}' || !name.startsWith('{OWN_ENV}'))",
            f"{OWN_ENV}* in spec.store.env is the operator's own, but for {STORE_KEY}.",
        ),
    ],
    ("spec", "labels"): [
        (
            " && ".join(f"self.all(name, !name.startsWith('{prefix}'))" for prefix in OWN_LABELS),
            f"{' and '.join(f'{prefix}*' for prefix in OWN_LABELS)} in spec.labels are the operator's own.",
        ),
    ],
}
"""What cannot be, by where it stands: a rule in CEL, and the sentence that says what is wrong."""

COLUMNS = (
    ("Model", "string", ".spec.modelName"),
    ("Version", "string", ".status.servedVersion"),
    ("Wanted", "string", ".status.targetVersion"),
    ("Ready", "string", ".status.conditions[?(@.type=='Ready')].status"),
    ("Reason", "string", ".status.conditions[?(@.type=='Ready')].reason"),
    ("Replicas", "integer", ".status.readyReplicas"),
    ("Age", "date", ".metadata.creationTimestamp"),
)
"""What `kubectl get` prints: heading, type and place."""

WIDE_COLUMNS = (
    ("Canary", "string", ".status.canary.phase"),
    ("Weight", "integer", ".status.canary.weight"),
)
"""What `kubectl get --output=wide` prints besides."""

KEPT = frozenset(
    {
        "type",
        "description",
        "properties",
        "required",
        "items",
        "additionalProperties",
        "enum",
        "default",
        "format",
        "pattern",
        "minimum",
        "maximum",
        "minItems",
        "maxItems",
        "minLength",
        "maxLength",
        "maxProperties",
        "x-kubernetes-int-or-string",
        "x-kubernetes-preserve-unknown-fields",
    }
)
"""Keywords that a structural schema may have and that pydantic writes."""


OWN = frozenset({"replicas", "paused"})
"""What every ModelDeployment says for itself. All else may come from its environment, and a default that the API server writes
into the resource would win over that."""


UNSEEN = {"observedGeneration": 0}
"""The status before the operator wrote one. Without it, kstatus would take what nobody has looked at yet for done: generations
begin at 1, and it compares them only where there is one."""


def definition() -> dict[str, Any]:
    """The CustomResourceDefinition."""
    spec, status = _structural(Spec), _structural(Status)
    conditions = status["properties"]["conditions"]
    conditions |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    status["default"] = dict(UNSEEN)
    _leave_out_defaults(spec, but=OWN)
    spec["properties"]["env"] |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    schema = {
        "description": "A model that is served: kept at the version, the size and the settings that it says.",
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "Version of this representation."},
            "kind": {"type": "string", "description": "Kind of this representation."},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
    }
    for path, rules in RULES.items():
        _at(schema, path)["x-kubernetes-validations"] = [{"rule": rule, "message": message} for rule, message in rules]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["md"],
                "categories": ["ml"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "additionalPrinterColumns": [
                        *({"name": name, "type": kind, "jsonPath": path} for name, kind, path in COLUMNS),
                        *(
                            {"name": name, "type": kind, "jsonPath": path, "priority": 1}
                            for name, kind, path in WIDE_COLUMNS
                        ),
                    ],
                }
            ],
        },
    }


def _structural(model: type[Spec | Status]) -> dict[str, Any]:
    """The schema of a model as Kubernetes takes it: without references, titles and null."""
    schema = model.model_json_schema(by_alias=True)
    return _cleaned(schema, schema.pop("$defs", {}))


def _cleaned(node: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    """A schema of pydantic's in the terms that a structural one may have; `parts` are what it refers to."""
    if "$ref" in node:
        node = parts[node["$ref"].rpartition("/")[2]] | {key: value for key, value in node.items() if key != "$ref"}
    if "anyOf" in node:  # something or nothing: a field that may be left out
        (some,) = [option for option in node["anyOf"] if option.get("type") != "null"]
        return _cleaned(some | {key: value for key, value in node.items() if key not in {"anyOf", "default"}}, parts)
    out = {key: value for key, value in node.items() if key in KEPT}
    if not out.get("default", True) and not isinstance(out["default"], bool | int):
        del out["default"]  # nothing is the same as left out, and less to read
    for key in {"items", "additionalProperties"} & out.keys():
        if isinstance(out[key], dict):
            out[key] = _cleaned(out[key], parts)
    if "properties" in out:
        out["properties"] = {name: _cleaned(value, parts) for name, value in out["properties"].items()}
    if "exclusiveMinimum" in node:
        out |= {"minimum": node["exclusiveMinimum"], "exclusiveMinimum": True}
    if "description" in out:
        out["description"] = " ".join(out["description"].split())
    return out


def _leave_out_defaults(schema: dict[str, Any], *, but: frozenset[str] = frozenset()) -> None:
    """Let the API server write no default into what has this schema, but for these fields."""
    for name, field in schema.get("properties", {}).items():
        if name not in but:
            field.pop("default", None)
            _leave_out_defaults(field)
    if "items" in schema:
        _leave_out_defaults(schema["items"])


def _at(schema: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """The schema of a place."""
    for step in path:
        schema = schema["items"] if step == "[]" else schema["properties"][step]
    return schema
