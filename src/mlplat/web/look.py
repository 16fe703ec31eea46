"""How pages of ours look: colours for light and dark, tables, charts and forms. A page adds to it what is its own."""

from functools import cache
from importlib import resources


@cache
def style(package: str, name: str) -> bytes:
    """The style sheet of a page: what all have, then its own.

    Args:
        package: that holds the page's own sheet, in its folder `static`.
        name: of the file there.
    """
    return _read("mlplat.web", "look.css") + _read(package, name)


@cache
def icon() -> bytes:
    """The icon of all pages, an SVG."""
    return _read("mlplat.web", "icon.svg")


def _read(package: str, name: str) -> bytes:
    return (resources.files(package) / "static" / name).read_bytes()
