"""What a run did."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows that came in, got a prediction, were left without one, were rejected."""

    rows: int = 0
    scored: int = 0
    empty: int = 0
    rejected: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.rows + other.rows,
            self.scored + other.scored,
            self.empty + other.empty,
            self.rejected + other.rejected,
        )


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What a run did.

    Attributes:
        model: that scored.
        version: that scored.
        counts: of rows; 0 where everything was skipped.
        outputs: the files that were written.
        skipped: those that were complete already.
        rejects: the files of rejected rows that were written.
        seconds: how long it took.
        complete: whether all of the output is there; False while other shards are still to finish.
    """

    model: str
    version: str
    counts: Counts = field(default_factory=Counts)
    outputs: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    rejects: tuple[str, ...] = ()
    seconds: float = 0.0
    complete: bool = True
