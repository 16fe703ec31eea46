"""Where pages are. All links are relative, so that they lead somewhere behind a proxy that takes a prefix away, too."""

from collections.abc import Iterable
from urllib.parse import unquote, urlencode

ROOT = "/ui"
STATIC = f"{ROOT}/static/"


def is_page(path: str) -> bool:
    """Whether a path is one of ours, so that it is answered for people, whatever the answer is."""
    return path == ROOT or path.startswith(f"{ROOT}/")


def is_static(path: str) -> bool:
    """Whether it is a file that every page needs, also the one to log in."""
    return path.startswith(STATIC)


def way_up(raw_path: bytes) -> str:
    """What leads from a page to the folder that `ui` is in, such as `../`."""
    return "../" * (raw_path.count(b"/") - 1) or "./"


def is_way_on(onward: str) -> bool:
    """Whether a text may follow `ui` in a link: then it leads nowhere but to a page of ours."""
    return not onward or (
        onward[0] in "/?"
        and onward.isascii()
        and onward.isprintable()
        and not set(onward) & set('\\ "<>')
        and not {".", ".."} & set(unquote(onward.partition("?")[0]).split("/"))
    )


def query(**wanted: str | Iterable[str] | None) -> str:
    """The end of a link that asks for something: `?q=iris`; nothing of what is empty."""
    given = {name: value for name, value in wanted.items() if value}
    return f"?{urlencode(given, doseq=True)}" if given else ""
