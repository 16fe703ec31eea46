"""Whether an object holds what was applied: only what differs is applied again, so that a steady state writes nothing."""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

UNITS = {
    "n": Decimal(10) ** -9,
    "u": Decimal(10) ** -6,
    "m": Decimal(10) ** -3,
    "": Decimal(1),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "P": Decimal(10) ** 15,
    "E": Decimal(10) ** 18,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
    "Pi": Decimal(2) ** 50,
    "Ei": Decimal(2) ** 60,
}
"""Suffixes of quantities (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/)."""

QUANTITIES = frozenset({"requests", "limits", "sizeLimit"})
"""Below these, quantities are compared by what they mean: the API server writes 1000m as 1."""

WHOLE = frozenset({"selector", "labelSelector", "matchLabels", "nodeSelector"})
"""These are of one piece to the API server: nobody may add to them, and applying replaces them."""

EXACT = frozenset({"rules", "backendRefs", "parentRefs"})
"""Lists of an HTTPRoute: nobody else may add to them."""

KEYS = ("name", "mountPath", "containerPort", "port", "topologyKey", "type", "uid")
"""What tells the items of a list apart, where they have it: others may add some of their own."""


def differs(wanted: Any, found: Any, *, quantity: bool = False, exact: bool = False) -> bool:
    """Whether `found` lacks anything of `wanted`; what it has besides is someone else's, or a default."""
    if isinstance(wanted, Mapping):
        if not isinstance(found, Mapping):
            return not _empty(wanted)
        return any(
            (value or None) != (found.get(key) or None)
            if key in WHOLE
            else differs(value, found.get(key), quantity=quantity or key in QUANTITIES, exact=key in EXACT)
            for key, value in wanted.items()
        )
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        if not isinstance(found, Sequence) or isinstance(found, str):
            return not _empty(wanted)
        return _items_differ(wanted, found, exact=exact)
    if quantity and found is not None:
        return _amount(wanted) != _amount(found)
    return bool(wanted != found) and not (_empty(wanted) and found is None)


def _items_differ(wanted: Sequence[Any], found: Sequence[Any], *, exact: bool) -> bool:
    keys = () if exact else KEYS
    key = next((key for key in keys if wanted and all(isinstance(one, Mapping) and key in one for one in wanted)), None)
    if key is None:
        return len(wanted) != len(found) or any(differs(one, other) for one, other in zip(wanted, found, strict=True))
    by_key = {one[key]: one for one in found if isinstance(one, Mapping) and key in one}
    return any(one[key] not in by_key or differs(one, by_key[one[key]]) for one in wanted)


def _empty(value: Any) -> bool:
    """Whether the API server may leave it out."""
    return not value


def _amount(value: Any) -> Decimal | str:
    text = str(value)
    digits = text.rstrip("numkKMGTPEi")
    try:
        return Decimal(digits) * UNITS[text[len(digits) :]]
    except (InvalidOperation, KeyError):
        return text
