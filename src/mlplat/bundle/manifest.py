"""The manifest: everything about a version but the bytes of its files, which it names by hash."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self

import msgspec
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from mlplat.bundle.baseline import Baseline
from mlplat.bundle.features import Features
from mlplat.bundle.golden import Golden
from mlplat.bundle.names import Name
from mlplat.errors import SchemaError

SCHEMA_VERSION = "1.0"
"""Major and minor: a reader refuses a newer major, and ignores the unknown fields of a newer minor."""

MODEL_FILE = "model.onnx"
PICKLE_FILE = "model.joblib"
CARD_FILE = "card.md"
HELD_OUT_FILE = "held_out.parquet"

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
Label = bool | int | float | str
Task = Literal["classification", "regression", "forecast"]
Runtime = Literal["onnx", "sklearn"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class FileEntry(_Part):
    """A file of the version: `bytes` long, kept in the store under its hash."""

    sha256: Sha256
    bytes: int = Field(ge=0)


class RecipeInfo(_Part):
    """How the model was made: the recipe, the parameters that were given (not the defaults), its revision."""

    name: str
    params: dict[str, Any] = {}
    revision: int = 1


class DataInfo(_Part):
    """What the model was made from. `sha256` is over the bytes of the data, `held_out` rows of `rows` were kept back."""

    uri: str
    rows: int = Field(ge=0)
    held_out: int = Field(ge=0)
    sha256: Sha256


class Tensor(_Part):
    """An input or output: its name, its element type and its shape, -1 for the number of rows."""

    name: str
    dtype: Literal["float32", "int64", "string", "bool", "date"]
    shape: tuple[int, ...]


class Signature(_Part):
    """What goes in, as a client names it, and what comes out."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


class Charts(_Part):
    """Metrics as numbers to draw, over the held-out rows; each is there where the task has it.

    `confusion[i][j]`: rows of class i that were predicted as j. `calibration`: (mean predicted probability of the
    predicted class, share that was right, rows) per tenth. `residuals`: (lower edge, upper edge, rows) of predicted
    minus true.
    """

    confusion: tuple[tuple[int, ...], ...] | None = None
    calibration: tuple[tuple[float, float, int], ...] | None = None
    residuals: tuple[tuple[float, float, int], ...] | None = None


class Manifest(_Part):
    """One immutable version of a model."""

    schema_version: str = SCHEMA_VERSION
    model: Name
    version: Name
    created_at: AwareDatetime
    writer: str = Field(description="a random id of the process that published it")
    recipe: RecipeInfo
    data: DataInfo
    fingerprint: Sha256
    task: Task
    features: Features
    signature: Signature
    classes: tuple[Label, ...] | None = None
    metrics: dict[str, float]
    importances: dict[str, float] = {}
    charts: Charts = Charts()
    files: dict[FileName, FileEntry]
    runtime: Runtime = "onnx"
    packages: dict[str, str]
    golden: Golden
    baseline: Baseline

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.task == "classification") != (self.classes is not None):
            raise ValueError("a classification has classes, and only a classification")
        needed = MODEL_FILE if self.runtime == "onnx" else PICKLE_FILE
        if needed not in self.files:
            raise ValueError(f"files lack {needed}")
        return self

    @property
    def model_file(self) -> str:
        """The name of the file that predicts."""
        return MODEL_FILE if self.runtime == "onnx" else PICKLE_FILE

    def to_json(self) -> bytes:
        """The manifest as it is stored: indented UTF-8 JSON."""
        return self.model_dump_json(indent=1).encode()


def parse(data: bytes, *, source: str) -> Manifest:
    """Read a stored manifest.

    Args:
        data: the bytes of `<version>.json`.
        source: where they come from, for the error message.

    Raises:
        SchemaError: if they are not a manifest, or one of a newer major schema.
    """
    try:
        raw = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SchemaError(f"{source} is not JSON: {error}.") from error
    declared = raw.get("schema_version") if isinstance(raw, dict) else None
    if not isinstance(declared, str) or not declared.partition(".")[0].isascii() or not declared[:1].isdigit():
        raise SchemaError(f"{source} is not a manifest: it has no schema_version.")
    major = declared.partition(".")[0]
    if major != SCHEMA_VERSION.partition(".")[0]:
        raise SchemaError(
            f"{source} has schema {declared}; this release of mlplat reads schema {SCHEMA_VERSION}.",
            hint="Use the release that wrote it, or a newer one.",
        )
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the manifest"
        raise SchemaError(f"{source} is not a valid manifest: {where}: {first['msg']}.") from error


def fingerprint(recipe: RecipeInfo, data_sha256: str) -> str:
    """What a version is made from, as one hash: the recipe, its explicit parameters, its revision and the data.

    Package versions are left out, so that an image change alone is no conflict.
    """
    facts: Mapping[str, Any] = {"recipe": recipe.model_dump(mode="json"), "data": data_sha256}
    return hashlib.sha256(msgspec.json.encode(facts, order="deterministic")).hexdigest()


def sha256_of(data: bytes) -> str:
    """The hash of `data`, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def utc(moment: datetime) -> str:
    """A moment as every answer and log shows it: 2026-01-01T00:00:00Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
