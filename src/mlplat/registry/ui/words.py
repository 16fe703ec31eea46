"""Values as people read them, none of them longer than a page can bear."""

import json
from datetime import datetime
from typing import Any

from mlplat.bundle import manifest
from mlplat.registry.columns import utc
from mlplat.web.markup import Markup, tag

MOST_CHARACTERS = 2000
KIB = 1024


def said(text: Any, most: int = MOST_CHARACTERS) -> Markup:
    """What someone wrote, up to a length; apart from what is around it, whichever way it is written."""
    whole = str(text)
    left = len(whole) - most
    if left <= 0:
        return tag("bdi", whole)
    return tag("bdi", whole[:most], "… ", tag("small", f"({left:,} more characters)"))


def moment(at: datetime) -> Markup:
    """A time, in UTC."""
    exact = manifest.utc(utc(at))
    return tag("time", f"{utc(at):%Y-%m-%d %H:%M} UTC", datetime=exact, title=exact)


def size(count: int) -> str:
    """Bytes, with three digits."""
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < KIB:
            break
        value, unit = value / KIB, larger
    return f"{count:,} B" if unit == "B" else f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"


def as_json(value: Any, most: int = 300) -> Markup:
    """A value of a parameter or of the audit log."""
    return said(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), most)


def counted(count: int, what: str) -> str:
    """A number of things: `1 version`, `2 versions`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
