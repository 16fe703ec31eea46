"""A file of 1 GiB goes up and comes down, whole and in parts, while the memory of the registry is watched.

The file is sparse and read in blocks, and what comes back is hashed in blocks, so nothing holds it in memory. Exit 0 if its hash
is right and the registry's resident memory never grew by more than MOST_GROWTH over what it was before.

    python bench/large.py                    2 minutes, 2 GiB of temporary files
    python bench/large.py --mib 100
    python bench/large.py --store s3://bucket/folder     with the usual AWS_* variables
"""

import argparse
import hashlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `bench`, when this file is run by its path

import urllib3
from bench.questions import get
from bench.servers import Cores, Server
from tests.conftest import draft_version

from mlplat.bundle.manifest import FileEntry
from mlplat.store import open_store

KEY = "the key of an admin of the bench"
MOST_GROWTH = 64.0
"""MiB: blocks of 1 MiB to and fro, and parts of 5 MiB for a cloud; a hundredth of the file would be more than noise."""

BLOCK = 1 << 20


class Watch:
    """The highest memory of a process in MiB, looked at a hundred times a second."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.highest = server.memory()

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look at it within the block."""
        done = threading.Event()

        def look() -> None:
            while not done.wait(0.01):
                self.highest = max(self.highest, self._server.memory())

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def sha256_of_file(path: Path) -> str:
    """The hash of a file, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_answer(url: str, headers: dict[str, str]) -> tuple[int, str, int]:
    """The status, the hash and the length of an answer, read in blocks."""
    digest, length = hashlib.sha256(), 0
    answer = urllib3.PoolManager(retries=False).request("GET", url, headers=headers, preload_content=False)
    for block in answer.stream(BLOCK):
        digest.update(block)
        length += len(block)
    return answer.status, digest.hexdigest(), length


def main() -> int:
    """Send and fetch; 0 if memory stayed and the bytes are right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--store", default="", help="of the registry; a folder if not given")
    options = parser.parse_args()
    size = options.mib << 20
    with tempfile.TemporaryDirectory(prefix="bench-large-") as name, ExitStack() as stack:
        folder = Path(name)
        small = draft_version(folder / "draft")
        large = small.files["model.onnx"]
        os.truncate(large, size)
        sha256 = sha256_of_file(large)
        files = {**small.manifest.files, "model.onnx": FileEntry(sha256=sha256, bytes=size)}
        manifest = small.manifest.model_copy(update={"files": files})
        words = ["--store", options.store or f"{folder}/store", "--uploads", f"{folder}/uploads", "--port", "{port}"]
        words += ["--database", f"sqlite:///{folder}/registry.db"]
        server = stack.enter_context(
            Server(
                [sys.executable, "-m", "mlplat", "registry", *words],
                get("/ready"),
                cores=Cores(),
                log=folder / "log",
                environment={"MLPLAT_REGISTRY_ADMIN_KEY": KEY},
            )
        )
        os.environ["MLPLAT_STORE_KEY"] = KEY
        base = f"http://127.0.0.1:{server.port}"
        open_store(base).models()
        before = server.memory()
        watch = Watch(server)
        with watch.looking():
            began = time.monotonic()
            open_store(base).publish(manifest, small.files)
            sent = time.monotonic() - began
            up = watch.highest
            url = f"{base}/models/iris/versions/v1/files/model.onnx"
            began = time.monotonic()
            whole = sha256_of_answer(url, {"X-API-Key": KEY})
            fetched = time.monotonic() - began
            part = sha256_of_answer(url, {"X-API-Key": KEY, "Range": f"bytes={size // 2}-"})
        print(
            f"{options.mib} MiB: up in {sent:.1f} s, down in {fetched:.1f} s; resident before {before:.1f}, highest while it went "
            f"up {up:.1f}, highest of all {watch.highest:.1f} MiB"
        )
    right = whole == (200, sha256, size) and (part[0], part[2]) == (206, size - size // 2)
    return 0 if right and watch.highest - before <= MOST_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
