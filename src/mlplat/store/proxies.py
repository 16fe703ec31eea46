"""The way to a host: directly, or through the proxy that the environment names for it."""

import ipaddress
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError

from mlplat.errors import UsageError


def connections_to(url: str) -> urllib3.PoolManager:
    """Connections to the host of a URL, through what HTTPS_PROXY, HTTP_PROXY or ALL_PROXY say unless NO_PROXY has it.

    Certificates are checked against those of this machine, or of SSL_CERT_FILE.

    Raises:
        UsageError: if the proxy is none that can be used.
    """
    proxy = proxy_of(url)
    if proxy is None:
        return urllib3.PoolManager(retries=False, maxsize=4)
    try:
        parts = urllib3.util.parse_url(proxy if "://" in proxy else f"http://{proxy}")
        auth = urllib3.make_headers(proxy_basic_auth=unquote(parts.auth)) if parts.auth else {}
        return urllib3.ProxyManager(f"{parts.scheme}://{parts.netloc}", proxy_headers=auth, retries=False, maxsize=4)
    except (HTTPError, ValueError) as error:
        raise UsageError(
            "The proxy that the environment names cannot be used.",
            hint=f"Set {urlsplit(url).scheme.upper()}_PROXY to http://HOST:PORT, or NO_PROXY to the host of the store.",
        ) from error


def proxy_of(url: str) -> str | None:
    """The proxy for a URL; None where there is none, as for this very machine, which no proxy can reach."""
    parts = urlsplit(url)
    if _is_here(parts.hostname or "") or proxy_bypass(parts.netloc):
        return None
    named = getproxies()
    return named.get(parts.scheme) or named.get("all") or None


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
