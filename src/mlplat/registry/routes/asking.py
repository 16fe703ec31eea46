"""What routes take from a request: who asks, names in the path, the page of a list."""

from typing import Annotated

from fastapi import Depends, Path, Query, Request

from mlplat.registry.audit import Author
from mlplat.registry.bodies import Failure, Line, Name
from mlplat.registry.cursors import LONGEST
from mlplat.registry.keyset import Slice

ModelName = Annotated[Name, Path(description="Name of the model.")]
VersionName = Annotated[Name, Path(description="Name of the version.")]
AliasName = Annotated[Name, Path(description="Name of the alias.")]
Tag = Annotated[
    list[Annotated[str, Query(max_length=400)]],
    Query(alias="tag", max_length=10, description="KEY:VALUE; may be repeated."),
]
Sorting = Annotated[str, Query(max_length=220, description="A column, with a minus from the largest down.")]
Word = Annotated[Line | None, Query()]

ERRORS = {
    401: "without a right key",
    403: "the key does not suffice",
    404: "there is none",
    409: "in conflict with what is there",
    412: "moved meanwhile",
    413: "too large",
    415: "of another media type",
    422: "not as expected",
    503: "database or store cannot be reached; see Retry-After",
}


async def author_of(request: Request) -> Author:
    """Who asks. This and what follows wait for nothing: were they no coroutines, each would be sent to a thread."""
    author: Author = request.state.author
    return author


async def admin_of(request: Request) -> Author:
    """Who asks, an admin of all models.

    Raises:
        RequestError: 403.
    """
    author = await author_of(request)
    author.caller.require_all()
    return author


async def slice_of(
    limit: Annotated[int, Query(ge=1, le=200, description="Items of the page.")] = 50,
    cursor: Annotated[str | None, Query(max_length=LONGEST, description="`next` of the page before.")] = None,
) -> Slice:
    """Which page of a list is asked for."""
    return Slice(limit, cursor)


Asking = Annotated[Author, Depends(author_of)]
Admin = Annotated[Author, Depends(admin_of)]
Part = Annotated[Slice, Depends(slice_of)]


def errors(*statuses: int) -> dict[int | str, dict[str, object]]:
    """For the OpenAPI document: the errors that a route may give besides 401, 422 and 503."""
    return {status: {"model": Failure, "description": ERRORS[status]} for status in (401, *statuses, 422, 503)}
