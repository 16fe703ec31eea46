"""The settings of each process: one typed class each.

A field is a command-line option (`drain_seconds` is `--drain-seconds`) and an environment variable
(`MLPLAT_DRAIN_SECONDS`); its description is the option's help. They are read once, in `mlplat.cli`.
"""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

KiB = 1024
MiB = 1024 * 1024


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where local copies are kept by default: the user's cache folder, or the temporary one where there is no home."""
    home = environ.get("HOME", "/")
    base = environ.get("XDG_CACHE_HOME") or (f"{home}/.cache" if os.access(home, os.W_OK) and home != "/" else "")
    return Path(base) / "mlplat" if base else Path(tempfile.gettempdir()) / f"mlplat-cache-{os.getuid()}"


class Settings(BaseModel):
    """Base of all settings: frozen, and a misspelt one is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


@dataclass(frozen=True)
class Variable:
    """The environment variable of a field whose own name another command uses for something else."""

    name: str


@dataclass(frozen=True)
class Short:
    """A second, short name of a field's option, as other tools of its kind have it."""

    letter: str


class StoreSettings(Settings):
    """Where versions are kept."""

    store: str = Field(
        "models",
        description="Store URL: a folder, file://, s3://, gs://, az://, or a registry at http(s)://, whose key is in the "
        "variable MLPLAT_STORE_KEY or the file that MLPLAT_STORE_KEY_FILE names.",
    )


class TrainSettings(StoreSettings):
    """Settings of `mlplat train`."""

    recipe: str = Field(
        description="What to train: iris, churn, forecast, tabular, or your own as package.module:Class."
    )
    model: str | None = Field(None, description="Name of the model; the recipe's name if not given.")
    version: str = Field("auto", description="Name of the new version, or 'auto' for that of the run, else the time.")
    data: str | None = Field(None, description="Training data: path or URL of a CSV or Parquet file.")
    target: str | None = Field(None, description="Column to predict; short for --param target=COLUMN.")
    param: tuple[str, ...] = Field(
        (),
        description="A parameter of the recipe as NAME=VALUE; may be repeated, in the variable on a line of its own.",
    )
    seed: int = Field(0, ge=0, description="Seed of everything random: the same seed gives the same model.")
    jobs: int = Field(1, description="Processor cores to train with; -1 for all.")
    run: str | None = Field(None, description="Name of this run, the same when it is tried again.")
    promote: str | None = Field(None, description="Alias to move to the new version.")
    if_absent: bool = Field(
        False, description="Promote only if the alias does not exist yet; with 'auto', train only then."
    )
    if_better: str | None = Field(None, description="Promote only if this metric is better than the alias's version's.")
    margin: float = Field(0.0, ge=0, description="By how much it must be better.")
    floor: float | None = Field(
        None, allow_inf_nan=False, description="The worst value of the metric that may be promoted."
    )
    keep: int | None = Field(
        None,
        ge=1,
        description="Afterwards prune old versions that no alias needs, but for the N newest; over a registry that takes "
        "the key of an admin.",
    )
    allow_pickle: bool = Field(
        False,
        description="Publish a model that ONNX cannot express as a pickle; whoever loads it must allow it too.",
    )


class WhichVersion(StoreSettings):
    """A model, and the version of it: named, or through an alias."""

    model: str = Field(description="Name of the model.")
    version: str | None = Field(None, description="The version, e.g. v1.")
    alias: str | None = Field(None, description="Follow this alias, e.g. champion, instead of a version.")
    cache: Path = Field(cache_folder(), description="Folder for verified local copies of versions.")
    cache_bytes: int = Field(2048 * MiB, gt=0, description="How large the cache may grow, in bytes.")
    threads: int = Field(1, ge=1, description="Processor cores that one prediction may use.")
    allow_pickle: bool = Field(
        False,
        description="Load a pickled model; it runs whatever code its publisher put there.",
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.version is None) == (self.alias is None):
            raise ValueError("give either a version or an alias")
        return self


class ServeSettings(WhichVersion):
    """Settings of `mlplat serve`."""

    train: str | None = Field(
        None, description="Train the version with this recipe first if the store lacks it, for a first try."
    )
    host: str = Field("0.0.0.0", description="Address to listen on.")  # noqa: S104
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 for any free one.")
    poll_seconds: float = Field(5.0, gt=0, description="How often to look whether the alias moved.")
    compare_with: str | None = Field(
        None,
        description="Another version of the model, whose golden samples are asked once this one is ready; the metrics say "
        "how many of them are answered alike.",
    )
    max_rows: int = Field(10_000, ge=1, description="Rows that one request may hold.")
    max_body_bytes: int = Field(16 * MiB, ge=1, description="Bytes that the body of a request may have.")
    max_head_bytes: int = Field(16 * KiB, ge=1024, description="Bytes that the headers of a request may have.")
    receive_seconds: float = Field(
        10.0, gt=0, description="Time within which a request must arrive, and its answer be taken."
    )
    max_connections: int = Field(8192, ge=1, description="Connections that may be open; more are told to come back.")
    max_horizon: int = Field(1000, ge=1, description="Steps that one forecast may look ahead.")
    deadline_seconds: float = Field(
        30.0,
        gt=0,
        description="Time within which a prediction must be answered; the header X-Request-Timeout may ask for less.",
    )
    max_waiting: int = Field(1024, ge=1, description="Requests that may wait for a prediction; more get a 503.")
    drain_seconds: float = Field(20.0, ge=0, description="After SIGTERM, serve on for so long before closing.")
    drain_unready: bool = Field(
        False,
        description="Answer 503 at /ready while draining, for load balancers that probe pods directly.",
    )
    access_log: bool = Field(False, description="Log a line for each prediction.")
    tracing: bool = Field(
        False, description="Send a span of each prediction to OpenTelemetry; its OTEL_* variables say where and how."
    )
    keep_alive_seconds: int = Field(75, ge=1, description="How long an idle connection is kept.")
    api_keys: str | None = Field(None, description="API keys, separated by commas; prefer a file.")
    api_keys_path: Path | None = Field(
        None, description="File with an API key a line, or a folder of such files; read again when it changes."
    )


class BatchSettings(WhichVersion):
    """Settings of `mlplat batch`."""

    input: str = Field(description="File, folder, glob or URL of CSV (.gz, .zst) or Parquet; or 'sample'.")
    output: str = Field(description="File or URL to write; {time} and {version} are filled in.")
    on_error: Literal["fail", "null", "reject"] = Field(
        "fail",
        description="A row that cannot be scored ends the run, gets no prediction, or goes to OUTPUT.rejects.csv.",
    )
    overwrite: bool = Field(False, description="Replace an output that is already complete.")
    shard: str | None = Field(None, description="Score part I of N, as I/N with I from 0.")
    shards: int | None = Field(None, ge=1, description="Number of parts; the part is JOB_COMPLETION_INDEX.")
    chunk_rows: int = Field(65_536, ge=1, description="Rows that are scored at once.")
    threads: int = Field(2, ge=1, description="Processor cores to score with.")


class DatabaseSettings(StoreSettings):
    """Settings of the commands of a registry."""

    database: str | None = Field(
        None,
        description="sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME; registry.db beside a store in a folder.",
    )


class RegistrySettings(DatabaseSettings):
    """Settings of `mlplat registry`."""

    host: str = Field("0.0.0.0", description="Address to listen on.")  # noqa: S104 - a server in a container
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 for any free one.")
    admin_key: Annotated[str | None, Variable("MLPLAT_REGISTRY_ADMIN_KEY")] = Field(
        None, description="A key of an admin besides those in the database; prefer the variable."
    )
    open: Annotated[bool, Variable("MLPLAT_REGISTRY_OPEN")] = Field(
        False, description="Let everyone in who can reach this address, as an admin; for a laptop."
    )
    max_upload_bytes: int = Field(5 * 1024 * MiB, ge=1, description="Bytes that one upload may have.")
    uploads: Path = Field(
        Path(tempfile.gettempdir()), description="Folder for files while they are uploaded; it must have room for them."
    )
    sync_seconds: float = Field(60.0, gt=0, description="How often to look for what others wrote into the store.")
    pool_size: int = Field(10, ge=2, le=1000, description="Connections to the database at most.")
    drain_seconds: float = Field(5.0, ge=0, description="After SIGTERM, serve on for so long before closing.")
    keep_alive_seconds: int = Field(75, ge=1, description="How long an idle connection is kept.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.admin_key is not None and len(self.admin_key) < 16:
            raise ValueError("the key of an admin has at least 16 characters")
        return self


class OperatorSettings(StoreSettings):
    """Settings of `mlplat operator`."""

    base: Annotated[Path, Variable("MLPLAT_OPERATOR_BASE")] = Field(
        Path("/etc/mlplat/base"),
        description="Folder with the manifests that deployments are made from; the chart makes it.",
    )
    namespace: Annotated[str, Variable("MLPLAT_OPERATOR_NAMESPACE")] = Field(
        "default", description="Namespace of the operator's release."
    )
    namespaces: Annotated[str, Variable("MLPLAT_OPERATOR_NAMESPACES")] = Field(
        "", description="Namespaces to watch, separated by commas; * for all, empty for the release's own."
    )
    max_rolling: Annotated[int, Variable("MLPLAT_OPERATOR_MAX_ROLLING")] = Field(
        10, ge=1, description="So many Deployments at a time are rolled when what they are made from changes."
    )
    poll_seconds: float = Field(5.0, gt=0, description="How often to look whether an alias moved.")
    host: str = Field("0.0.0.0", description="Address of probes and metrics.")  # noqa: S104 - a server in a container
    port: int = Field(8080, ge=0, le=65535, description="Port of probes and metrics; 0 for any free one.")


class CheckSettings(Settings):
    """Settings of `mlplat check`."""

    model: str | None = Field(None, description="The model that must answer.")
    version: str | None = Field(None, description="The version that must answer; by default the one of /ready.")
    api_keys_path: Path | None = Field(
        None, description="File with an API key, or a folder of such files; the first one is sent."
    )
    timeout_seconds: float = Field(10.0, gt=0, description="Time to wait for each answer.")


class DemoSettings(Settings):
    """Settings of `mlplat demo`."""

    keep: Annotated[bool, Variable("MLPLAT_DEMO_KEEP")] = Field(
        False, description="Leave the server running at the end and print its URL."
    )
