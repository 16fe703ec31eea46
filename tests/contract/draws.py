"""How much hypothesis draws: in CI a few examples, always the same; with FUZZ_EXAMPLES=N in the environment N, new each time."""

import os

from hypothesis import HealthCheck, settings


def drawn(examples: int) -> settings:
    """So many examples, unless the environment wants another number."""
    wanted = os.environ.get("FUZZ_EXAMPLES")
    return settings(
        max_examples=examples if wanted is None else int(wanted),
        derandomize=wanted is None,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
