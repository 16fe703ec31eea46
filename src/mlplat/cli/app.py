"""The root command; each module beside this one adds its own."""

from typing import Annotated

import typer

from mlplat import __version__

app = typer.Typer(
    name="mlplat",
    help="Train scikit-learn models, publish them as immutable versions, serve them and score files.",
    epilog="Every option is also an environment variable: --store is MLPLAT_STORE; of one that may be repeated, each "
    "line is a value. "
    "Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 conflict.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the release of mlplat.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass
