"""What is deleted for good: first in the store, which is the truth, then in the catalogue, with a line in the audit log.

A request that is sent again, as the database was away when its line was due, leaves that line.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select

from mlplat.errors import ConflictError, GoneError, MlplatError
from mlplat.registry import encoded, indexing, lookup, rows
from mlplat.registry.access import Caller
from mlplat.registry.audit import Author, is_noted, lines_since
from mlplat.registry.bodies import VersionDetail
from mlplat.registry.entries import short
from mlplat.registry.service import Service
from mlplat.registry.tables import TAG, models, moves, versions
from mlplat.store import Tombstone, keys
from mlplat.store.aliases import AliasLog, utc_now

KEPT = {"sha256", "created_at", "by", "metrics", "tags"}
"""What the line of a deletion keeps of a version."""

ENDED = "What an alias names is in use; an admin ends one by DELETE /models/{model}/aliases/{alias}."


def delete_model(service: Service, author: Author, name: str, reason: str) -> None:
    """Delete a model with all its versions, each of which leaves a tombstone; what is published meanwhile stays.

    Raises:
        NotFoundError: if there is none.
        ConflictError: if an alias names one of its versions; nothing is deleted then, or, if the alias was moved only
            meanwhile, what it says.
        StoreError: if the store is away; what was deleted before has a line.
    """
    before = lookup.model(service, name)
    there = service.store.versions(name)
    for alias, move in service.store.aliases(name).items():
        if move.version in there:
            raise ConflictError(
                f"The alias {alias!r} names {move.version!r} of {name!r}; nothing was deleted.",
                hint=ENDED.format(model=name, alias=alias),
            )
    deleted: list[Tombstone] = []
    try:
        for version in there:
            tombstone = service.store.delete(name, version, by=author.caller.name, reason=reason)
            deleted.append(tombstone)
    except MlplatError as error:
        _take_out(service, author, name, reason, deleted)
        if isinstance(error, ConflictError):
            told = f"{error.message} Of its {len(there)} versions {len(deleted)} were deleted before."
            raise ConflictError(told, hint=error.hint) from error
        raise
    with service.database.write() as connection:
        model_id = rows.locked_model(connection, name)
        left = service.store.versions(name)  # others may have published meanwhile
        gone = versions.c.model_id == model_id, versions.c.version.not_in(left)
        removed = connection.scalars(select(versions.c.version).where(*gone)).all()
        rows.remove_versions(connection, model_id, removed, utc_now())
        if not left:
            connection.execute(delete(models).where(models.c.id == model_id))
        note = {"reason": reason, "versions": sorted({*there, *removed}, key=keys.natural)}
        author.note(connection, "model.delete", model=name, before=before.model_dump(mode="json"), after=note)


def delete_version(service: Service, author: Author, model: str, version: str, reason: str) -> None:
    """Delete a version for good.

    Raises:
        NotFoundError: if there is none, or none any more and whoever deleted it needs no line now.
        ConflictError: if an alias names it.
    """
    gone: GoneError | None = None
    try:
        lookup.encoded_version(service, model, version)
        tombstone = service.store.delete(model, version, by=author.caller.name, reason=reason)
    except GoneError as error:
        found = service.store.tombstone(model, version)
        if found is None:
            raise
        gone, tombstone = error, found
    if _take_out(service, author, model, reason, [tombstone]) == 0 and gone is not None:
        raise gone


def end_alias(service: Service, author: Author, model: str, alias: str, reason: str) -> None:
    """Let an alias be none any more, so that what it named may be deleted; its last move stays in the audit log.

    Raises:
        NotFoundError: if it does not exist.
    """
    was = lookup.alias(service, model, alias).model_dump(mode="json")
    service.store.end(model, alias)
    with service.database.write() as connection:
        model_id = rows.locked_model(connection, model)
        its = moves.c.model_id == model_id, moves.c.alias == alias
        rows.remove_moves(connection, model_id, alias, connection.scalars(select(moves.c.number).where(*its)).all())
        log = AliasLog(service.store.objects, model, alias)  # others may have made it anew meanwhile, from number 1 on
        rows.put_moves(connection, model_id, list(indexing.readable(log, log.numbers(), indexing.Changes())))
        if not is_noted(connection, "alias.end", model, alias, before=was):
            author.note(connection, "alias.end", model=model, target=alias, before=was, after={"reason": reason})


def _take_out(service: Service, author: Author, model: str, reason: str, deleted: Sequence[Tombstone]) -> int:
    """Remove the rows of versions that were deleted, and write those lines that are not there; how many these were."""
    with service.database.write() as connection:
        model_id = rows.lock_model(connection, model)
        written = sum([_note(connection, author, model, reason, tombstone) for tombstone in deleted])
        if model_id is not None:
            rows.remove_versions(connection, model_id, [tombstone.version for tombstone in deleted], utc_now())
    return written


def _note(connection: Connection, author: Author, model: str, reason: str, tombstone: Tombstone) -> bool:
    """Write the line of a deletion as its tombstone tells it, unless there is one; whether it was written.

    What someone else deleted gets one only as long as the version has a row, and without a key, which no tombstone tells.
    """
    is_own = (tombstone.by, tombstone.reason) == (author.caller.name, reason)
    found = encoded.get_version(connection, model, tombstone.version)
    if (found is None and not is_own) or _is_told(connection, model, tombstone):
        return False
    was = None if found is None else VersionDetail.model_validate_json(found).model_dump(mode="json", include=KEPT)
    after = {"reason": tombstone.reason}
    who = author if is_own else Author(Caller(tombstone.by, "admin"))
    who.note(
        connection, "version.delete", model=model, target=tombstone.version, before=was, after=after, at=tombstone.at
    )
    return True


def _is_told(connection: Connection, model: str, tombstone: Tombstone) -> bool:
    """Whether there is a line of a deletion, or one of the deletion of its model by the same one."""
    if lines_since(connection, "version.delete", model, tombstone.version, tombstone.at):
        return True
    its = short(tombstone.by, TAG), tombstone.reason
    return any(
        (line.who, line.after["reason"]) == its and tombstone.version in line.after["versions"]
        for line in lines_since(connection, "model.delete", model, None, tombstone.at)
    )
