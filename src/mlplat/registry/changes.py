"""Writes: first to the store, which is the truth, then to the catalogue, with a line in the audit log."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy import exc as sql

from mlplat.bundle.manifest import Manifest
from mlplat.errors import ConflictError, MovedError, NotFoundError, RequestError
from mlplat.registry import encoded, indexing, lookup, rows
from mlplat.registry.audit import Author, is_noted, lines_since
from mlplat.registry.bodies import AliasMove, ModelPatch, NewModel, VersionPatch
from mlplat.registry.entries import read_entry, short
from mlplat.registry.service import Service
from mlplat.registry.tables import TAG, models, versions
from mlplat.store import keys, tombstones
from mlplat.store.aliases import AliasLog, Move, utc_now
from mlplat.store.seal import seal

Made = Callable[[Connection, bytes, bool], None]
"""Is given a version as JSON and whether it is new, in the transaction that made its row."""


def create_model(service: Service, author: Author, asked: NewModel, made: Callable[[Connection, bytes], None]) -> None:
    """Make a model without versions, and give its JSON to `made` in the same transaction. Raises ConflictError if it exists."""
    now = utc_now()
    row = {**asked.model_dump(), "created_at": now, "updated_at": now, "versions": 0}
    try:
        with service.database.write() as connection:
            model_id = connection.execute(insert(models).values(**row).returning(models.c.id)).scalar_one()
            rows.set_model_tags(connection, model_id, asked.tags)
            rows.set_terms(connection, model_id)
            author.note(connection, "model.create", model=asked.name, after=asked.model_dump(exclude_none=True))
            found = encoded.get_model(connection, asked.name)
            if found is None:  # pragma: no cover - its row was made in this transaction
                raise lookup.no_model(asked.name)
            made(connection, found)
    except sql.IntegrityError as error:
        raise ConflictError(f"There is a model {asked.name!r} already.") from error


def patch_model(
    service: Service, author: Author, name: str, asked: ModelPatch, *, seen: Mapping[str, str] | None = None
) -> None:
    """Change what people say about a model.

    Args:
        service: the registry.
        author: who changes it.
        name: of the model.
        asked: what changes.
        seen: the tags that it must have until now; None if it does not matter.

    Raises:
        NotFoundError: if there is no such model.
        RequestError: 412, if it has other tags.
    """
    lookup.encoded_model(service, name)
    given = asked.model_dump(include=asked.model_fields_set)
    with service.database.write() as connection:
        model_id = rows.locked_model(connection, name)
        before = connection.execute(select(models).where(models.c.id == model_id)).mappings().one()
        _require_tags(before["tags"], seen)
        if "tags" in given:
            rows.set_model_tags(connection, model_id, given.pop("tags") or {})
        columns = {**given, "updated_at": rows.later(utc_now())}
        connection.execute(update(models).where(models.c.id == model_id).values(**columns))
        rows.set_terms(connection, model_id)
        changed = asked.model_dump(include=asked.model_fields_set)
        was = {field: before[field] for field in changed}
        author.note(connection, "model.patch", model=name, before=was, after=changed)


def check_new(service: Service, manifest: Manifest, model: str) -> None:
    """Refuse a manifest of another model, or a version that is there already and is another one, or was deleted.

    Raises:
        RequestError: 422.
        ConflictError: 409.
    """
    if manifest.model != model:
        raise RequestError(f"The manifest is of the model {manifest.model[:100]!r}, not of {model!r}.")
    tombstones.refuse(service.store.objects, model, manifest.version)
    key = keys.manifest(model, manifest.version)
    if service.store.objects.size(key) is not None and service.store.objects.get(key) != seal(manifest):
        raise ConflictError(
            f"{model!r} has another version {manifest.version!r} already; nothing was overwritten.",
            hint="Choose a new version.",
        )


def publish(service: Service, author: Author, manifest: Manifest, files: Mapping[str, Path], made: Made) -> None:
    """Write a version that was received into the store; `made` is told whether it is new there.

    Raises:
        ConflictError: if another one of that name is there, or was deleted.
    """
    there = service.store.objects.size(keys.manifest(manifest.model, manifest.version)) is not None
    service.store.publish(manifest, files)

    def done(connection: Connection, version: bytes, _: bool) -> None:
        made(connection, version, not there)

    _index(service, author, manifest.model, manifest.version, done, received=True)


def adopt(service: Service, author: Author, model: str, version: str, made: Made) -> None:
    """Take a version that is in the store into the catalogue, verified; `made` is told whether it was not known.

    Raises:
        NotFoundError: if the store has none of that name.
        CorruptError: if a file of it is missing or damaged.
    """
    if service.store.objects.size(keys.manifest(model, version)) is None:
        raise lookup.no_version(service, model, version)
    service.store.verify(model, version)
    _index(service, author, model, version, made)


def patch_version(
    service: Service,
    author: Author,
    model: str,
    version: str,
    asked: VersionPatch,
    *,
    seen: Mapping[str, str] | None = None,
) -> None:
    """Change the tags of a version; for `seen`, and what is raised, see `patch_model`."""
    lookup.encoded_version(service, model, version)
    if "tags" in asked.model_fields_set:
        with service.database.write() as connection:
            model_id = rows.locked_model(connection, model)
            wanted = versions.c.model_id == model_id, versions.c.version == version
            before = connection.execute(select(versions.c.id, versions.c.tags).where(*wanted)).one_or_none()
            if before is None:
                raise NotFoundError(f"There is no version {version!r} of {model!r}.")
            _require_tags(before.tags, seen)
            tags = asked.tags or {}
            rows.set_version_tags(connection, before.id, tags)
            connection.execute(update(models).where(models.c.id == model_id).values(updated_at=rows.later(utc_now())))
            was, now = {"tags": before.tags}, {"tags": tags}
            author.note(connection, "version.patch", model=model, target=version, before=was, after=now)


def move_alias(
    service: Service, author: Author, model: str, alias: str, version: str, *, reason: str, after: int | None
) -> tuple[AliasMove, bool]:
    """Let an alias name a version; the move, and whether the alias is new.

    Args:
        service: the registry.
        author: who moves it; the store's log gets the name, too.
        model: whose alias.
        alias: made if it does not exist.
        version: must exist.
        reason: why.
        after: the number of the move that must be the last one; 0 if there must be none; None if it does not matter.

    Raises:
        NotFoundError: if there is no such version.
        RequestError: 412, if the alias was moved meanwhile.
    """
    lookup.version(service, model, version)
    is_new = AliasLog(service.store.objects, model, alias).current() is None
    try:
        move = service.store.move(model, alias, version, reason=reason, by=author.caller.name, after=after)
    except MovedError as error:
        indexing.find_alias(service.database, service.store, model, alias)
        raise RequestError(error.message, status=412, code="changed", hint=error.hint) from error
    with service.database.write() as connection:
        rows.put_moves(connection, rows.make_model(connection, model, move.at), [move])
        _note_own(connection, author, model, move, reason)
    return AliasMove(**move.model_dump(exclude={"writer"})), is_new


def keep_alias(service: Service, author: Author, model: str, alias: str, reason: str) -> AliasMove:
    """Say in the history of an alias why it is not moved. Raises NotFoundError if it does not exist."""
    lookup.alias(service, model, alias)
    log = AliasLog(service.store.objects, model, alias)
    entry = log.stay(reason=reason, by=author.caller.name, clock=service.store.clock)
    entry = entry or service.store.alias(model, alias)
    indexing.find_alias(service.database, service.store, model, alias)
    with service.database.write() as connection:
        rows.locked_model(connection, model)
        _note_own(connection, author, model, entry, reason)
    return lookup.alias(service, model, alias)


def _index(service: Service, author: Author, model: str, version: str, made: Made, *, received: bool = False) -> None:
    """Take a version into the catalogue. One that was `received` here is noted even if a sync was faster to find it."""
    entry = read_entry(service.store, model, version)
    with service.database.write() as connection:
        model_id = rows.make_model(connection, model, entry.published_at)
        if service.store.objects.size(keys.manifest(model, version)) is None:  # deleted before its row was made
            raise lookup.no_version(service, model, version)
        known = not rows.put_version(connection, model_id, entry, by=author.caller.name)
        if received and known and not is_noted(connection, "version.create", model, version):
            its = versions.c.model_id == model_id, versions.c.version == version
            connection.execute(update(versions).where(*its).values(by=short(author.caller.name, TAG)))
            known = False
        if not known:
            note: dict[str, Any] = {"sha256": entry.sha256, "bytes": entry.size}
            author.note(connection, "version.create", model=model, target=version, after=note)
        found = encoded.get_version(connection, model, version)
        if found is None:  # pragma: no cover - its row was made in this transaction
            raise lookup.no_version(service, model, version)
        made(connection, found, not known)


def _note_own(connection: Connection, author: Author, model: str, entry: Move, reason: str) -> None:
    """Write a line for what a request added to the log of an alias, dated as it is there.

    None is written for what someone else added, who was faster and leaves a line, nor twice: a request is sent again when the
    database was away after the store had taken it.
    """
    action = "alias.stay" if entry.version == entry.previous else "alias.move"
    is_own = (entry.by, entry.reason) == (author.caller.name, reason)
    if not is_own or entry.number in map(_number, lines_since(connection, action, model, entry.alias, entry.at)):
        return
    before = None if entry.previous is None else {"version": entry.previous, "number": entry.number - 1}
    after = {"version": entry.version, "number": entry.number, "reason": reason}
    author.note(connection, action, model=model, target=entry.alias, before=before, after=after, at=entry.at)


def _number(line: Row[Any]) -> int:
    """Which entry of an alias a line tells; of a stay, older releases say only what was before it."""
    before: int = (line.before or {}).get("number", 0)
    number: int = line.after.get("number", before + 1)
    return number


def _require_tags(tags: Mapping[str, str], seen: Mapping[str, str] | None) -> None:
    if seen is not None and tags != seen:
        raise RequestError(
            "The tags were changed meanwhile; nothing was changed now.", status=412, code="changed", hint="Look again."
        )
