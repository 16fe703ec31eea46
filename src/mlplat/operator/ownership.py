"""What others wrote into a child's spec: applying does not take it away, so that it is removed by a patch.

The API server keeps who owns which field in `managedFields`, as a tree (FieldsV1): `f:name` is a field, `k:{...}` the item
of a list with these keys, `.` the place itself (https://kubernetes.io/docs/reference/using-api/server-side-apply/).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Tree = dict[str, Any]

KUBERNETES = "kube-"
"""With this the names of Kubernetes' own controllers begin."""

RESTARTED = "f:kubectl.kubernetes.io/restartedAt"
"""The annotation by which `kubectl rollout restart` lets pods be made anew; it is left."""


def foreign_fields(managed: Iterable[Mapping[str, Any]], ours: frozenset[str]) -> Tree:
    """The fields of the spec that somebody else owns, but for the number of pods.

    Args:
        managed: the `managedFields` of an object.
        ours: names under which we write.
    """
    out: Tree = {}
    for entry in managed:
        manager = entry.get("manager", "")
        if manager not in ours and not manager.startswith(KUBERNETES) and not entry.get("subresource"):
            _join(out, entry.get("fieldsV1", {}).get("f:spec", {}))
    out.pop("f:replicas", None)  # ours, which is applied, or an autoscaler's: without it there would be 1 pod
    return out


def removal(foreign: Tree, wanted: Any, found: Any) -> dict[str, Any]:
    """A strategic merge patch that removes what is foreign and not wanted; empty if there is nothing.

    Args:
        foreign: as `foreign_fields` gives it.
        wanted: the spec as we apply it.
        found: the spec as it is.
    """
    patch: dict[str, Any] = {}
    for key, below in foreign.items():
        if not key.startswith("f:") or key == RESTARTED:
            continue
        name = key[2:]
        there = found.get(name) if isinstance(found, Mapping) else None
        if there is None:
            continue
        if name not in wanted:
            if _is_owned(below):
                patch[name] = None
        elif isinstance(wanted[name], Mapping):
            inner = removal(below, wanted[name], there)
            if inner:
                patch[name] = inner
        elif isinstance(wanted[name], Sequence) and not isinstance(wanted[name], str):
            items = _items(below, wanted[name], there)
            if items:
                patch[name] = items
    return patch


def _items(foreign: Tree, wanted: Sequence[Any], found: Sequence[Any]) -> list[dict[str, Any]]:
    out = []
    for key, below in foreign.items():
        if not key.startswith("k:"):
            continue
        keys: dict[str, Any] = json.loads(key[2:])
        mine = _item(wanted, keys)
        there = _item(found, keys)
        if there is None:
            continue
        if mine is None:
            out.append({**keys, "$patch": "delete"})
        else:
            inner = removal(below, mine, there)
            if inner:
                out.append({**keys, **inner})
    return out


def _item(items: Sequence[Any], keys: Mapping[str, Any]) -> Any:
    """The item of a list that has these keys; where ours leaves one out, it has the default."""
    for item in items:
        if isinstance(item, Mapping) and all(item.get(name, value) == value for name, value in keys.items()):
            return item
    return None


def _is_owned(tree: Tree) -> bool:
    """Whether a field, or all that is below it, is somebody's own, and is not only passed through."""
    return True if not tree or "." in tree else all(_is_owned(below) for key, below in tree.items() if key != ".")


def _join(tree: Tree, other: Mapping[str, Any]) -> None:
    for key, below in other.items():
        _join(tree.setdefault(key, {}), below)
