"""ONNX Runtime as a BentoML service with adaptive batching, as in its documentation."""

import os

import bentoml
import numpy as np
import onnxruntime

_LATENCY = int(os.environ["BENCH_LATENCY_MS"])


@bentoml.service(workers=1, traffic={"timeout": 60}, metrics={"enabled": False})
class Model:
    def __init__(self) -> None:
        self.session = onnxruntime.InferenceSession(
            os.environ["BENCH_MODEL"], providers=["CPUExecutionProvider"]
        )

    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=_LATENCY)
    def predict(self, input: np.ndarray) -> np.ndarray:  # noqa: A002
        return self.session.run(None, {"input": input.astype(np.float32, copy=False)})[0]
