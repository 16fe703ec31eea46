"""The interface of all stores, immutable versions and aliases that name them, and the choice of one by URL."""

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

from mlplat.bundle import names
from mlplat.bundle.manifest import Manifest
from mlplat.errors import CorruptError, DeletedError, GoneError, NotFoundError, UsageError
from mlplat.store.aliases import UNCHECKED, Clock, Expected, Move
from mlplat.store.seal import unseal
from mlplat.store.tombstones import NEVER_AGAIN, Tombstone

HOST_AND_PORT = re.compile(r"[A-Za-z0-9.-]+:[0-9]{1,5}(?:/|\Z)")
Role = Literal["writer", "admin"]
"""What a key of a registry must be for: a writer publishes versions and moves aliases, an admin deletes, too."""


def open_store(url: str, *, create: bool = True) -> "Store":
    """The store at a plain path, `file://`, `s3://`, `gs://` or `az://` URL, or behind a registry at `http(s)://`.

    Args:
        url: where it is.
        create: make the folder of a path if it is missing, and refuse a file system that cannot hold a store. Readers
            pass False: then a folder that is missing now is an error of each call, not of this one.

    Raises:
        UsageError: if the URL has another scheme, or lacks it.
        StoreError: if it cannot be used.
    """
    if url.startswith(("http://", "https://")):
        from mlplat.store.remote import open_registry

        return open_registry(url)
    if HOST_AND_PORT.match(url) and not Path(url).exists():
        raise UsageError(f"The store {url!r} is no folder.", hint=f"Of a registry say the whole URL: http://{url}")
    from mlplat.store.objectstore import open_object_store

    return open_object_store(url, create=create)


class Store(ABC):
    """Versions and aliases below one URL. Names are checked on input (UsageError) and ignored if invalid on listing.

    Every method raises StoreError if the store cannot be reached.

    Attributes:
        url: where it is.
        clock: what time it is.
    """

    url: str
    clock: Clock

    @abstractmethod
    def models(self) -> list[str]:
        """The models that have a version."""

    @abstractmethod
    def versions(self, model: str) -> list[str]:
        """The versions of a model, v2 before v10; none if there is no such model."""

    @abstractmethod
    def manifest(self, model: str, version: str) -> Manifest:
        """The manifest of a version.

        Raises:
            NotFoundError: saying what exists instead.
            CorruptError: if it is damaged, or another version's.
            SchemaError: if this release cannot read it.
        """

    def present(self, model: str, version: str) -> Manifest | None:
        """The manifest of a version; None if there is none and one can be published.

        For those who are about to make it, before they spend time on that.

        Raises:
            DeletedError: if it was deleted; its name is not used again.
            ForbiddenError: if there is none, and the key of this store does not allow to publish one.
            CorruptError, SchemaError: as `manifest`.
        """
        try:
            return self.manifest(model, version)
        except GoneError as error:
            raise DeletedError(error.message, hint=NEVER_AGAIN) from error
        except NotFoundError:
            self.require(model, "writer")
            return None

    def require(self, model: str, role: Role) -> None:
        """Refuse what needs a role with a model, before it is begun; whoever has the store itself may do all.

        Raises:
            ForbiddenError: if the key of this store has not that role.
        """
        del role
        names.check(model, "model")

    @abstractmethod
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

    @abstractmethod
    def delete(self, model: str, version: str, *, by: str, reason: str) -> Tombstone | None:
        """Delete a version for good: a tombstone says so, and its name is not used again. Its files go with `prune`.

        Doing it twice is doing it once; the first tombstone stays.

        Args:
            model: whose version.
            version: must exist, or have been deleted.
            by: who, for people.
            reason: why, for people.

        Returns:
            The tombstone; None where the store does not show it.

        Raises:
            NotFoundError: if there never was such a version.
            ConflictError: if an alias names it.
        """

    @abstractmethod
    def read_file(self, manifest: Manifest, name: str) -> bytes:
        """The bytes of a file of a version, verified.

        Raises:
            NotFoundError: if the version has no such file.
            CorruptError: if it is missing from the store or damaged.
        """

    @abstractmethod
    def download(self, manifest: Manifest, name: str, to: Path) -> None:
        """Copy a file of a version to the path `to`, in constant memory, and verify the copy.

        Raises:
            NotFoundError: if the version has no such file.
            CorruptError: if it is missing from the store or damaged.
        """

    @abstractmethod
    def verify(self, model: str, version: str) -> Manifest:
        """Read a whole version and return its manifest.

        Raises:
            CorruptError: naming the first file that is missing or damaged.
        """

    @abstractmethod
    def aliases(self, model: str) -> dict[str, Move]:
        """The aliases of a model and the move that each came from last."""

    @abstractmethod
    def alias(self, model: str, alias: str) -> Move:
        """The last move of an alias, so what it names now. Raises NotFoundError, saying which aliases there are."""

    @abstractmethod
    def history(self, model: str, alias: str) -> list[Move]:
        """All moves of an alias, the oldest first. Raises NotFoundError as `alias` does."""

    @abstractmethod
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

    @abstractmethod
    def stay(self, model: str, alias: str, *, reason: str, by: str) -> None:
        """Say in the history of an alias why it was not moved; nothing is written where it does not exist."""

    @abstractmethod
    def published(self, manifest: Manifest) -> datetime:
        """When a version came into this store; a pushed one was made long before."""

    @abstractmethod
    def deleted(self, model: str) -> list[str]:
        """The versions of a model that were deleted, and whose deletion may have been killed half-way."""

    @abstractmethod
    def sweep(self, model: str, needed: Collection[str], *, dry_run: bool) -> dict[str, int]:
        """Remove the files of a model that are not needed and older than a day.

        Args:
            model: whose files.
            needed: hashes of the files that its versions name.
            dry_run: only say which these are.

        Returns:
            Hashes and sizes.
        """

    def resolve(self, model: str, *, version: str | None = None, alias: str | None = None) -> str:
        """The version that is meant by exactly one of a version and an alias.

        A version is returned as it is, without a look at the store; `manifest` says whether it exists.
        """
        if (version is None) == (alias is None):
            raise UsageError("Give either a version or an alias.")
        if version is not None:
            return names.check(version, "version")
        return self.alias(model, str(alias)).version


def read_manifest(data: bytes, model: str, version: str, *, source: str) -> Manifest:
    """The manifest of that very version out of its bytes; raises SchemaError and CorruptError."""
    manifest = unseal(data, source=source)
    if (manifest.model, manifest.version) != (model, version):
        raise CorruptError(
            f"{source} is the manifest of {manifest.model!r} {manifest.version!r}, so it was moved or copied there.",
            hint="Publish the version anew, or use `mlplat models push`.",
        )
    return manifest
