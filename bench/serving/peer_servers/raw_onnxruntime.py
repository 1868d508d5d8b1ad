"""ONNX Runtime alone in one process: rows per second without a server."""

import json
import sys
import time

import numpy as np
import onnxruntime


def main(path: str, batch: int, seconds: float) -> None:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    shape = [batch, *session.get_inputs()[0].shape[1:]]
    values = np.random.default_rng(0).random(shape, dtype=np.float32)
    session.run(None, {"input": values})
    times = []
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        begun = time.perf_counter()
        session.run(None, {"input": values})
        times.append(time.perf_counter() - begun)
    elapsed = time.perf_counter() - start
    p50, p99 = (float(q) * 1e3 for q in np.percentile(times, [50, 99]))
    result = {"requests": len(times) * batch, "seconds": elapsed, "failed": 0}
    print(json.dumps({**result, "p50_ms": p50, "p99_ms": p99}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
