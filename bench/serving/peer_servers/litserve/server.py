"""ONNX Runtime in LitServe with batching, as in its documentation."""

import os
import sys

import litserve
import numpy as np
import onnxruntime


class Model(litserve.LitAPI):
    def setup(self, device: str) -> None:  # noqa: ARG002  (given by LitServe)
        self.session = onnxruntime.InferenceSession(
            os.environ["BENCH_MODEL"], providers=["CPUExecutionProvider"]
        )

    def decode_request(self, request: dict) -> np.ndarray:
        return np.asarray(request["input"], dtype=np.float32)

    def batch(self, inputs: list) -> np.ndarray:
        return np.concatenate(inputs)

    def predict(self, values: np.ndarray) -> np.ndarray:
        return self.session.run(None, {"input": values})[0]

    def unbatch(self, output: np.ndarray) -> list:
        return list(output)

    def encode_response(self, output: np.ndarray) -> dict:
        return {"output": output.tolist()}


if __name__ == "__main__":
    api = Model(max_batch_size=int(os.environ["BENCH_BATCH"]), batch_timeout=0.001)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
