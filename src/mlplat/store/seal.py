"""The checksum in a manifest, its last field, so that a flipped bit in the manifest itself is found as well."""

import re

from mlplat.bundle.manifest import Manifest, parse, sha256_of
from mlplat.errors import CorruptError

SEAL = re.compile(rb',\n "checksum": "([0-9a-f]{64})"\n}\n\Z')


def seal(manifest: Manifest) -> bytes:
    """The manifest as it is stored: JSON whose last field is the SHA-256 of the JSON without it."""
    plain = manifest.to_json()
    return plain.removesuffix(b"\n}") + b',\n "checksum": "%s"\n}\n' % sha256_of(plain).encode()


def unseal(data: bytes, *, source: str) -> Manifest:
    """Read a stored manifest.

    Args:
        data: the bytes of `<version>.json`.
        source: where they come from, for the error message.

    Raises:
        SchemaError: if they are no manifest, or one of a newer major schema.
        CorruptError: if they are not the bytes that were written.
    """
    manifest = parse(data, source=source)
    if not is_sealed(data):
        raise CorruptError(f"{source} is damaged: its checksum does not match.", hint="Restore it, or publish anew.")
    return manifest


def is_sealed(data: bytes) -> bool:
    """Whether `data` ends with the right checksum of the rest."""
    found = SEAL.search(data)
    return found is not None and found[1].decode() == sha256_of(data[: found.start()] + b"\n}")
