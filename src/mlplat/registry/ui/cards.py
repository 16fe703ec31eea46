"""The card of a version: Markdown that anyone may have written, as HTML that does nothing."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from mlplat.web.markup import Markup

MOST_CHARACTERS = 30_000
"""What follows is left out; the card is a file of the version like others."""

SCHEMES = frozenset({"http", "https", "mailto"})
DEEPER = 2
"""The page has headings of its own, above those of a card."""


def render(text: str) -> Markup:
    """The HTML of a card: its HTML is text, its links are absolute, images of other hosts are links."""
    tokens = _PARSER.parse(text[:MOST_CHARACTERS])
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(int(token.tag[1]) + DEEPER, 6)}"
        token.attrs.pop("style", None)  # of cells that are aligned; no style is allowed but that of the sheet
    return Markup(_PARSER.renderer.render(tokens, _PARSER.options, {}))


def _is_allowed(url: str) -> bool:
    try:
        return urlsplit(url).scheme.lower() in SCHEMES
    except ValueError:
        return False


def _open_link(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, _: Any) -> str:
    tokens[index].attrSet("rel", "noopener nofollow")
    return renderer.renderToken(tokens, index, options, {})


def _parser() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    made.validateLink = _is_allowed  # type: ignore[method-assign]  # as its documentation says
    made.add_render_rule("link_open", _open_link)
    return made


_PARSER = _parser()
