"""What requests bring and answers hold, as JSON."""

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from mlplat.bundle import names
from mlplat.registry.tables import NAME, TAG

T = TypeVar("T")
Role = Literal["reader", "writer", "admin"]

MOST_TAGS = 64
LONGEST_TEXT = 65_536


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold the character NUL")
    return text


def _named(name: str) -> str:
    if not names.is_valid(name):
        raise ValueError(
            "use 1 to 63 letters, digits, '.', '_' or '-', with a letter or digit at both ends, and not two dots"
        )
    return name


Name = Annotated[str, StringConstraints(pattern=names.PATTERN), AfterValidator(_named)]
Line = Annotated[str, StringConstraints(max_length=TAG, pattern=r"^[^\x00-\x1f\x7f]*$")]
Text = Annotated[str, StringConstraints(max_length=LONGEST_TEXT), AfterValidator(_without_nul)]
TagKey = Annotated[str, StringConstraints(max_length=NAME, pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?$")]
Tags = Annotated[dict[TagKey, Line], Field(max_length=MOST_TAGS)]
Pattern = Annotated[str, StringConstraints(max_length=TAG, pattern=r"^[A-Za-z0-9._*?-]+$")]


class Asked(BaseModel):
    """The body of a request: a misspelt field is refused."""

    model_config = ConfigDict(extra="forbid")


class NewModel(Asked):
    """A model without versions yet."""

    name: Name
    description: Text | None = None
    owner: Line | None = None
    tags: Tags = {}


class ModelPatch(Asked):
    """What changes of a model: a field that is left out stays, null removes it; tags are replaced as a whole."""

    description: Text | None = None
    owner: Line | None = None
    tags: Tags | None = None


class NewVersion(Asked):
    """A version that is in the store already."""

    version: Name


class VersionPatch(Asked):
    """What changes of a version: its tags, as a whole."""

    tags: Tags | None = None


class Deletion(Asked):
    """Why something is deleted."""

    reason: Text = ""


class NewMove(Asked):
    """What an alias is to name, and why."""

    version: Name
    reason: Text = ""


class Stay(Asked):
    """Why an alias is not moved."""

    reason: Text


class NewKey(Asked):
    """A key that is to be made."""

    name: Annotated[Line, StringConstraints(min_length=1)]
    role: Role = "reader"
    pattern: Pattern | None = Field(None, description="Models that it is for, e.g. team-*; all if left out.")
    expires_at: AwareDatetime | None = None


class Model(BaseModel):
    """A model."""

    name: str
    description: str | None
    owner: str | None
    tags: dict[str, str]
    created_at: AwareDatetime
    updated_at: AwareDatetime
    versions: int
    latest: str | None
    aliases: dict[str, str]


class Version(BaseModel):
    """A version, as lists show it; `cut` names what is too long for a list, and is in the version's detail."""

    model: str
    version: str
    created_at: AwareDatetime
    published_at: AwareDatetime
    by: str | None
    task: str
    recipe: str
    params: dict[str, Any]
    runtime: str
    rows: int
    metrics: dict[str, float]
    tags: dict[str, str]
    aliases: list[str]
    bytes: int
    cut: list[Literal["params", "metrics"]] = []


class VersionDetail(Version):
    """A version with all that its manifest says but for samples and baseline."""

    sha256: str
    signature: dict[str, Any]
    features: dict[str, Any]
    classes: list[Any] | None
    charts: dict[str, Any]
    importances: dict[str, float]
    packages: dict[str, str]
    data: dict[str, Any]
    fingerprint: str
    files: dict[str, dict[str, Any]]
    card: str | None


class AliasMove(BaseModel):
    """A move of an alias; one whose `version` is its `previous` says why there was none."""

    alias: str
    version: str
    previous: str | None
    number: int
    at: AwareDatetime
    by: str
    reason: str


class Key(BaseModel):
    """A key, without what it opens with."""

    id: str
    name: str
    role: Role
    pattern: str | None
    created_at: AwareDatetime
    expires_at: AwareDatetime | None
    revoked_at: AwareDatetime | None
    last_used_at: AwareDatetime | None


class MadeKey(Key):
    """A key that was just made; `key` is shown this once."""

    key: str


class Change(BaseModel):
    """A line of the audit log."""

    at: AwareDatetime
    who: str
    key_id: str | None = Field(description="Of the key, as two may have one name; null for who used no key.")
    role: str
    action: str
    model: str | None
    target: str | None
    before: Any
    after: Any
    request_id: str | None


class Page(BaseModel, Generic[T]):
    """A part of a list, and the cursor of the next part; null behind the last one."""

    items: list[T]
    next: str | None


class Failure(BaseModel):
    """An error: a sentence for people, and a word for programs."""

    error: str
    code: str
