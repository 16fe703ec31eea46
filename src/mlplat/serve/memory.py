"""How much memory is left for a second version beside the one that serves."""

import contextlib
import ctypes
import gc
from collections.abc import Iterator
from pathlib import Path

EXPANSION = 13
"""Loading a forest was measured to take 12.1 (50 MB file) and 12.5 (24 MB) times the bytes of its file at the peak."""

MADV_DONTNEED = 4
"""The kernel's number for: these pages are not needed for now (madvise(2))."""

GARBAGE = 10_000
"""So many objects more than before begin a garbage collection. Python's 700 cost a tenth of a server that is overloaded."""

BASE_BYTES = 16 * 1024**2
"""What loading takes besides: a 50 kB file was measured to take 9 MB."""


def available_bytes(root: Path = Path("/")) -> int | None:
    """Bytes that this process may still take: the lower of its cgroup's room and the machine's; None if unknown."""
    rooms = [room for room in (_cgroup_room(root), _machine_room(root)) if room is not None]
    return min(rooms) if rooms else None


def fits(model_bytes: int, available: int | None) -> bool:
    """Whether a version of `model_bytes` can be loaded beside the one that serves."""
    return available is None or model_bytes * EXPANSION + BASE_BYTES <= available


def settle() -> None:
    """Exempt what is loaded by now from garbage collection, which would look through all of it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE, 20, 20)


def give_back() -> None:
    """Give memory that loading took and freed back to the system: of the heap, and of code that only loading ran.

    The latter is a fifth of what is resident. What serving needs of it comes back from the page cache by itself.
    """
    libc = ctypes.CDLL(None)
    with contextlib.suppress(AttributeError):  # glibc has it, other C libraries may not
        libc.malloc_trim(0)
    with contextlib.suppress(OSError, AttributeError):  # Linux has it
        for start, size in _code(Path("/proc/self/maps")):
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), MADV_DONTNEED)


def _code(maps: Path) -> Iterator[tuple[int, int]]:
    """Address and size of the code of each shared library: pages that are never written, just as in their file."""
    for line in maps.read_text().splitlines():
        span, permissions, _, _, _, *name = line.split(None, 5)
        if permissions == "r-xp" and name and ".so" in name[0]:
            start, end = (int(address, 16) for address in span.split("-"))
            yield start, end - start


def _cgroup_room(root: Path) -> int | None:
    cgroup = root / "sys/fs/cgroup"
    for folder, limit, usage, idle in (
        (cgroup, "memory.max", "memory.current", "inactive_file"),
        (cgroup / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            room = int((folder / limit).read_text()) - int((folder / usage).read_text())
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            return room + int(stat.get(idle, 0))  # file cache that the kernel gives back, as the kubelet counts
        except (OSError, ValueError):  # not this cgroup version, or "max": no limit
            continue
    return None


def _machine_room(root: Path) -> int | None:
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
