"""`mlplat operator`."""

from mlplat.cli.app import app
from mlplat.cli.options import command
from mlplat.settings import OperatorSettings


@command(app, OperatorSettings, name="operator")
def operator(settings: OperatorSettings) -> None:
    """Keep every ModelDeployment of a cluster as it says: served, scaled, updated and healed.

    It looks for the API server as kubectl does, or as a pod does. Nothing that serves depends on it.
    """
    from mlplat.operator.run import run

    run(settings)
