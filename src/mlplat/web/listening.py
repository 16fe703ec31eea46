"""Where a server listens."""

import socket

from mlplat.errors import MlplatError


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        MlplatError: if the address is taken, or is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise MlplatError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}.",
            hint="Choose another --port, or end what listens there.",
        ) from error


def shown(host: str) -> str:
    """The host as a person would type it."""
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
