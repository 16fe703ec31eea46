"""What the catalogue holds about a version, as it is read from the store."""

import json
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from mlplat import logs
from mlplat.bundle.manifest import CARD_FILE, Manifest, sha256_of
from mlplat.errors import CorruptError
from mlplat.registry.columns import LARGEST, plain, utc
from mlplat.registry.tables import METRIC, NAME, TAG
from mlplat.store import ObjectStore, content, keys
from mlplat.store.versions import read_manifest

MOST_METRICS = 1000
"""Of more metrics of a version, no query finds the rest; they are all in its detail."""

CARD_BYTES = 1 << 20
"""A longer card is not shown; it is a file of the version like others."""

LISTED_PARTS = ("params", "metrics")
"""The parts of a manifest of any length that lists show, if they are short."""

LISTED_BYTES = 8192
"""What such a part may have, as JSON; a longer one is among the facts."""

CUT = "cut"
"""Stands in the column of a part that is too long for a list."""

FACTS = ("signature", "features", "classes", "charts", "importances", "packages", "data", "fingerprint", "files")
"""The parts of a manifest that a version's own page shows, and no list."""


@dataclass(frozen=True)
class Entry:
    """A version: its manifest, the hash and the number of the manifest's bytes, when it came into the store, and its card."""

    manifest: Manifest
    sha256: str
    bytes: int
    published_at: datetime
    card: str | None

    @property
    def size(self) -> int:
        """What the files have together, as far as a column holds it."""
        return min(sum(entry.bytes for entry in self.manifest.files.values()), LARGEST)

    def row(self) -> dict[str, Any]:
        """The columns of `versions` but for the ids, the tags and who published it."""
        manifest = self.manifest
        dumped = manifest.model_dump(mode="json")
        parts = {"params": dumped["recipe"]["params"], "metrics": dumped["metrics"]}
        long = {name for name, value in parts.items() if len(json.dumps(value)) > LISTED_BYTES}
        return {
            "version": manifest.version,
            "natural": natural(manifest.version),
            "created_at": utc(manifest.created_at),
            "published_at": utc(self.published_at),
            "task": manifest.task,
            "recipe": short(manifest.recipe.name, TAG),
            "runtime": manifest.runtime,
            "rows": min(manifest.data.rows, LARGEST),
            "bytes": self.size,
            **{name: CUT if name in long else value for name, value in parts.items()},
            "sha256": self.sha256,
            "facts": {name: dumped[name] for name in FACTS} | {name: parts[name] for name in long},
            "card": None if self.card is None else plain(self.card),
        }

    def metrics(self) -> list[dict[str, Any]]:
        """The rows of `metrics` but for the id; of names that no query can ask for, none."""
        found = self.manifest.metrics.items()
        known = ((name, value) for name, value in found if len(name) <= METRIC and "\0" not in name)
        return [{"name": name, "value": value} for name, value in islice(known, MOST_METRICS)]


def read_entry(store: ObjectStore, model: str, version: str) -> Entry:
    """A version of the store.

    Raises:
        NotFoundError: if it has none of that name.
        CorruptError, SchemaError: if its manifest cannot be read.
        StoreError: if the store cannot be reached.
    """
    key = keys.manifest(model, version)
    data = store.objects.get(key)
    manifest = read_manifest(data, model, version, source=f"{store.url}/{key}")
    published_at = store.objects.modified(key) or manifest.created_at
    return Entry(manifest, sha256_of(data), len(data), published_at, _card(store, manifest))


def natural(version: str) -> str:
    """A text that sorts as people count, v2 before v10: each number is led by how many digits it has."""
    return "".join(
        f"{text}\x01{len(str(number)):02}{number}" if number else f"{text}\x01"
        for text, number in keys.natural(version)
    )


def short(text: str | None, length: int = NAME) -> str | None:
    """A text of the store that no column may refuse."""
    return None if text is None else plain(text)[:length]


def _card(store: ObjectStore, manifest: Manifest) -> str | None:
    entry = manifest.files.get(CARD_FILE)
    if entry is None or entry.bytes > CARD_BYTES:
        return None
    try:
        return content.read(store.objects, manifest, CARD_FILE).decode(errors="replace")
    except CorruptError as error:
        logs.get().warning("card_unreadable", model=manifest.model, version=manifest.version, reason=str(error))
        return None
