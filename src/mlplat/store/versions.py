"""The store: immutable versions, and aliases that name them."""

from collections.abc import Mapping
from pathlib import Path

from mlplat.bundle import names
from mlplat.bundle.manifest import Manifest
from mlplat.errors import CorruptError, MlplatError, NotFoundError, UsageError
from mlplat.objects import Objects, open_objects
from mlplat.store import content, keys, tombstones
from mlplat.store.aliases import UNCHECKED, AliasLog, Clock, Expected, Move, utc_now
from mlplat.store.publishing import publish
from mlplat.store.seal import unseal
from mlplat.store.tombstones import Tombstone


def open_store(url: str, *, create: bool = True) -> "Store":
    """The store at a plain path, `file://`, `s3://`, `gs://` or `az://` URL.

    Args:
        url: where it is.
        create: make the folder of a path if it is missing, and refuse a file system that cannot hold a store. Readers
            pass False: then a folder that is missing now is an error of each call, not of this one.

    Raises:
        UsageError: if the URL has another scheme.
        StoreError: if it cannot be used.
    """
    if url.startswith(("http://", "https://")):
        raise UsageError(f"{url} is a registry, which this release cannot use.", hint="Name the store behind it.")
    return Store(open_objects(url, create=create))


class Store:
    """Versions and aliases below one URL. Names are checked on input (UsageError) and ignored if invalid on listing.

    Every method raises StoreError if the store cannot be reached.
    """

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
        """The manifest of a version.

        Raises:
            NotFoundError: saying what exists instead.
            CorruptError: if it is damaged, or another version's.
            SchemaError: if this release cannot read it.
        """
        names.check(model, "model")
        key = keys.manifest(model, names.check(version, "version"))
        try:
            data = self.objects.get(key)
        except NotFoundError as error:
            raise self._no_version(model, version) from error
        return read_manifest(data, model, version, source=f"{self.url}/{key}")

    def publish(self, manifest: Manifest, files: Mapping[str, Path]) -> None:
        """Write a version: its files, then its manifest, which makes it visible.

        Args:
            manifest: with the hash of each file.
            files: where each file of the manifest is now.

        Raises:
            ConflictError: if the version exists and is not this very one.
            DeletedError: if it was deleted; its name is not used again.
            CorruptError: if a file does not have the hash that the manifest says; nothing is written then.
        """
        publish(self.objects, manifest, files)

    def delete(self, model: str, version: str, *, by: str, reason: str) -> Tombstone:
        """Delete a version for good: a tombstone says so, and its name is not used again. Its files go with `prune`.

        Doing it twice is doing it once; the first tombstone stays.

        Args:
            model: whose version.
            version: must exist, or have been deleted.
            by: who, for people.
            reason: why, for people.

        Raises:
            NotFoundError: if there never was such a version.
            ConflictError: if an alias names it.
        """
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
        """The bytes of a file of a version, verified.

        Raises:
            NotFoundError: if the version has no such file.
            CorruptError: if it is missing from the store or damaged.
        """
        return content.read(self.objects, manifest, name)

    def verify(self, model: str, version: str) -> Manifest:
        """Read a whole version and return its manifest.

        Raises:
            CorruptError: naming the first file that is missing or damaged.
        """
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
        """Let an alias name a version; if it does already, nothing is written and its last move is returned.

        Args:
            model: whose alias.
            alias: made if it does not exist.
            version: must exist.
            reason: why, for people.
            by: who, for people.
            expected: what the alias must name now; None if it must not exist yet.
            after: the number of the move that must be the last one now, whatever it named.

        Raises:
            NotFoundError: if there is no such version.
            MovedError: if the alias does not name `expected`, or someone else was faster.
        """
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

    def resolve(self, model: str, *, version: str | None = None, alias: str | None = None) -> str:
        """The version that is meant by exactly one of a version and an alias.

        A version is returned as it is, without a look at the store; `manifest` says whether it exists.
        """
        if (version is None) == (alias is None):
            raise UsageError("Give either a version or an alias.")
        if version is not None:
            return names.check(version, "version")
        return self.alias(model, str(alias)).version

    def _log(self, model: str, alias: str) -> AliasLog:
        return AliasLog(self.objects, names.check(model, "model"), names.check(alias, "alias"))

    def _no_version(self, model: str, version: str) -> MlplatError:
        if (tombstone := self.tombstone(model, version)) is not None:
            when = (
                f"on {tombstone.at:%Y-%m-%d} by {tombstone.by or 'someone'} ({tombstone.reason or 'without a reason'})"
            )
            return NotFoundError(f"The version {version!r} of {model!r} was deleted {when}.")
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


def read_manifest(data: bytes, model: str, version: str, *, source: str) -> Manifest:
    """The manifest of that very version out of its bytes; raises SchemaError and CorruptError."""
    manifest = unseal(data, source=source)
    if (manifest.model, manifest.version) != (model, version):
        raise CorruptError(
            f"{source} is the manifest of {manifest.model!r} {manifest.version!r}, so it was moved or copied there.",
            hint="Publish the version anew, or use `mlplat models push`.",
        )
    return manifest


def _some(names_: list[str], limit: int = 10) -> str:
    """The last names of a list, for a sentence."""
    shown = ", ".join(names_[-limit:])
    return shown if len(names_) <= limit else f"{len(names_)}, the last of them {shown}"
