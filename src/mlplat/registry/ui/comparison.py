"""Two versions side by side: what differs, and which is better where that is known."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mlplat.bundle.scores import HIGHER_IS_BETTER, LOWER_IS_BETTER
from mlplat.registry.bodies import VersionDetail

MOST_ROWS = 100
Side = Literal["left", "right"]


@dataclass(frozen=True)
class Measured:
    """A metric of both; `better` only where it is known which direction is good."""

    name: str
    left: float | None
    right: float | None
    better: Side | None = None

    @property
    def difference(self) -> float | None:
        """How much more the right one has."""
        return None if self.left is None or self.right is None else self.right - self.left


@dataclass(frozen=True)
class Fact:
    """A fact about both; None where one has none such."""

    name: str
    left: Any
    right: Any

    @property
    def differs(self) -> bool:
        """Whether they are not alike."""
        return bool(self.left != self.right)


@dataclass(frozen=True)
class Facts:
    """Facts of one kind: the first ones, and how many more there are."""

    title: str
    rows: list[Fact]
    left_out: int = 0
    alike: int = 0


def metrics(left: VersionDetail, right: VersionDetail) -> list[Measured]:
    """The metrics of both, as the left one orders them."""
    every = [*left.metrics, *(name for name in right.metrics if name not in left.metrics)]
    return [_measured(name, left.metrics.get(name), right.metrics.get(name)) for name in every[:MOST_ROWS]]


def facts(left: VersionDetail, right: VersionDetail) -> list[Facts]:
    """All else: of parameters, columns, classes, packages and files only what differs."""
    return [
        Facts("In short", [Fact(name, read(left), read(right)) for name, read in _SHORT]),
        _differing("Parameters", left.params, right.params),
        _differing("Columns", columns(left), columns(right)),
        _differing("Classes", _classes(left), _classes(right)),
        _differing("Packages", left.packages, right.packages),
        _differing("Files", _sizes(left), _sizes(right)),
    ]


def better(name: str, value: float, other: float) -> bool | None:
    """Whether a metric is better than another one; None where they are equal, or it is not known what is good."""
    if value == other or name not in HIGHER_IS_BETTER | LOWER_IS_BETTER:
        return None
    return (value > other) == (name in HIGHER_IS_BETTER)


def columns(version: VersionDetail) -> dict[str, str]:
    """The inputs of a version by name: their type and shape, and the kind of column that they come from."""
    kinds = {column["name"]: column["kind"] for column in version.features.get("columns", ())}
    return {
        tensor["name"]: " ".join(filter(None, [kinds.get(tensor["name"]), f"{tensor['dtype']}{tensor['shape']}"]))
        for tensor in version.signature.get("inputs", ())
    }


def _measured(name: str, left: float | None, right: float | None) -> Measured:
    if left is None or right is None:
        return Measured(name, left, right)
    won = better(name, left, right)
    return Measured(name, left, right, None if won is None else "left" if won else "right")


def _differing(title: str, left: Mapping[str, Any], right: Mapping[str, Any]) -> Facts:
    every: Iterable[str] = dict.fromkeys([*left, *right])
    found = [Fact(name, left.get(name), right.get(name)) for name in every]
    rows = [fact for fact in found if fact.differs]
    return Facts(title, rows[:MOST_ROWS], max(len(rows) - MOST_ROWS, 0), len(found) - len(rows))


def _classes(version: VersionDetail) -> dict[str, str]:
    return {str(label): "a class" for label in version.classes or ()}


def _sizes(version: VersionDetail) -> dict[str, str]:
    return {name: f"{entry['bytes']:,} bytes, {entry['sha256'][:12]}" for name, entry in version.files.items()}


_SHORT: tuple[tuple[str, Callable[[VersionDetail], Any]], ...] = (
    ("trained", lambda version: version.created_at),
    ("recipe", lambda version: version.recipe),
    ("task", lambda version: version.task),
    ("runtime", lambda version: version.runtime),
    ("data", lambda version: version.data.get("uri")),
    ("rows", lambda version: version.data.get("rows")),
    ("rows held out", lambda version: version.data.get("held_out")),
    ("sha256 of the data", lambda version: version.data.get("sha256")),
    ("fingerprint", lambda version: version.fingerprint),
    ("bytes", lambda version: version.bytes),
)
