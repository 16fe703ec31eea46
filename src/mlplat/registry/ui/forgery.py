"""Forms that only our own pages can send: another site's page must move no alias with someone's session.

Each form holds a token that is made from what a cookie says, which no other site can read; and the browser says where
the form came from. Either would do; a hole in one of them is none in both.
"""

import hmac
from collections.abc import Mapping

from mlplat.errors import RequestError
from mlplat.registry.access import forbidden


def token(secret: str) -> str:
    """The token of a form.

    Args:
        secret: of the session, or of the visitor who has none; it cannot be told from the token.
    """
    return hmac.new(secret.encode("utf-8", "surrogateescape"), b"form", "sha256").hexdigest()


def require_token(secret: str, sent: str) -> None:
    """Refuse a form without the token. Raises RequestError, 403."""
    if not hmac.compare_digest(token(secret).encode(), sent.encode("utf-8", "surrogateescape")):
        raise forbidden("This form is not of a page that you have open here; load the page anew, and send it again.")


def require_origin(headers: Mapping[bytes, bytes]) -> None:
    """Refuse a form of another site's page, also one to log in: who sent it would watch what is done with its key.

    Raises:
        RequestError: 403, also if nothing says where it is from.
    """
    if b"sec-fetch-site" not in headers and b"origin" not in headers:
        raise _foreign()
    refuse_foreign(headers)


def refuse_foreign(headers: Mapping[bytes, bytes]) -> None:
    """Refuse what another site's page sends; a program says nothing of where it is from.

    A browser says `Sec-Fetch-Site` where it trusts the connection (https, localhost), and `Origin` everywhere. The
    first one is right also behind a proxy that changes Host.

    Raises:
        RequestError: 403.
    """
    site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
    if site is not None:
        ours = site in {b"same-origin", b"none"}
    else:
        host = headers.get(b"host", b"").lower()
        ours = origin is None or (bool(host) and origin.lower().partition(b"://")[2] == host)
    if not ours:
        raise _foreign()


def _foreign() -> RequestError:
    return forbidden("A page of another site may not change anything here.")
