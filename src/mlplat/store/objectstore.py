"""The store over objects: immutable versions, and aliases that name them."""

from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path

from mlplat.bundle import names
from mlplat.bundle.manifest import Manifest
from mlplat.errors import GoneError, MlplatError, NotFoundError
from mlplat.objects import Objects, open_objects
from mlplat.store import content, keys, tombstones
from mlplat.store.aliases import UNCHECKED, AliasLog, Clock, Expected, Move, utc_now
from mlplat.store.publishing import GRACE, publish
from mlplat.store.tombstones import Tombstone
from mlplat.store.versions import Store, read_manifest


def open_object_store(url: str, *, create: bool = True) -> "ObjectStore":
    """The store at a plain path, `file://`, `s3://`, `gs://` or `az://` URL; see `open_store`."""
    return ObjectStore(open_objects(url, create=create))


class ObjectStore(Store):
    """Versions and aliases as objects below one URL (format 1)."""

    def __init__(self, objects: Objects, *, clock: Clock = utc_now) -> None:
        self.objects = objects
        self.url = objects.url
        self.clock = clock

    def models(self) -> list[str]:
        """The models that have a version."""
        return [name for name in self.objects.folders("") if names.is_valid(name) and self.versions(name)]

    def versions(self, model: str) -> list[str]:
        """The versions of a model, v2 before v10; none if there is no such model."""
        names.check(model, "model")
        found = map(keys.version_of, self.objects.list(f"{model}/versions"))
        return sorted((version for version in found if version is not None), key=keys.natural)

    def manifest(self, model: str, version: str) -> Manifest:
        """The manifest of a version. Raises NotFoundError, CorruptError, SchemaError."""
        names.check(model, "model")
        key = keys.manifest(model, names.check(version, "version"))
        try:
            data = self.objects.get(key)
        except NotFoundError as error:
            raise self._no_version(model, version) from error
        return read_manifest(data, model, version, source=f"{self.url}/{key}")

    def publish(self, manifest: Manifest, files: Mapping[str, Path]) -> None:
        """Write a version. Raises ConflictError, DeletedError, CorruptError."""
        publish(self.objects, manifest, files)

    def delete(self, model: str, version: str, *, by: str, reason: str) -> Tombstone:
        """Delete a version for good. Raises NotFoundError, ConflictError."""
        names.check(model, "model")
        try:
            return tombstones.delete(
                self.objects, model, names.check(version, "version"), by=by, reason=reason, clock=self.clock
            )
        except NotFoundError as error:
            raise self._no_version(model, version) from error

    def tombstone(self, model: str, version: str) -> Tombstone | None:
        """Who deleted a version, when and why; None if nobody did."""
        return tombstones.read(self.objects, names.check(model, "model"), names.check(version, "version"))

    def deleted(self, model: str) -> list[str]:
        """The versions of a model that were deleted."""
        names.check(model, "model")
        found = map(keys.version_of, self.objects.list(f"{model}/tombstones"))
        return sorted((version for version in found if version is not None), key=keys.natural)

    def read_file(self, manifest: Manifest, name: str) -> bytes:
        """The bytes of a file of a version, verified. Raises NotFoundError, CorruptError."""
        return content.read(self.objects, manifest, name)

    def download(self, manifest: Manifest, name: str, to: Path) -> None:
        """Copy a file of a version to the path `to`, and verify the copy. Raises NotFoundError, CorruptError."""
        content.download(self.objects, manifest, name, to)

    def verify(self, model: str, version: str) -> Manifest:
        """Read a whole version and return its manifest. Raises CorruptError."""
        manifest = self.manifest(model, version)
        for name in manifest.files:
            content.verify(self.objects, manifest, name)
        return manifest

    def aliases(self, model: str) -> dict[str, Move]:
        """The aliases of a model and the move that each came from last."""
        names.check(model, "model")
        current = {
            alias: AliasLog(self.objects, model, alias).current()
            for alias in self.objects.folders(f"{model}/aliases")
            if names.is_valid(alias)
        }
        return {alias: move for alias, move in current.items() if move is not None}

    def alias(self, model: str, alias: str) -> Move:
        """The last move of an alias, so what it names now. Raises NotFoundError, saying which aliases there are."""
        move = self._log(model, alias).current()
        if move is None:
            raise self._no_alias(model, alias)
        return move

    def history(self, model: str, alias: str) -> list[Move]:
        """All moves of an alias, the oldest first. Raises NotFoundError as `alias` does."""
        moves = self._log(model, alias).history()
        if not moves:
            raise self._no_alias(model, alias)
        return moves

    def move(
        self,
        model: str,
        alias: str,
        version: str,
        *,
        reason: str,
        by: str,
        expected: Expected = UNCHECKED,
        after: int | None = None,
    ) -> Move:
        """Let an alias name a version. Raises NotFoundError, MovedError."""
        log = self._log(model, alias)
        key = keys.manifest(model, names.check(version, "version"))
        try:
            manifest = self.objects.get(key)
        except NotFoundError as error:
            raise self._no_version(model, version) from error
        move = log.move(version, reason=reason, by=by, expected=expected, after=after, clock=self.clock)
        if self.objects.size(key) is None:  # deleted at the same moment
            tombstones.restore(self.objects, model, version, manifest)
        return move

    def stay(self, model: str, alias: str, *, reason: str, by: str) -> None:
        """Say in the history of an alias why it was not moved; nothing is written where it does not exist."""
        self._log(model, alias).stay(reason=reason, by=by, clock=self.clock)

    def end(self, model: str, alias: str) -> list[int]:
        """Let an alias name nothing any more, without its history; the numbers of its moves."""
        return self._log(model, alias).end()

    def published(self, manifest: Manifest) -> datetime:
        """When a version came into this store: when its manifest was written."""
        modified = self.objects.modified(keys.manifest(manifest.model, manifest.version))
        return max(manifest.created_at, modified or manifest.created_at)

    def sweep(self, model: str, needed: Collection[str], *, dry_run: bool) -> dict[str, int]:
        """Remove the files of a model that are not needed and older than a day; hashes and sizes."""
        now = self.clock()
        found = {}
        for key in self.objects.list(f"{names.check(model, 'model')}/files"):
            sha256 = key.rpartition("/")[2]
            modified = self.objects.modified(key)
            if sha256 not in needed and modified is not None and modified < now - GRACE:
                found[sha256] = self.objects.size(key) or 0
        if not dry_run:
            for sha256 in found:
                self.objects.delete(keys.file(model, sha256))
        return found

    def _log(self, model: str, alias: str) -> AliasLog:
        return AliasLog(self.objects, names.check(model, "model"), names.check(alias, "alias"))

    def _no_version(self, model: str, version: str) -> MlplatError:
        if (tombstone := self.tombstone(model, version)) is not None:
            return GoneError(tombstone.sentence(model))
        if versions := self.versions(model):
            return NotFoundError(f"There is no version {version!r} of {model!r}.", hint=f"It has {_some(versions)}.")
        return self._no_model(model)

    def _no_alias(self, model: str, alias: str) -> MlplatError:
        if aliases := sorted(self.aliases(model)):
            return NotFoundError(f"{model!r} has no alias {alias!r}.", hint=f"It has {_some(aliases)}.")
        if versions := self.versions(model):
            hint = f"It has none; its versions are {_some(versions)}."
            return NotFoundError(f"{model!r} has no alias {alias!r}.", hint=hint)
        return self._no_model(model)

    def _no_model(self, model: str) -> MlplatError:
        models = self.models()
        hint = f"The store has {_some(models)}." if models else "The store is empty: publish one with `mlplat train`."
        return NotFoundError(f"There is no model {model!r} in {self.url}.", hint=hint)


def _some(names_: list[str], limit: int = 10) -> str:
    """The last names of a list, for a sentence."""
    shown = ", ".join(names_[-limit:])
    return shown if len(names_) <= limit else f"{len(names_)}, the last of them {shown}"
