"""`mlplat serve`."""

import os

from mlplat.cli.app import app
from mlplat.cli.first import FirstTraining
from mlplat.cli.options import command
from mlplat.errors import UsageError
from mlplat.settings import ServeSettings

API_KEYS = "MLPLAT_API_KEYS"
"""Set and empty, as by a Secret without a key, it would be taken for unset, and let everyone in."""


@command(app, ServeSettings, name="serve", epilog="Example: mlplat serve --model iris --alias champion")
def serve(settings: ServeSettings) -> None:
    """Serve one version of a model over HTTP, or follow an alias.

    The server listens at once; /ready turns to 200 when the version is loaded and its recorded predictions were
    repeated. A version that is not there yet is waited for. On SIGTERM it serves on for --drain-seconds, then
    finishes what is in flight.
    """
    from mlplat.serve.run import run

    if settings.api_keys is None and os.environ.get(API_KEYS) == "":
        raise UsageError(f"{API_KEYS} is set and empty.", hint="Give a key, or unset it to let everyone in.")
    if settings.train is None:
        run(settings)
    else:
        with FirstTraining(settings, settings.train):
            run(settings)
