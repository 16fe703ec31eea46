"""How much memory a second version may take."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlplat.serve import memory
from mlplat.serve.memory import BASE_BYTES, EXPANSION, available_bytes, fits


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_the_limit_of_the_cgroup_counts_and_file_cache_is_given_back(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "sys/fs/cgroup/memory.max": "1000\n",
            "sys/fs/cgroup/memory.current": "700\n",
            "sys/fs/cgroup/memory.stat": "anon 500\ninactive_file 100\n",
            "proc/meminfo": "MemTotal: 9 kB\nMemAvailable: 8 kB\n",
        },
    )
    assert available_bytes(tmp_path) == 400


def test_the_first_cgroup_version_counts_too(tmp_path: Path) -> None:
    folder = "sys/fs/cgroup/memory/memory."
    write(
        tmp_path,
        {f"{folder}limit_in_bytes": "1000", f"{folder}usage_in_bytes": "900", f"{folder}stat": "total_inactive_file 5"},
    )
    assert available_bytes(tmp_path) == 105


def test_without_a_limit_the_machine_counts(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "sys/fs/cgroup/memory.max": "max\n",
            "sys/fs/cgroup/memory.current": "700\n",
            "proc/meminfo": "MemAvailable:  8 kB\n",
        },
    )
    assert available_bytes(tmp_path) == 8192


def test_where_nothing_is_known_everything_fits(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) is None
    assert fits(10**12, None)


def test_a_version_must_fit_with_what_loading_adds() -> None:
    assert fits(100, BASE_BYTES + 100 * EXPANSION)
    assert not fits(101, BASE_BYTES + 100 * EXPANSION)


def test_this_machine_has_memory() -> None:
    assert (available_bytes() or 0) > 0


def test_code_of_libraries_is_given_back_and_nothing_that_was_written(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.write_text(
        "55d0c0000000-55d0c0001000 r-xp 00000000 08:01 1 /usr/bin/python3\n"
        "7f0000000000-7f0000003000 r-xp 00001000 08:01 2 /usr/lib/libort.so.1\n"
        "7f0000003000-7f0000004000 rw-p 00004000 08:01 2 /usr/lib/libort.so.1\n"
        "7f0000005000-7f0000006000 r--p 00004000 08:01 2 /usr/lib/libort.so.1\n"
        "7f0000007000-7f0000008000 rw-p 00000000 00:00 0\n"
    )
    assert list(memory._code(maps)) == [(0x7F0000000000, 0x3000)]


GIVING = """
import ctypes, re
from pathlib import Path

import numpy  # whose code is then resident, and not needed

from mlplat.serve.memory import _code, give_back

MADV_POPULATE_READ = 22  # of Linux 5.14: all of it, however much the page cache had of it
for start, size in _code(Path("/proc/self/maps")):
    ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), MADV_POPULATE_READ)

def resident():
    status = Path("/proc/self/status").read_text()
    print(*(re.search(rf"{kind}:\\s+(\\d+) kB", status)[1] for kind in ("RssAnon", "RssFile")))

blocks = [bytes(2000) for _ in range(16_000)]
last = bytes(2000)  # at the end of the heap, which by itself can only become shorter
resident()
del blocks
resident()
give_back()
resident()
print(numpy.arange(4).sum())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is neither malloc_trim nor /proc")
def test_what_was_freed_and_code_that_only_loading_ran_are_no_longer_resident_and_nothing_is_lost() -> None:
    process = subprocess.run([sys.executable, "-c", GIVING], stdout=subprocess.PIPE, check=True, timeout=100)
    full, freed, given, total = (list(map(int, line.split())) for line in process.stdout.splitlines())
    heap, code = zip(full, freed, given, strict=True)
    assert heap[1] > heap[0] - 8_000, "else it was given back without our help, and this shows nothing"
    assert heap[2] < heap[1] - 24_000
    assert code[2] < code[1] - 1_000
    assert total == [6]
