"""The commands in documents, typed as a newcomer would."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

PRELUDE = """
set -euo pipefail
set -m
curl() { command curl --fail-with-body --show-error "$@"; echo; }
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
"""


def blocks_of(text: str, kind: str) -> list[str]:
    """The code blocks of a document whose first line is exactly so."""
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def typed(commands: str, folder: Path, *, listening: str) -> subprocess.CompletedProcess[str]:
    """What came of commands, typed into a shell in an empty folder.

    Args:
        commands: of a document.
        folder: for what the shell needs; the empty one is made there.
        listening: where the document says that its server listens; it does so at a free port instead.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = folder / "script.sh"
    script.write_text(PRELUDE + commands.replace(listening, f"127.0.0.1:{port}"))
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "MLPLAT_CACHE": str(folder / "cache"),
        "MLPLAT_PORT": str(port),
        "MLPLAT_DRAIN_SECONDS": "0",
    }
    (folder / "folder").mkdir()
    return subprocess.run(
        ["bash", str(script)],
        cwd=folder / "folder",
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
