"""Names of models, versions and aliases: what may stand in a URL, a file name and a label."""

import re
from typing import Annotated

from pydantic import StringConstraints

from mlplat.errors import UsageError

PATTERN = r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"
"""1 to 63 characters, as a Kubernetes label value: no slash, no leading dot, so no name can leave its folder."""

HINT = "Use 1 to 63 letters, digits, '.', '_' or '-', with a letter or digit at both ends."
"""What to do about a name that is none."""

Name = Annotated[str, StringConstraints(pattern=PATTERN)]

_NAME = re.compile(PATTERN.replace("$", r"\Z"))


def is_valid(name: str) -> bool:
    """Whether `name` may name a model, a version or an alias."""
    return _NAME.match(name) is not None and ".." not in name


def check(name: str, what: str) -> str:
    """Return `name`, or refuse it.

    Raises:
        UsageError: if it is not a valid name; `what` ("model", "version", "alias") is named.
    """
    if not is_valid(name):
        raise UsageError(
            f"{name!r} cannot name {'an' if what[0] in 'aeiou' else 'a'} {what}.",
            hint=HINT,
        )
    return name
