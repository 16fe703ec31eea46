"""What Gateways say of an HTTPRoute: whether requests come by it.

Its status has an entry for each Gateway and controller that took it
(https://gateway-api.sigs.k8s.io/reference/spec/#routestatus); of a Gateway that there is not, it has none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MUST_HOLD = ("Accepted", "ResolvedRefs")
"""Conditions of which none may be false: a Gateway takes the route, and finds what it leads to."""

MOST_SAID = 500
"""Characters of what a controller says that are passed on."""

Reference = Mapping[str, Any]


@dataclass(frozen=True)
class Hindrance:
    """Why requests do not come by an HTTPRoute as it is now.

    Attributes:
        message: what there is to say of a Gateway.
        stale: it has taken an earlier state of the route, by which requests come on.
    """

    message: str
    stale: bool = False


def hindrance(route: Mapping[str, Any]) -> Hindrance | None:
    """Why requests do not come by an HTTPRoute as it is now from each of its Gateways; None if they do."""
    namespace, generation = route["metadata"]["namespace"], route["metadata"].get("generation", 0)
    entries = route.get("status", {}).get("parents", ())
    behind = None
    for reference in route["spec"].get("parentRefs", ()):
        wanted = _identity(reference, namespace)
        mine = [each for each in entries if _identity(each["parentRef"], namespace) == wanted]
        found = [_refusal(each.get("conditions", ()), generation) for each in mine]
        if not found:
            return Hindrance(f"no controller has taken it for {_shown(wanted)} (is there one?)")
        against = [each for each in found if each is not None]
        if len(against) < len(found):
            continue
        least = min(against, key=lambda each: not each.stale)
        about = Hindrance(f"{_shown(wanted)} {least.message}", least.stale)
        if not about.stale:
            return about
        behind = about
    return behind


def _refusal(conditions: Sequence[Mapping[str, Any]], generation: int) -> Hindrance | None:
    """What one controller has against it; None if nothing."""
    said = {each["type"]: each for each in conditions}
    must_hold = [said[kind] for kind in MUST_HOLD if kind in said]
    for condition in must_hold:
        if condition["status"] != "True":
            why = " ".join(str(condition.get("message", "")).split())[:MOST_SAID].rstrip(".")
            return Hindrance(f"does not take it ({condition['reason']}{': ' + why if why else ''})")
    if MUST_HOLD[0] not in said:
        return Hindrance("does not say whether it takes it")
    if any(condition.get("observedGeneration", generation) < generation for condition in must_hold):
        return Hindrance("has not looked at it since it was changed", stale=True)
    return None


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
