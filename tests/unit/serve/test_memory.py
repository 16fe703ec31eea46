"""How much memory a second version may take."""

from pathlib import Path

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
