"""`/models` and `/search`."""

from typing import Annotated

from fastapi import APIRouter, Body, Header, Query, Response
from sqlalchemy import Connection

from mlplat.registry import changes, deletions, encoded, lookup
from mlplat.registry.answers import JSONAnswer
from mlplat.registry.bodies import Deletion, Model, ModelPatch, NewModel, Page, Role
from mlplat.registry.idempotency import Answer, Keep, once
from mlplat.registry.routes.asking import Asking, ModelName, Part, Sorting, Tag, Word, errors
from mlplat.registry.service import Service

IdempotencyKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", description="The same request with the same key is done once, and answered alike."),
]


def model_routes(service: Service) -> APIRouter:
    """The routes of models."""
    routes = APIRouter(tags=["models"])

    @routes.get("/models", response_model=Page[Model], responses=errors())
    def list_(author: Asking, part: Part, tag: Tag = [], owner: Word = None, sort: Sorting = "name") -> Response:  # noqa: B006
        """The models that the key may see. Sort: name, created_at or updated_at."""
        with service.database.read() as connection:
            wanted = {"sort": sort, "owner": owner, "tags": tag}
            found = encoded.list_models(connection, part, pattern=author.caller.pattern, **wanted)  # type: ignore[arg-type]
        return JSONAnswer(found)

    @routes.get("/search", response_model=Page[Model], responses=errors())
    def search(author: Asking, part: Part, q: Annotated[str, Query(min_length=1, max_length=400)]) -> Response:
        """Models with words that begin with all the given ones: in name, description, owner, tags and recipes."""
        with service.database.read() as connection:
            return JSONAnswer(encoded.search_models(connection, q, part, pattern=author.caller.pattern))

    @routes.post("/models", status_code=201, response_model=Model, responses=errors(403, 409))
    def create(author: Asking, asked: NewModel, key: IdempotencyKey = None) -> Response:
        """Make a model without versions, to say what it will be."""
        author.caller.require_model(asked.name)

        def act(keep: Keep) -> None:
            def made(connection: Connection, model: bytes) -> None:
                keep(connection, Answer(201, model.decode()))

            changes.create_model(service, author, asked, made)

        request = b"POST /models " + asked.model_dump_json().encode()
        return repeatable(once(service.database, author.caller.identity, key, request, act), f"/models/{asked.name}")

    @routes.get("/models/{name}", response_model=Model, responses=errors(404))
    def get(author: Asking, name: ModelName) -> Response:
        """One model."""
        author.caller.require_sight(name)
        return JSONAnswer(lookup.encoded_model(service, name))

    @routes.get("/models/{name}/access", status_code=204, responses=errors(403))
    def access(author: Asking, name: ModelName, role: Role) -> Response:
        """Whether the key may do with a model what a role may, for those who ask before they work for it."""
        author.caller.require_model(name, role)
        return Response(status_code=204)

    @routes.patch("/models/{name}", response_model=Model, responses=errors(403, 404))
    def patch(author: Asking, name: ModelName, asked: ModelPatch) -> Response:
        """Change what people say about a model."""
        author.caller.require_model(name)
        changes.patch_model(service, author, name, asked)
        return JSONAnswer(lookup.encoded_model(service, name))

    @routes.delete("/models/{name}", status_code=204, responses=errors(403, 404, 409))
    def delete(author: Asking, name: ModelName, asked: Annotated[Deletion | None, Body()] = None) -> Response:
        """Delete a model with all its versions; refused while an alias names one of them."""
        author.caller.require_model(name, "admin")
        deletions.delete_model(service, author, name, asked.reason if asked else "")
        return Response(status_code=204)

    return routes


def repeatable(found: Answer, location: str) -> Response:
    """The answer to a create, which may be the one that was given before."""
    headers = {"Location": location, **({"Idempotency-Replayed": "true"} if found.repeated else {})}
    return JSONAnswer(found.body, found.status, headers)
