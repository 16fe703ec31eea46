"""The audit log: a line for every write, in the transaction of the write itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from mlplat.registry.access import Caller
from mlplat.registry.bodies import Change, Key, Page
from mlplat.registry.entries import short
from mlplat.registry.keyset import Slice, Sort, page
from mlplat.registry.tables import TAG, audit
from mlplat.store.aliases import utc_now


@dataclass(frozen=True)
class Author:
    """Who writes, and in which request."""

    caller: Caller
    request_id: str | None = None

    def note(
        self,
        connection: Connection,
        action: str,
        *,
        model: str | None = None,
        target: str | None = None,
        before: Any = None,
        after: Any = None,
        at: datetime | None = None,
    ) -> None:
        """Write a line.

        Args:
            connection: in whose transaction.
            action: such as `version.create`.
            model: that was changed.
            target: what of it: a version, an alias; or the id of a key.
            before: what was there, as JSON.
            after: what is there now, as JSON.
            at: when it happened; now, if not given.
        """
        connection.execute(
            insert(audit).values(
                at=at or utc_now(),
                who=short(self.caller.name, TAG),
                key_id=self.caller.key_id or None,
                role=self.caller.role,
                action=action,
                model=model,
                target=target,
                before=before,
                after=after,
                request_id=self.request_id,
            )
        )


def note_revoked(connection: Connection, author: Author, key: Key) -> None:
    """Write the line of a key that opens nothing from now on."""
    before = key.model_dump(mode="json", include={"name", "role", "pattern"})
    author.note(connection, "key.revoke", target=key.id, before=before)


def is_noted(connection: Connection, action: str, model: str, target: str, **said: Any) -> bool:
    """Whether there is such a line, which also says this, such as `before`."""
    wanted = [audit.c.model == model, audit.c.action == action, audit.c.target == target]
    wanted += [audit.c[name] == value for name, value in said.items()]
    return connection.scalar(select(audit.c.id).where(*wanted).limit(1)) is not None


def lines_since(
    connection: Connection, action: str, model: str, target: str | None, at: datetime
) -> Sequence[Row[Any]]:
    """The lines of what happened at a time, or later; older releases dated a line when they wrote it."""
    wanted = audit.c.model == model, audit.c.action == action, audit.c.target == target, audit.c.at >= at
    return connection.execute(select(audit).where(*wanted)).all()


def list_changes(
    connection: Connection,
    part: Slice,
    *,
    model: str | None = None,
    who: str | None = None,
    action: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Page[Change]:
    """A page of the audit log, the newest first; `since` is part of it, `until` is not.

    Raises:
        RequestError: if the cursor is none.
    """
    wanted = [
        column == value
        for column, value in ((audit.c.model, model), (audit.c.who, who), (audit.c.action, action))
        if value is not None
    ]
    if since is not None:
        wanted.append(audit.c.at >= since)
    if until is not None:
        wanted.append(audit.c.at < until)
    sort = Sort("-id", audit.c.id, audit.c.id, int)
    return page(connection, select(audit).where(*wanted), sort, part, _changes)


def _changes(rows: Sequence[Row[Any]]) -> list[Change]:
    return [Change.model_validate(row, from_attributes=True) for row in rows]
