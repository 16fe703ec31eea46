"""Settings classes as command-line options: a field is `--field-name` and `MLPLAT_FIELD_NAME`."""

import inspect
import os
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_origin

import typer
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from mlplat import logs
from mlplat.errors import UsageError
from mlplat.settings import Settings, Short, Variable

ENV_PREFIX = "MLPLAT_"

S = TypeVar("S", bound=BaseModel)
Command = Callable[..., None]


def command(
    app: typer.Typer, settings: type[Settings], *, name: str, epilog: str | None = None
) -> Callable[[Command], Command]:
    """Register a function as the command `name` of `app`; its docstring is the help.

    The function takes `settings`, and declares positional arguments itself (`Annotated[str, typer.Argument(...)]`).
    """

    def register(function: Command) -> Command:
        signature = inspect.signature(function, eval_str=True)
        own = [parameter for parameter in signature.parameters.values() if parameter.name != "settings"]
        fields = [_parameter(field, info) for field, info in settings.model_fields.items()]
        parameters = [*(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own), *fields, _DEBUG]

        def run(**given: Any) -> None:
            set_up(debug=given.pop("debug"))
            arguments = {parameter.name: given.pop(parameter.name) for parameter in own}
            function(settings=validate(settings, given), **arguments)

        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        run.__doc__ = unwrap(inspect.getdoc(function) or "")
        app.command(name, epilog=epilog)(run)
        return function

    return register


def group(app: typer.Typer, settings: type[Settings]) -> Callable[[Command], Command]:
    """Register a function as what `app`, a group of commands, does when none of them is named; as `command` does."""

    def register(function: Command) -> Command:
        fields = [_parameter(field, info) for field, info in settings.model_fields.items()]
        context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)

        def run(**given: Any) -> None:
            debug = given.pop("debug")
            if given.pop("context").invoked_subcommand is None:
                set_up(debug=debug)
                function(settings=validate(settings, given))

        run.__signature__ = inspect.Signature([context, *fields, _DEBUG])  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in (context, *fields, _DEBUG)}
        run.__doc__ = unwrap(inspect.getdoc(function) or "")
        app.callback(invoke_without_command=True)(run)
        return function

    return register


class Debug:
    """Whether `--debug` was given to the one command that this process runs."""

    on = False


def set_up(*, debug: bool) -> None:
    """Configure the logs of a command.

    Raises:
        UsageError: if `LOG_LEVEL` is none.
    """
    Debug.on = debug
    try:
        logs.configure("debug" if debug else None)
    except ValueError as error:
        raise UsageError(f"LOG_LEVEL: {error}.") from error


def validate(settings: type[S], given: dict[str, Any]) -> S:
    """The settings, or another object that options give.

    Raises:
        UsageError: naming the option that is wrong.
    """
    try:
        return settings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        text = first["msg"].removeprefix("Value error, ")
        where = f"{flag(str(first['loc'][0]))}: " if first["loc"] else ""
        raise UsageError(f"{where}{text[0].lower() + text[1:]}.", hint="See --help.") from error


def unwrap(text: str) -> str:
    """Each paragraph as one line, so that the terminal wraps it."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def flag(field: str) -> str:
    """The option of a field: `--drain-seconds`."""
    return "--" + field.replace("_", "-")


def variable(field: str, info: FieldInfo) -> str:
    """The environment variable of a field: `MLPLAT_DRAIN_SECONDS`, or what its metadata says instead."""
    said = [part.name for part in info.metadata if isinstance(part, Variable)]
    return said[0] if said else ENV_PREFIX + field.upper()


def _parameter(field: str, info: FieldInfo) -> inspect.Parameter:
    repeated = get_origin(info.annotation) is tuple
    default = inspect.Parameter.empty if info.is_required() else [] if repeated else info.default
    option = typer.Option(
        flag(field),
        *(part.letter for part in info.metadata if isinstance(part, Short)),
        help=info.description,
        envvar=variable(field, info),
        callback=_by_line if repeated else None,
        show_default=default not in (None, [], inspect.Parameter.empty),
    )
    kind: Any = list[str] if repeated else info.annotation
    return inspect.Parameter(field, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])


def _by_line(context: typer.Context, parameter: typer.CallbackParam, values: list[str]) -> list[str]:
    """The values of a repeated option; its variable holds one a line, since a value may have spaces."""
    source = context.get_parameter_source(str(parameter.name))
    if source is None or source.name != "ENVIRONMENT":
        return values
    return [line for line in os.environ[str(parameter.envvar)].splitlines() if line.strip()]


_DEBUG = inspect.Parameter(
    "debug",
    inspect.Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[
        bool, typer.Option("--debug", help="Log everything, and show the traceback of an error.", envvar="MLPLAT_DEBUG")
    ],
)
