"""`/keys`: made, listed and revoked by admins of all models."""

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel

from mlplat.registry import access
from mlplat.registry.answers import answer
from mlplat.registry.bodies import Key, MadeKey, NewKey
from mlplat.registry.routes.asking import Admin, errors
from mlplat.registry.service import Service
from mlplat.store.aliases import utc_now

KeyId = Annotated[str, Path(pattern=r"^[A-Za-z0-9]{1,16}$")]


class Keys(BaseModel):
    """All keys; there are never so many that they need pages."""

    items: list[Key]
    next: None = None


def key_routes(service: Service) -> APIRouter:
    """The routes of keys."""
    routes = APIRouter(prefix="/keys", tags=["keys"])

    @routes.get("", response_model=Keys, responses=errors(403))
    def list_(author: Admin) -> Response:  # noqa: ARG001 - refuses others
        """All keys, without what they open with."""
        with service.database.read() as connection:
            return answer(Keys(items=access.list_keys(connection)))

    @routes.post("", status_code=201, response_model=MadeKey, responses=errors(403))
    def create(author: Admin, asked: NewKey) -> Response:
        """Make a key; this answer is the only place that shows it."""
        with service.database.write() as connection:
            made = access.make_key(connection, asked, now=utc_now())
            author.note(connection, "key.create", target=made.id, after=asked.model_dump(mode="json"))
        return answer(made, 201)

    @routes.delete("/{key_id}", status_code=204, responses=errors(403, 404))
    def revoke(author: Admin, key_id: KeyId) -> Response:
        """Let a key open nothing from now on; registries beside this one follow within seconds."""
        with service.database.write() as connection:
            key = access.revoke_key(connection, key_id, now=utc_now())
            before = key.model_dump(mode="json", include={"name", "role", "pattern"})
            author.note(connection, "key.revoke", target=key_id, before=before)
        service.keys.forget()
        return Response(status_code=204)

    return routes
