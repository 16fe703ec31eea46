"""HTML and SVG out of plain functions: whatever is not markup already is escaped, so that no label becomes a tag."""

from collections.abc import Iterable
from html import escape

VOID = frozenset({"input", "link", "meta"})
DRAWN = frozenset({"circle", "path", "rect"})
MOST_CHARACTERS = 60


class Markup(str):
    """Text that is HTML already. Only `tag` and `join` make it."""

    __slots__ = ()

    def __html__(self) -> str:
        """As it is, for whatever else escapes what is no markup."""
        return self


def tag(name: str, /, *children: str, **attributes: str | float | bool | None) -> Markup:
    """An element.

    Args:
        name: of the element; never from outside.
        children: markup as it is, other text escaped.
        attributes: `class_` is `class`, `data_kind` is `data-kind`; None and False leave one out, True gives no value.
    """
    head = name
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        head += f" {key.rstrip('_').replace('_', '-')}"
        if value is not True:
            head += f'="{escape(str(value))}"'
    if name in VOID:
        return Markup(f"<{head}>")
    if name in DRAWN and not children:
        return Markup(f"<{head}/>")
    return Markup(f"<{head}>{join(children)}</{name}>")


def join(parts: Iterable[str]) -> Markup:
    """Parts one after the other; those that are no markup are escaped."""
    return Markup("".join([part if isinstance(part, Markup) else escape(part) for part in parts]))


def cut(text: str, most: int = MOST_CHARACTERS) -> str:
    """A text that may come from anywhere, at a length that fits."""
    return text if len(text) <= most else text[: most - 1] + "…"


def number(value: float) -> str:
    """A number as people write it, with four significant digits."""
    rounded = float(f"{value:.4g}")
    if rounded == 0:
        return "0"
    return f"{rounded:.10g}" if 1e-3 <= abs(rounded) < 1e7 else f"{rounded:.3g}"


def percent(share: float) -> str:
    """A share in per cent, with two significant digits."""
    shown = 100 * share
    return f"{shown:.0f}%" if shown >= 10 or shown == 0 else f"{shown:.1f}%"
