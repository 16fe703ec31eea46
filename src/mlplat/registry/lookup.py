"""Reading one model, version or alias: from the catalogue, and what it lacks from the store."""

from collections.abc import Callable

from sqlalchemy import select

from mlplat.errors import GoneError, NotFoundError
from mlplat.registry import catalogue, encoded, indexing
from mlplat.registry.bodies import AliasMove, Model, VersionDetail
from mlplat.registry.service import Service
from mlplat.registry.tables import models, versions

SHOWN = 10


def model(service: Service, name: str) -> Model:
    """A model. Raises NotFoundError."""
    return Model.model_validate_json(encoded_model(service, name))


def encoded_model(service: Service, name: str) -> bytes:
    """A model as JSON. Raises NotFoundError."""
    with service.database.read() as connection:
        found = encoded.get_model(connection, name)
    if found is None and _there(service, indexing.find_model, name):
        with service.database.read() as connection:
            found = encoded.get_model(connection, name)
    if found is None:
        raise no_model(name)
    return found


def version(service: Service, name: str, version_: str) -> VersionDetail:
    """A version. Raises NotFoundError, saying which there are, or who deleted it."""
    return VersionDetail.model_validate_json(encoded_version(service, name, version_))


def encoded_version(service: Service, name: str, version_: str) -> bytes:
    """A version as JSON. Raises NotFoundError, saying which there are, or who deleted it."""
    with service.database.read() as connection:
        found = encoded.get_version(connection, name, version_)
    if found is None and _there(service, indexing.find_version, name, version_):
        with service.database.read() as connection:
            found = encoded.get_version(connection, name, version_)
    if found is None:
        raise no_version(service, name, version_)
    return found


def alias(service: Service, name: str, alias_: str) -> AliasMove:
    """The last move of an alias. Raises NotFoundError, saying which there are."""
    with service.database.read() as connection:
        found = catalogue.get_alias(connection, name, alias_)
    if found is None and _there(service, indexing.find_alias, name, alias_):
        with service.database.read() as connection:
            found = catalogue.get_alias(connection, name, alias_)
    if found is None:
        known = ", ".join(model(service, name).aliases) or "none"
        raise NotFoundError(f"{name!r} has no alias {alias_!r}.", hint=f"It has {known}.")
    return found


def no_model(name: str) -> NotFoundError:
    """The error for a model that does not exist."""
    return NotFoundError(f"There is no model {name!r}.")


def no_version(service: Service, name: str, version_: str) -> NotFoundError:
    """The error for a version that does not exist."""
    with service.looking():
        tombstone = service.store.tombstone(name, version_)
    if tombstone is not None:
        return GoneError(tombstone.sentence(name))
    its = select(versions.c.version).join(models).where(models.c.name == name)
    with service.database.read() as connection:
        known = connection.scalars(its.order_by(versions.c.natural.desc()).limit(SHOWN)).all()
    if not known:
        return NotFoundError(f"There is no model {name!r} with versions.")
    return NotFoundError(f"There is no version {version_!r} of {name!r}.", hint=f"It has {', '.join(known[::-1])}.")


def _there(service: Service, find: Callable[..., bool], *names: str) -> bool:
    with service.looking():
        return find(service.database, service.store, *names)
