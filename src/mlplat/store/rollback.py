"""Moving an alias back to what it named before."""

from datetime import datetime

from mlplat.errors import NotFoundError, UsageError
from mlplat.store.aliases import Move
from mlplat.store.versions import Store


def rollback(
    store: Store,
    model: str,
    alias: str,
    *,
    by: str,
    to: str | None = None,
    at: datetime | None = None,
    reason: str = "rollback",
) -> Move:
    """Move an alias to the last other version that it named, to one of its history, or to what it named at a time.

    Raises:
        UsageError: if both `to` and `at` are given.
        NotFoundError: if the history has no such version, or the version was pruned.
        ConflictError: if someone moves the alias meanwhile.
    """
    if to is not None and at is not None:
        raise UsageError("Give either the version or the time to go back to.")
    history = store.history(model, alias)
    current = history[-1].version
    target = _target(history, to, at)
    if target is None:
        past = sorted({move.version for move in history})
        what = f"never named {to!r}" if to else "had no version then" if at else "never named another version"
        raise NotFoundError(f"The alias {alias!r} of {model!r} {what}.", hint=f"It named {', '.join(past)}.")
    return store.move(model, alias, target, reason=reason, by=by, expected=current)


def _target(history: list[Move], to: str | None, at: datetime | None) -> str | None:
    if to is not None:
        return to if any(move.version == to for move in history) else None
    if at is not None:
        return next((move.version for move in reversed(history) if move.at <= at), None)
    return next((move.version for move in reversed(history) if move.version != history[-1].version), None)
