"""Deleting a version: a note of who deleted it and why, which stays for ever, then the manifest.

The note, a tombstone, keeps the name from being used again: whoever pinned that version never gets another one.
"""

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from mlplat.bundle import names
from mlplat.bundle.names import Name
from mlplat.errors import ConflictError, CorruptError, DeletedError, NotFoundError
from mlplat.objects import Objects
from mlplat.store import keys
from mlplat.store.aliases import AliasLog, Clock

NEVER_AGAIN = "Its name is not used again: choose a new version."


class Tombstone(BaseModel):
    """That a version was deleted: when, by whom and why."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Name
    at: AwareDatetime
    by: str
    reason: str

    def sentence(self, model: str) -> str:
        """What became of the version of a model, for people."""
        who, why = self.by or "someone", self.reason or "without a reason"
        return f"The version {self.version!r} of {model!r} was deleted on {self.at:%Y-%m-%d} by {who} ({why})."


def read(objects: Objects, model: str, version: str) -> Tombstone | None:
    """The tombstone of a version; None if it has none.

    Raises:
        CorruptError: if something else is there.
    """
    key = keys.tombstone(model, version)
    try:
        return Tombstone.model_validate_json(objects.get(key))
    except NotFoundError:
        return None
    except ValidationError as error:
        raise CorruptError(f"{objects.url}/{key} is not the tombstone of a version.", hint="Delete it.") from error


def refuse(objects: Objects, model: str, version: str) -> None:
    """Refuse a version that was deleted.

    Raises:
        DeletedError: saying when, by whom and why.
    """
    if objects.size(keys.tombstone(model, version)) is None:
        return
    tombstone = read(objects, model, version)
    if tombstone is not None:
        raise DeletedError(tombstone.sentence(model), hint=NEVER_AGAIN)


def delete(objects: Objects, model: str, version: str, *, by: str, reason: str, clock: Clock) -> Tombstone:
    """Write the tombstone, then remove the manifest; see `Store.delete`.

    A process that is killed between the two leaves both; then the next call for this version removes the manifest.
    """
    key = keys.manifest(model, version)
    try:
        manifest = objects.get(key)
    except NotFoundError:
        tombstone = read(objects, model, version)
        if tombstone is None:
            raise
        return tombstone
    alias = naming(objects, model, version)
    if alias is not None:
        objects.delete(keys.tombstone(model, version))  # a killed deletion left it, and then the alias was moved
        raise _named(model, version, alias)
    tombstone = Tombstone(version=version, at=clock(), by=by, reason=reason)
    if not objects.put_if_absent(keys.tombstone(model, version), tombstone.model_dump_json(indent=1).encode()):
        tombstone = read(objects, model, version) or tombstone
    objects.delete(key)
    alias = naming(objects, model, version)  # it may have been moved at the same moment
    if alias is not None:
        restore(objects, model, version, manifest)
        raise _named(model, version, alias)
    return tombstone


def restore(objects: Objects, model: str, version: str, manifest: bytes) -> None:
    """Take a deletion back, as an alias names the version: the manifest first, so that it is never lost."""
    objects.put_if_absent(keys.manifest(model, version), manifest)
    objects.delete(keys.tombstone(model, version))


def naming(objects: Objects, model: str, version: str) -> str | None:
    """An alias that names a version now; None if none does."""
    for alias in filter(names.is_valid, objects.folders(f"{model}/aliases")):
        move = AliasLog(objects, model, alias).current()
        if move is not None and move.version == version:
            return alias
    return None


def _named(model: str, version: str, alias: str) -> ConflictError:
    return ConflictError(
        f"The alias {alias!r} names {version!r} of {model!r}; it was not deleted.",
        hint="Move the alias to another version first.",
    )
