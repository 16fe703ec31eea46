"""Tags in a form: a line each, as `key: value`, beside what its page showed, as someone else may have been faster."""

import re
from collections.abc import Mapping

from pydantic import TypeAdapter, ValidationError

from mlplat.errors import RequestError
from mlplat.registry.answers import sentence
from mlplat.registry.bodies import Tags

TAGS: TypeAdapter[dict[str, str]] = TypeAdapter(Tags)
SHOWN: TypeAdapter[dict[str, str]] = TypeAdapter(dict[str, str])


def lines(tags: Mapping[str, str]) -> str:
    """Tags as the form has them."""
    return "\n".join(f"{key}: {value}" for key, value in tags.items())


def read(text: str) -> dict[str, str]:
    """The tags of such lines.

    Raises:
        RequestError: 422, if a line is none, or a key is there twice.
    """
    found: dict[str, str] = {}
    for line in filter(None, map(str.strip, re.split(r"\r\n|\r|\n", text))):
        key, colon, value = line.partition(":")
        if not colon:
            raise RequestError(f"Tags: found {line[:100]!r}, expected key: value.")
        if key.strip() in found:
            raise RequestError(f"Tags: {key.strip()[:100]!r} is there twice.")
        found[key.strip()] = value.strip()
    try:
        return TAGS.validate_python(found)
    except ValidationError as error:
        problem = error.errors()[0]
        raise RequestError(sentence({**problem, "loc": ("tags", *problem["loc"])})) from error


def shown(text: str) -> dict[str, str]:
    """What the page showed, as JSON. Raises RequestError, 422."""
    try:
        return SHOWN.validate_json(text)
    except ValidationError as error:
        raise RequestError("The form does not say which tags its page showed; load the page anew.") from error
