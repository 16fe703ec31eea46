"""How many connections fit into the limit of open files."""

import subprocess
import sys

import pytest

ASK = """
import resource, sys
from mlplat.serve.descriptors import connections_for
soft, hard = map(int, sys.argv[1:3])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(connections_for(int(sys.argv[3])), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "found"),
    [
        (300, 1000, 500, (500, 756, 1000)),
        (900, 1000, 500, (500, 900, 1000)),
        (300, 400, 500, (144, 400, 400)),
        (200, 200, 500, (1, 200, 200)),
    ],
)
def test_the_limit_is_raised_as_far_as_it_goes(soft: int, hard: int, wanted: int, found: tuple[int, ...]) -> None:
    command = [sys.executable, "-c", ASK, str(soft), str(hard), str(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert tuple(map(int, done.stdout.splitlines()[-1].split())) == found
