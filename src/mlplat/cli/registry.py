"""`mlplat registry`: serve the catalogue, make it anew, and who may use it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from pydantic import Field

from mlplat.cli.app import app
from mlplat.cli.options import command, group, validate
from mlplat.cli.show import ListSettings, print_json, print_rows
from mlplat.errors import CorruptError
from mlplat.settings import DatabaseSettings, RegistrySettings

if TYPE_CHECKING:
    from mlplat.registry.audit import Author
    from mlplat.registry.database import Database

registry = typer.Typer(name="registry", epilog="Example: mlplat registry --open --store ./models")
keys = typer.Typer(name="keys", help="Make, list and revoke the keys of the registry.", no_args_is_help=True)
app.add_typer(registry)
registry.add_typer(keys)


class NewKeySettings(DatabaseSettings):
    """Settings of `mlplat registry keys create`."""

    role: Literal["reader", "writer", "admin"] = Field(
        "reader", description="What it may do: read; also create and promote; also delete and make keys."
    )
    pattern: str | None = Field(None, description="Models that it is for, e.g. 'team-*'; all if not given.")
    days: float | None = Field(None, gt=0, le=36_500, description="Days until it expires; never if not given.")


class KeyListSettings(DatabaseSettings, ListSettings):
    """Settings of `mlplat registry keys list`."""


@group(registry, RegistrySettings)
def serve(settings: RegistrySettings) -> None:
    """Serve the models, versions and aliases of a store over HTTP, with a catalogue, search, keys and an audit log.

    The store stays the truth; the database holds a copy that is fast to search, and what the store cannot hold. Without
    --database it is a SQLite file, for one registry; several share a PostgreSQL.
    """
    from mlplat.registry.run import run

    run(settings)


@command(registry, DatabaseSettings, name="reindex")
def reindex(settings: DatabaseSettings) -> None:
    """Make the catalogue anew from the store; what only the database knows stays, and a registry may serve meanwhile."""
    from mlplat.registry.indexing import Changes, index_store
    from mlplat.store import open_object_store

    def tell(model: str, changes: Changes) -> None:
        typer.echo(f"{model}: {changes.versions} new versions, {changes.moves} new moves, {changes.removed} removed")

    with _database(settings) as database:
        total = index_store(database, open_object_store(settings.store, create=False), again=True, told=tell)
    typer.echo(f"{total.models} models: {total.versions} new versions, {total.unreadable} cannot be read")
    if total.unreadable:
        raise CorruptError(
            f"{total.unreadable} objects of the store cannot be read; all else is in the catalogue.",
            hint="The log names them: restore them, or delete them.",
        )


@command(keys, NewKeySettings, name="create")
def create(name: Annotated[str, typer.Argument(help="Whose key it is, for people.")], settings: NewKeySettings) -> None:
    """Make a key and print it, this once: on stdout the key alone."""
    from mlplat.registry.access import make_key
    from mlplat.registry.bodies import NewKey

    now = datetime.now(UTC)
    expires_at = None if settings.days is None else now + timedelta(days=settings.days)
    given = {"name": name, "role": settings.role, "pattern": settings.pattern, "expires_at": expires_at}
    asked = validate(NewKey, given)
    with _database(settings) as database, database.write() as connection:
        made = make_key(connection, asked, now=now)
        _author().note(connection, "key.create", target=made.id, after=asked.model_dump(mode="json"))
    typer.echo(f"The key {made.id} of {name} with the role {made.role}; it is shown only now:", err=True)
    typer.echo(made.key)


@command(keys, KeyListSettings, name="list")
def list_(settings: KeyListSettings) -> None:
    """List the keys, without what they open with."""
    from mlplat.registry.access import list_keys

    with _database(settings) as database, database.read() as connection:
        rows = [key.model_dump(mode="json") for key in list_keys(connection)]
    if settings.output == "json":
        print_json(rows)
    else:
        print_rows(rows, settings.output, empty="There are no keys yet; try: mlplat registry keys create NAME")


@command(keys, DatabaseSettings, name="revoke")
def revoke(key_id: Annotated[str, typer.Argument(help="The id of the key.")], settings: DatabaseSettings) -> None:
    """Let a key open nothing from now on; registries that run follow within seconds."""
    from mlplat.registry.access import revoke_key
    from mlplat.registry.audit import note_revoked

    with _database(settings) as database, database.write() as connection:
        key = revoke_key(connection, key_id, now=datetime.now(UTC))
        note_revoked(connection, _author(), key)
    typer.echo(f"The key {key_id} of {key.name} is revoked")


@contextmanager
def _database(settings: DatabaseSettings) -> "Iterator[Database]":
    """The database, its tables up to date."""
    from mlplat.registry.migrations import migrate
    from mlplat.registry.run import open_database

    database = open_database(settings.database, settings.store)
    try:
        migrate(database)
        yield database
    finally:
        database.close()


def _author() -> "Author":
    """Whoever may reach the database, by the name of this user."""
    from mlplat.cli.models import user
    from mlplat.registry.access import Caller
    from mlplat.registry.audit import Author

    return Author(Caller(f"{user()} (mlplat registry)", "admin"))
