"""What Gateways say of an HTTPRoute: whether requests come by it.

Its status has an entry for each Gateway and controller that took it
(https://gateway-api.sigs.k8s.io/reference/spec/#routestatus); of a Gateway that there is not, it has none.
"""

from collections.abc import Mapping, Sequence
from typing import Any

MUST_HOLD = ("Accepted", "ResolvedRefs")
"""Conditions without which no request comes: a Gateway takes the route, and finds what it leads to."""

Reference = Mapping[str, Any]


def hindrance(route: Mapping[str, Any]) -> str:
    """Why requests do not come by an HTTPRoute as it is now from each of its Gateways; "" if they do."""
    namespace, generation = route["metadata"]["namespace"], route["metadata"].get("generation", 0)
    entries = route.get("status", {}).get("parents", ())
    for reference in route["spec"].get("parentRefs", ()):
        wanted = _identity(reference, namespace)
        mine = [each for each in entries if _identity(each["parentRef"], namespace) == wanted]
        found = [_refusal(each.get("conditions", ()), generation) for each in mine]
        if not found:
            return f"no controller has taken it for {_shown(wanted)} (is there one?)"
        if all(found):
            return f"{_shown(wanted)} {found[0]}"
    return ""


def _refusal(conditions: Sequence[Mapping[str, Any]], generation: int) -> str:
    """What one controller has against it; "" if nothing."""
    said = {each["type"]: each for each in conditions}
    for kind in MUST_HOLD:
        condition = said.get(kind)
        if condition is None or condition.get("observedGeneration", generation) < generation:
            return "has not looked at it since it was changed"
        if condition["status"] != "True":
            why = " ".join(str(condition.get("message", "")).split()).rstrip(".")
            return f"does not take it ({condition['reason']}{': ' + why if why else ''})"
    return ""


def _identity(reference: Reference, namespace: str) -> tuple[str, ...]:
    """What a reference names, with what is left out."""
    return (
        reference.get("group", "gateway.networking.k8s.io"),
        reference.get("kind", "Gateway"),
        reference.get("namespace") or namespace,
        reference["name"],
        reference.get("sectionName") or "",
        str(reference.get("port") or ""),
    )


def _shown(identity: tuple[str, ...]) -> str:
    _, kind, namespace, name, section, port = identity
    return f"the {kind} {namespace}/{name}" + "".join(f" ({part})" for part in (section, port) if part)
