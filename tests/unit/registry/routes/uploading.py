"""Sending a version."""

from typing import Any

from httpx import Client

ADMIN = "the key of the admin of the tests"


def parts(draft: Any) -> list[tuple[str, tuple[str, bytes, str]]]:
    """The parts of an upload."""
    files = [(name, (name, path.read_bytes(), "application/octet-stream")) for name, path in draft.files.items()]
    return [("manifest", ("manifest", draft.manifest.to_json(), "application/json")), *files]


def upload(client: Client, draft: Any, **rest: Any) -> Any:
    """Send a version."""
    return client.post(f"/models/{draft.manifest.model}/versions", files=parts(draft), **rest)
