"""What is deleted for good: first in the store, which is the truth, then in the catalogue, with a line in the audit log.

A request that is sent again, as the database was away when its line was due, leaves that line.
"""

from sqlalchemy import delete, select

from mlplat.errors import ConflictError, GoneError
from mlplat.registry import indexing, lookup, rows
from mlplat.registry.audit import Author, is_noted
from mlplat.registry.service import Service
from mlplat.registry.tables import models, moves, versions
from mlplat.store import keys
from mlplat.store.aliases import AliasLog, utc_now

ENDED = "What an alias names is in use; an admin ends one by DELETE /models/{model}/aliases/{alias}."


def delete_model(service: Service, author: Author, name: str, reason: str) -> None:
    """Delete a model with all its versions, each of which leaves a tombstone; what is published meanwhile stays.

    Raises:
        NotFoundError: if there is none.
        ConflictError: if an alias names one of its versions; nothing is deleted then, or, if the alias was moved only
            meanwhile, what it says.
    """
    before = lookup.model(service, name)
    there = service.store.versions(name)
    for alias, move in service.store.aliases(name).items():
        if move.version in there:
            raise ConflictError(
                f"The alias {alias!r} names {move.version!r} of {name!r}; nothing was deleted.",
                hint=ENDED.format(model=name, alias=alias),
            )
    for number, version in enumerate(there):
        try:
            service.store.delete(name, version, by=author.caller.name, reason=reason)
        except ConflictError as error:
            for deleted in there[:number]:
                delete_version(service, author, name, deleted, reason)  # what is left of it: its row, and a line
            told = f"{error.message} Of its {len(there)} versions {number} were deleted before."
            raise ConflictError(told, hint=error.hint) from error
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
        NotFoundError: if there is none.
        ConflictError: if an alias names it.
    """
    gone: GoneError | None = None
    try:
        before = lookup.version(service, model, version)
    except GoneError as error:
        gone = error
        was, tombstone = None, service.store.tombstone(model, version)
    else:
        was = before.model_dump(mode="json", include={"sha256", "created_at", "by", "metrics", "tags"})
        tombstone = service.store.delete(model, version, by=author.caller.name, reason=reason)
    with service.database.write() as connection:
        rows.remove_versions(connection, rows.locked_model(connection, model), [version], utc_now())
        is_own = tombstone is not None and (tombstone.by, tombstone.reason) == (author.caller.name, reason)
        if is_own and not is_noted(connection, "version.delete", model, version):
            author.note(connection, "version.delete", model=model, target=version, before=was, after={"reason": reason})
        elif gone is not None:
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
