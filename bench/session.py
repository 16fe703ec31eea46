"""ONNX Runtime alone, in a process of its own: `session.run` on one array, over and over.

Reads a number of seconds a line, and answers each with a line of JSON: the nanoseconds of every run.
"""

import json
import sys
import time

import numpy as np
import onnxruntime as ort


def main(model_file: str, rows_file: str) -> None:
    """Answer until the input ends."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model_file, options, providers=["CPUExecutionProvider"])
    rows = np.fromfile(rows_file, dtype=np.float32).reshape(-1, 4)
    for line in sys.stdin:
        spent: list[int] = []
        last = time.perf_counter_ns()
        end = last + int(float(line) * 1e9)
        while last < end:
            session.run(None, {"input": rows})
            now = time.perf_counter_ns()
            spent.append(now - last)
            last = now
        print(json.dumps(spent), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
