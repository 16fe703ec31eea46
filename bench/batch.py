"""Batch scoring against a script of pandas and joblib, side by side: rows a second, and peak memory.

Both score the same files with the same forest of 100 trees, class and probabilities, each in a process of its own, in
turn. The seconds are from opening the input to the closed output, without starting Python and importing; the memory is
the process's peak. The answers are compared. The ratio is that of the fastest rounds, which others disturbed least.

    python bench/batch.py                      5 million rows, 3 rounds, and memory at 1 and 20 million: 10 minutes
    python bench/batch.py --rows 500000 --rounds 1 --memory-rows 100000 1000000
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FEATURES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
FORMATS = ("csv", "parquet")
GOALS = {"csv": 3.0, "parquet": 1.6}
MILLION = 1_000_000


def make_inputs(folder: Path, rows: int) -> dict[str, Path]:
    """The measurements of iris flowers with some noise, as CSV and as Parquet; the same for the same number of rows."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq
    from sklearn.datasets import load_iris

    flowers = load_iris().data
    random = np.random.default_rng(7)
    schema = pa.schema([(name, pa.float64()) for name in FEATURES])
    paths = {kind: folder / f"{rows}.{kind}" for kind in FORMATS}
    with pacsv.CSVWriter(paths["csv"], schema) as text, pq.ParquetWriter(paths["parquet"], schema) as parquet:
        for start in range(0, rows, MILLION):
            count = min(MILLION, rows - start)
            noisy = flowers[random.integers(0, len(flowers), count)] + random.normal(0, 0.1, (count, len(FEATURES)))
            table = pa.table(dict(zip(FEATURES, np.abs(noisy).round(2).T, strict=True)), schema=schema)
            text.write_table(table)
            parquet.write_table(table)
    return paths


def train(folder: Path) -> None:
    """Publish a version to the store in `folder`, and put its pickle beside, for the script."""
    from mlplat import logs
    from mlplat.store import open_store
    from mlplat.train.run import train

    logs.configure("error")
    store = open_store(str(folder / "store"))
    manifest = train(store=store, recipe="iris", version="v1", params={"n_estimators": 100}).manifest
    (folder / "model.joblib").write_bytes(store.read_file(manifest, "model.joblib"))
    (folder / "classes.json").write_text(json.dumps(manifest.classes))


def theirs(folder: Path, source: Path, output: Path) -> float:
    """What people write by hand. Returns seconds."""
    import joblib
    import numpy as np
    import pandas as pd

    classes = np.array(json.loads((folder / "classes.json").read_text()))
    began = time.perf_counter()
    model = joblib.load(folder / "model.joblib")
    model.set_params(n_jobs=2)
    table = pd.read_csv(source) if source.suffix == ".csv" else pd.read_parquet(source)
    rows = table[FEATURES].to_numpy()
    table["prediction"] = classes[model.predict(rows)]
    probabilities = model.predict_proba(rows)
    for index, label in enumerate(classes):
        table[f"probability_{label}"] = probabilities[:, index]
    table["model_version"] = "v1"
    if output.suffix == ".csv":
        table.to_csv(output, index=False)
    else:
        table.to_parquet(output, index=False)
    return time.perf_counter() - began


def ours(folder: Path, source: Path, output: Path) -> float:
    """`mlplat batch --threads 2`. Returns seconds."""
    from mlplat.batch import score
    from mlplat.store import Cache, open_store

    began = time.perf_counter()
    score(
        store=open_store(str(folder / "store"), create=False),
        cache=Cache(folder / "cache"),
        model="iris",
        version="v1",
        inputs=[str(source)],
        output=str(output),
        overwrite=True,
        threads=2,
    )
    return time.perf_counter() - began


def run_child(who: str, folder: Path, source: Path, output: Path) -> tuple[float, float]:
    """Run `theirs` or `ours` in a process of its own, on two cores. Returns seconds, and its peak memory in MiB."""
    command = [sys.executable, __file__, "--child", who, str(folder), str(source), str(output)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer["seconds"], answer["peak_mib"]


def child(who: str, folder: Path, source: Path, output: Path) -> None:
    """Run one of the two here, and print what it took."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    seconds = {"theirs": theirs, "ours": ours}[who](folder, source, output)
    # Not ru_maxrss, which a process takes over from the one that started it.
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024
    print(json.dumps({"seconds": seconds, "peak_mib": peak}))


def compare(left: Path, right: Path) -> float:
    """The share of rows with the same prediction; probabilities must be within 1e-5.

    Raises:
        AssertionError: if more than one row in 10,000 differs.
    """
    import numpy as np

    same = rows = 0
    for ours, theirs in zip(batches(left), batches(right), strict=True):
        names = [name for name in ours if name.startswith("probability_")]
        assert list(ours) == list(theirs)
        assert all(np.allclose(ours[name], theirs[name], atol=1e-5) for name in [*FEATURES, *names])
        same += int((ours["prediction"] == theirs["prediction"]).sum())
        rows += len(ours["prediction"])
    assert same >= rows * 0.9999, f"{rows - same} of {rows} predictions differ"
    return same / rows


def batches(path: Path, rows: int = MILLION) -> Iterator[dict[str, Any]]:
    """The columns of a scored file, a million rows at a time."""
    import pandas as pd
    import pyarrow.parquet as pq

    if path.suffix == ".csv":
        with pd.read_csv(path, chunksize=rows) as reader:
            yield from ({str(name): table[name].to_numpy() for name in table} for table in reader)
    else:
        table = pq.read_table(path)
        for start in range(0, len(table), rows):
            part = table.slice(start, rows)
            yield {name: part[name].to_numpy() for name in part.column_names}


def measure_speed(folder: Path, rows: int, rounds: int) -> bool:
    """Print the table of speed; whether the goals are met."""
    inputs = make_inputs(folder, rows)
    print(f"| {rows:,} rows | pandas + joblib | mlplat batch | ratio (each round) | goal | peak memory |")
    print("| --- | --- | --- | --- | --- | --- |")
    met = True
    for kind in FORMATS:
        seconds: dict[str, list[float]] = {"theirs": [], "ours": []}
        peaks: dict[str, float] = {}
        outputs = {who: folder / f"{who}.{kind}" for who in seconds}
        for _ in range(rounds):
            for who, spent in seconds.items():
                one, peaks[who] = run_child(who, folder, inputs[kind], outputs[who])
                spent.append(one)
        agreement = compare(outputs["ours"], outputs["theirs"])
        ratios = [theirs / ours for theirs, ours in zip(seconds["theirs"], seconds["ours"], strict=True)]
        ratio = min(seconds["theirs"]) / min(seconds["ours"])
        met = met and ratio >= GOALS[kind]
        rates = {who: f"{rows / min(spent):,.0f} rows/s" for who, spent in seconds.items()}
        each = ", ".join(f"{one:.2f}" for one in ratios)
        print(
            f"| {kind} to {kind} | {rates['theirs']} | {rates['ours']} | **{ratio:.2f}** ({each}) | {GOALS[kind]} | "
            f"{peaks['theirs']:,.0f} MiB, {peaks['ours']:,.0f} MiB |"
        )
        print(f"<!-- {agreement:.4%} of the predictions are the same -->", file=sys.stderr)
        for path in (*outputs.values(), inputs[kind]):
            path.unlink()
    return met


def measure_memory(folder: Path, small: int, large: int) -> bool:
    """Print the table of memory; whether it does not grow."""
    print(f"\n| peak memory of mlplat batch | {small:,} rows | {large:,} rows | ratio |")
    print("| --- | --- | --- | --- |")
    met = True
    peaks: dict[str, list[float]] = {kind: [] for kind in FORMATS}
    for rows in (small, large):
        inputs = make_inputs(folder, rows)
        for kind in FORMATS:
            output = folder / f"ours.{kind}"
            peaks[kind].append(run_child("ours", folder, inputs[kind], output)[1])
            output.unlink()
            inputs[kind].unlink()
    for kind, (first, last) in peaks.items():
        met = met and last <= 1.1 * first
        print(f"| {kind} to {kind} | {first:,.0f} MiB | {last:,.0f} MiB | {last / first:.2f} |")
    return met


def main() -> int:
    """Run all; 0 if every goal was met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5 * MILLION)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-rows", type=int, nargs=2, default=(MILLION, 20 * MILLION))
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        who, *paths = options.child
        child(who, *map(Path, paths))
        return 0
    with tempfile.TemporaryDirectory(prefix="bench-batch-") as name:
        folder = Path(name)
        train(folder)
        fast = measure_speed(folder, options.rows, options.rounds)
        small, large = options.memory_rows
        bounded = measure_memory(folder, small, large) if large else True
    print(f"\nload of the machine at the end: {os.getloadavg()[0]:.1f}", file=sys.stderr)
    return 0 if fast and bounded else 1


if __name__ == "__main__":
    sys.exit(main())
