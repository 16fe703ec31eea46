"""`/keys`: made, listed and revoked by admins of all models."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Response
from pydantic import BaseModel

from mlplat.errors import RequestError
from mlplat.registry import access
from mlplat.registry.answers import answer
from mlplat.registry.audit import note_revoked
from mlplat.registry.bodies import Key, MadeKey, NewKey
from mlplat.registry.routes.asking import Admin, errors
from mlplat.registry.service import Service
from mlplat.store.aliases import utc_now

NoIdempotencyKey = Annotated[str | None, Header(description="Refused: a key is shown once, and never again.")]
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
    def create(author: Admin, asked: NewKey, idempotency_key: NoIdempotencyKey = None) -> Response:
        """Make a key; this answer is the only place that shows it."""
        if idempotency_key is not None:
            raise RequestError(
                "Idempotency-Key: a key is shown once, so that no second answer can show it again; no key was made.",
                hint="Leave the header out; if an answer was lost, revoke its key: GET /keys lists it.",
            )
        with service.database.write() as connection:
            made = access.make_key(connection, asked, now=utc_now())
            author.note(connection, "key.create", target=made.id, after=asked.model_dump(mode="json"))
        return answer(made, 201)

    @routes.delete("/{key_id}", status_code=204, responses=errors(403, 404))
    def revoke(author: Admin, key_id: KeyId) -> Response:
        """Let a key open nothing from now on; registries beside this one follow within seconds."""
        with service.database.write() as connection:
            key = access.revoke_key(connection, key_id, now=utc_now())
            note_revoked(connection, author, key)
        service.keys.forget()
        return Response(status_code=204)

    return routes
