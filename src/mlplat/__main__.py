"""`mlplat`, or `python -m mlplat`: can be ended from the first moment on.

The process with number 1, which a container's command is, ignores SIGTERM as long as it has no handler; and all that a command
needs takes half a second to be imported, or more on a busy node. A pod that is deleted just then would stay for all of its
grace period.
"""

import os
import signal


def start() -> None:
    """Run the command that the process was started with, and end the process."""
    signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))  # nothing is begun that were to be undone
    from mlplat.cli import start as run

    run()


if __name__ == "__main__":
    start()
