"""Moving an alias by a form, which says what its page showed: someone else may have been faster."""

from mlplat.bundle import names
from mlplat.errors import RequestError
from mlplat.registry import catalogue, changes
from mlplat.registry.bodies import LONGEST_TEXT, AliasMove
from mlplat.registry.service import Service
from mlplat.registry.ui.visits import Visit


def move(service: Service, visit: Visit, model: str, alias: str, version: str, *, reason: str, seen: int) -> AliasMove:
    """Let an alias name a version; the last move, which is an older one if it named that version already.

    Args:
        service: the registry.
        visit: who moves it.
        model: whose alias.
        alias: made if it does not exist.
        version: must exist.
        reason: why; must be given.
        seen: the number of the last move that the page showed; 0 if there was none.

    Raises:
        RequestError: 403 if the key does not suffice, 412 if the alias was moved meanwhile, 422 for a name that is none
            or without a reason.
        NotFoundError: if there is no such version.
    """
    visit.known.caller.require_model(model)
    reason = reason.replace("\r\n", "\n").strip()
    if not names.is_valid(alias):
        raise RequestError(f"{alias[:100]!r} cannot name an alias.", hint=names.HINT)
    if not reason or len(reason) > LONGEST_TEXT or "\0" in reason:
        raise RequestError("Say why: the reason stays in the history of the alias.")
    try:
        return changes.move_alias(service, visit.known, model, alias, version, reason=reason, after=seen)[0]
    except RequestError as error:
        if error.status != 412:
            raise
        raise RequestError(_what_happened(service, model, alias, error), status=412, code=error.code) from error


def _what_happened(service: Service, model: str, alias: str, error: RequestError) -> str:
    """Who was faster, and what the alias names now."""
    with service.database.read() as connection:
        last = catalogue.get_alias(connection, model, alias)
    if last is None:
        return str(error)
    if last.previous == last.version:
        happened = f"Meanwhile it was decided that {alias} stays with {last.version}"
    else:
        came = f"from {last.previous} to {last.version}" if last.previous else f"to {last.version}"
        happened = f"{alias} was moved meanwhile, {came}"
    why = f": {last.reason}" if last.reason else ""
    when = f"{last.at:%Y-%m-%d at %H:%M:%S} UTC"
    return f"{happened}, by {last.by or 'someone'} on {when}{why}. Nothing was changed; look again."
