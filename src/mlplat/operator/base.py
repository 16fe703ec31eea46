"""The manifests that the chart renders for serving, from which those of every ModelDeployment are made.

So serving is described once. They are in a ConfigMap, with the named defaults of the spec beside them.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from mlplat.errors import SchemaError

MANIFESTS, ENVIRONMENTS = "serving.yaml", "environments.yaml"
"""The keys of the ConfigMap."""

KINDS = ("ConfigMap", "Deployment", "Service", "HorizontalPodAutoscaler")
"""Those that there must be. There is no disruption budget where it would block the drain of the only node."""


@dataclass(frozen=True)
class Base:
    """What serving is made from.

    Attributes:
        namespace: of the release; what its manifests refer to is there and nowhere else.
        manifests: by kind: the settings, the Deployment, its Service, its autoscaler and perhaps a disruption budget.
        environments: named defaults of the spec, in the form of the spec.
        digest: of all of it.
    """

    namespace: str
    manifests: Mapping[str, Mapping[str, Any]]
    environments: Mapping[str, Mapping[str, Any]]
    digest: str

    @property
    def settings(self) -> Mapping[str, str]:
        """Environment variables of the serving process."""
        data: Mapping[str, str] = self.manifests["ConfigMap"]["data"]
        return data


def read_base(namespace: str, data: Mapping[str, str]) -> Base:
    """The base from the ConfigMap's data.

    Raises:
        SchemaError: if a manifest is missing, or it is no YAML.
    """
    try:
        documents = list(yaml.load_all(data.get(MANIFESTS, ""), yaml.CSafeLoader))
        environments = yaml.load(data.get(ENVIRONMENTS, ""), yaml.CSafeLoader) or {}
    except yaml.YAMLError as error:
        raise SchemaError(f"The base of the ModelDeployments is no YAML: {error}.") from error
    manifests = {document["kind"]: document for document in documents if document}
    missing = [kind for kind in KINDS if kind not in manifests]
    if missing:
        raise SchemaError(f"The base of the ModelDeployments has no {', '.join(missing)}.")
    text = "\0".join(data.get(key, "") for key in (MANIFESTS, ENVIRONMENTS))
    return Base(namespace, manifests, environments, hashlib.sha256(text.encode()).hexdigest()[:16])
