"""Pages out of templates: what is no markup is escaped, and what a template misspells is an error."""

import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import Response

from mlplat.registry.ui import charts, words
from mlplat.registry.ui.visits import Visit, remember
from mlplat.web import look, svg
from mlplat.web.markup import cut, number, percent

PACKAGE = "mlplat.registry.ui"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
}
"""Of every answer: no script at all. With `no-referrer` a browser would not say where a form comes from, either."""


def page(
    visit: Visit, template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
) -> Response:
    """An answer with a page.

    Args:
        visit: who looks.
        template: the name of its file.
        status: of HTTP.
        headers: of the answer.
        values: what the template shows.
    """
    text = _templates().get_template(template).render(visit=visit, root=visit.root, style=style_hash(), **values)
    body = text.encode("utf-8", "replace")
    answer = Response(body, status, dict(headers or {}), media_type="text/html")
    remember(answer, visit)
    return answer


def style() -> bytes:
    """The style sheet."""
    return look.style(PACKAGE, "ui.css")


@cache
def style_hash() -> str:
    """Tells one release's style sheet from another's, so that it may be kept for ever."""
    return hashlib.sha256(style()).hexdigest()[:16]


@cache
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader(PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "cut": cut,
        "number": number,
        "percent": percent,
        "said": words.said,
        "moment": words.moment,
        "size": words.size,
        "as_json": words.as_json,
        "counted": words.counted,
    }
    made.globals |= {"charts": charts, "share_bar": svg.share_bar}
    return made
