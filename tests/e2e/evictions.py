"""Eviction, as `kubectl drain` asks for it: the PodDisruptionBudget may say no."""

import json

from .namespace import Namespace

REFUSED = 429


def evict(namespace: Namespace, pod: str) -> int:
    """Ask once for a pod to go; the status: 201 if it goes, 429 if a budget refuses for now."""
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace.name}}
    answer = namespace.api.post(url=f"pods/{pod}/eviction", namespace=namespace.name, data=json.dumps(eviction))
    return int(answer.status_code)
