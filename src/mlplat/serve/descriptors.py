"""How many files and sockets the process may have open."""

import resource

from mlplat import logs

RESERVED = 256
"""For the store, the model's files, logs, and connections that are only told to come back."""


def connections_for(wanted: int) -> int:
    """The connections that may be open: as many as wanted, if the system allows; the limit of the process is raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + RESERVED
    if soft < needed:
        soft = min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft >= needed:
        return wanted
    possible = max(1, soft - RESERVED)
    logs.get().warning("fewer_connections", wanted=wanted, possible=possible, open_files=hard)
    return possible
