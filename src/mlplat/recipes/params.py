"""Parameters of recipes and estimators: typed, documented, read leniently from text, refused by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from mlplat.errors import UsageError


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
"""Several names, also as one text with commas: "zip,area"."""


class Parameters(BaseModel):
    """The parameters of a recipe; subclass it and give each field a type, a default and a description.

    Values may be text, as the command line gives them: "200", "0.1", "true", "none".
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _read_none(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        optional = {n for n, f in cls.model_fields.items() if NoneType in get_args(f.annotation)}
        return {n: None if n in optional and v in {"none", "None", "null"} else v for n, v in values.items()}

    @classmethod
    def read(cls, given: Mapping[str, Any], *, owner: str) -> Self:
        """Check the parameters of `owner` ("recipe 'iris'").

        Raises:
            UsageError: naming the wrong one, and the allowed ones.
        """
        refuse_unknown(given, list(cls.model_fields), owner=owner)
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else ""
            if first["type"] == "missing":
                raise UsageError(
                    f"The {owner} needs the parameter {name!r}.", hint=f"Add --param {name}=..."
                ) from error
            raise UsageError(
                f"The parameter {name!r} of the {owner} cannot be {first['input']!r}: {first['msg']}."
            ) from error

    def explicit(self) -> dict[str, Any]:
        """The parameters that were given, as JSON values."""
        return self.model_dump(mode="json", exclude_unset=True)


def refuse_unknown(given: Mapping[str, Any], allowed: list[str], *, owner: str) -> None:
    """Refuse parameters that `owner` does not have.

    Raises:
        UsageError: naming them, and the allowed ones.
    """
    unknown = [name for name in given if name not in allowed]
    if unknown:
        words = (
            f"no parameter {unknown[0]!r}" if len(unknown) == 1 else f"no parameters {', '.join(map(repr, unknown))}"
        )
        allowed_words = f"Allowed: {', '.join(allowed)}." if allowed else "It takes none."
        raise UsageError(f"The {owner} has {words}.", hint=allowed_words)


@dataclass(frozen=True, slots=True)
class ParameterHelp:
    """A parameter as `--help` shows it; `of` names the estimator that it belongs to, empty for the recipe itself."""

    name: str
    type: str
    default: str
    description: str
    of: str = ""


def describe_parameters(model: type[Parameters], *, of: str = "") -> list[ParameterHelp]:
    """The fields of a parameters model, in order."""
    return [
        ParameterHelp(
            name,
            type_name(field.annotation),
            "required" if field.is_required() else _default_text(field.default),
            field.description or "",
            of,
        )
        for name, field in model.model_fields.items()
    ]


def type_name(annotation: Any) -> str:
    """A type as a person reads it: "integer or none", "one of a, b"."""
    if get_origin(annotation) is Annotated:
        return type_name(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(map(str, get_args(annotation)))
    if get_origin(annotation) is tuple:
        return "names with commas between them" if str in get_args(annotation) else "numbers with commas between them"
    if get_args(annotation):
        return " or ".join(type_name(part) for part in get_args(annotation))
    words = {int: "integer", float: "number", bool: "true or false", str: "text", NoneType: "none"}
    return words.get(annotation, str(annotation))


def _default_text(value: Any) -> str:
    if value is None or value == ():
        return "none"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
