"""Which request is for whom: the paths that are answered below ASGI."""

import re
from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote_to_bytes

from mlplat.serve.protocols import KServe, MLflow, OpenInference, Plain, Protocol


class Probe(Enum):
    """What a probe asks."""

    HEALTH = "health"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Target:
    """What a path is for: a prediction by a protocol, of a model and version if it names one; or a probe."""

    protocol: type[Protocol] | None = None
    model: str | None = None
    version: str | None = None
    probe: Probe | None = None


PROBES = {
    b"/health": Probe.HEALTH,
    b"/healthz": Probe.HEALTH,
    b"/livez": Probe.HEALTH,
    b"/ping": Probe.READY,
    b"/ready": Probe.READY,
    b"/readyz": Probe.READY,
}

NAMED: dict[type[Protocol], re.Pattern[bytes]] = {
    KServe: re.compile(rb"/v1/models/([^/:]+)(?:/versions/([^/:]+))?:predict"),
    OpenInference: re.compile(rb"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer"),
}

FIXED = {
    b"/predict": Target(Plain),
    b"/invocations": Target(MLflow),
    **{path: Target(probe=probe) for path, probe in PROBES.items()},
}

MOST = 256
"""So many paths are remembered; made-up ones must not fill the memory."""


class Targets:
    """Finds the target of a path, and remembers those it found."""

    def __init__(self) -> None:
        self._known = dict(FIXED)

    def find(self, path: bytes) -> Target | None:
        """What a path is for; None if ASGI has it."""
        target = self._known.get(path)
        if target is None:
            target = _named(path)
            if target is not None and len(self._known) < MOST:
                self._known[path] = target
        return target


def _named(path: bytes) -> Target | None:
    plain = unquote_to_bytes(path) if b"%" in path else path
    if plain in FIXED:
        return FIXED[plain]
    for protocol, pattern in NAMED.items():
        found = pattern.fullmatch(plain)
        if found is not None:
            model, version = (part if part is None else part.decode(errors="replace") for part in found.groups())
            return Target(protocol, model, version)
    return None
