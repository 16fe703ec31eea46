"""What commands print: tables for people, JSON for programs."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
import typer
from pydantic import Field

from mlplat.settings import Settings, Short, Variable


class ListSettings(Settings):
    """Settings of the commands that list."""

    output: Annotated[Literal["table", "json"], Variable("MLPLAT_LIST_OUTPUT"), Short("-o")] = Field(
        "table", description="A table for people, or JSON for programs."
    )


def print_rows(rows: Sequence[Mapping[str, Any]], output: str, *, empty: str = "") -> None:
    """Print rows in the form that `--output` asks for; a table without rows is the sentence `empty`."""
    if output == "json":
        print_json(rows)
    else:
        print_table(rows, empty=empty)


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(rows: Sequence[Mapping[str, Any]], *, empty: str = "") -> None:
    """Print rows under the keys of the first one; `empty` if there are none. Not a terminal: nothing is cut."""
    if not rows:
        typer.echo(empty)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for key in rows[0]:
        table.add_column(key.upper(), overflow="fold")
    for row in rows:
        table.add_row(*(Text(text(value)) for value in row.values()))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 10_000
    console.print(table)


def text(value: object) -> str:
    """A value in a cell of a table."""
    match value:
        case None:
            return ""
        case dict():
            return " ".join(f"{name}={text(item)}" for name, item in value.items())
        case list() | tuple():
            return ", ".join(map(text, value))
        case _:
            return str(value)
