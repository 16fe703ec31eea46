"""The log of an alias: one object per move, numbered; the highest number is current, and none is ever changed.

An alias ends by the removal of its log, as no move can name nothing: readers take such an object for a damaged one.

An entry whose `version` is its `previous` is no move: it says why there was none, so that the history holds every decision.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Literal
from uuid import uuid4

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from mlplat.bundle.names import Name
from mlplat.errors import ConflictError, CorruptError, MovedError
from mlplat.objects import Objects
from mlplat.store import keys

Clock = Callable[[], datetime]

ATTEMPTS = 100
"""How often a move is tried anew when others were faster; each time, one of them got on."""


class Unchecked(Enum):
    """Says that a move does not depend on what the alias names now."""

    UNCHECKED = "unchecked"


UNCHECKED = Unchecked.UNCHECKED
Expected = str | Literal[Unchecked.UNCHECKED] | None
"""What an alias must name for a move to be made: a version, nothing yet (None), or whatever it does (UNCHECKED)."""


class Move(BaseModel):
    """One move of an alias: from `previous` to `version`, why, when and by whom. `writer` is a random id of the move."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    number: int
    alias: Name
    version: Name
    previous: str | None = None
    reason: str
    at: AwareDatetime
    by: str
    writer: str

    def to_json(self) -> bytes:
        """The move as it is stored; number and alias are in its key."""
        return self.model_dump_json(indent=1, exclude={"number", "alias"}).encode()


class AliasLog:
    """The moves of one alias."""

    def __init__(self, objects: Objects, model: str, alias: str) -> None:
        self._objects = objects
        self.model = model
        self.alias = alias

    def numbers(self) -> list[int]:
        """The numbers of all moves, ascending; gaps and foreign files do not matter."""
        found = map(keys.number_of, self._objects.list(f"{self.model}/aliases/{self.alias}"))
        return sorted(number for number in found if number is not None)

    def read(self, number: int) -> Move:
        """One move.

        Raises:
            CorruptError: if its object holds something else.
        """
        key = keys.move(self.model, self.alias, number)
        data = self._objects.get(key)
        try:
            stored = _Stored.model_validate_json(data)
        except ValidationError as error:
            raise CorruptError(
                f"{self._objects.url}/{key} is not a move of an alias: {error.errors()[0]['msg']}.",
                hint="Delete it to go back to the move before it.",
            ) from error
        return Move(number=number, alias=self.alias, **stored.model_dump())

    def current(self) -> Move | None:
        """The latest move; None if there is none."""
        numbers = self.numbers()
        return self.read(numbers[-1]) if numbers else None

    def history(self) -> list[Move]:
        """All moves, the oldest first."""
        return [self.read(number) for number in self.numbers()]

    def move(
        self, version: str, *, reason: str, by: str, expected: Expected, clock: Clock, after: int | None = None
    ) -> Move:
        """Add a move to `version`, or return the current one if it names that already.

        Raises:
            MovedError: if the alias does not name `expected`, or its last move is not the one numbered `after`.
        """
        for _ in range(ATTEMPTS):
            current = self.current()
            if current is not None and current.version == version:
                return current
            self._expect(current, expected)
            self._expect_number(current, after)
            move = following(current, self.alias, version, reason=reason, by=by, now=clock())
            if self._append(move):
                return move
        raise self._never_still()

    def stay(self, *, reason: str, by: str, clock: Clock) -> Move | None:
        """Add an entry that says why the alias was not moved, unless the last one says so; None if it does not exist."""
        for _ in range(ATTEMPTS):
            current = self.current()
            if current is None or (current.reason == reason and current.version == current.previous):
                return current
            entry = following(current, self.alias, current.version, reason=reason, by=by, now=clock())
            if self._append(entry):
                return entry
        raise self._never_still()

    def end(self) -> list[int]:
        """Remove the moves, the oldest first: whoever reads meanwhile finds the last one, or none; their numbers."""
        numbers = self.numbers()
        for number in numbers:
            self._objects.delete(keys.move(self.model, self.alias, number))
        return numbers

    def _append(self, move: Move) -> bool:
        """Whether `move` is in the log now; a lost reply is told from another's move by reading it back."""
        key = keys.move(self.model, self.alias, move.number)
        data = move.to_json()
        return self._objects.put_if_absent(key, data) or self._objects.get(key) == data

    def _never_still(self) -> ConflictError:
        return ConflictError(f"Others move the alias {self.alias!r} of {self.model!r} all the time.", hint="Try again.")

    def _expect(self, current: Move | None, expected: Expected) -> None:
        named = None if current is None else current.version
        if expected is UNCHECKED or named == expected:
            return
        now = "names nothing yet" if current is None else f"names {named!r} since {current.at:%Y-%m-%d %H:%M:%S} UTC"
        wanted = "it must not exist yet" if expected is None else f"{expected!r} was expected"
        raise MovedError(
            f"The alias {self.alias!r} of {self.model!r} {now}; {wanted}.", hint="Nothing was moved; look again."
        )

    def _expect_number(self, current: Move | None, after: int | None) -> None:
        number = 0 if current is None else current.number
        if after is not None and number != after:
            raise MovedError(
                f"The last move of the alias {self.alias!r} of {self.model!r} is number {number}, not {after}.",
                hint="Nothing was moved; look again.",
            )


class _Stored(BaseModel):
    """What is inside of the object of a move."""

    version: Name
    previous: str | None = None
    reason: str = ""
    at: AwareDatetime
    by: str = ""
    writer: str = ""


def following(current: Move | None, alias: str, version: str, *, reason: str, by: str, now: datetime) -> Move:
    """The move after `current`; its time is later than that of `current` even if the clock jumped back."""
    return Move(
        number=1 if current is None else current.number + 1,
        alias=alias,
        version=version,
        previous=None if current is None else current.version,
        reason=reason,
        at=now if current is None else max(now, current.at + timedelta(milliseconds=1)),
        by=by,
        writer=uuid4().hex,
    )


def utc_now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)
