"""Real requests through the gateway: how often the model is right, and how long they take."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from cloche.progress import Step

WARM_UP = 20


def measure(service: dict[str, Any], held_out: Path, step: Step) -> dict[str, Any]:
    """Send each scan alone, over HTTP and then gRPC; accuracy is a share, latencies are in ms."""
    import numpy as np

    with np.load(held_out) as data:
        pixels, labels = data["pixels"], data["labels"]
    report: dict[str, Any] = {"requests": len(pixels), "accuracy": {}, "latency_ms": {}}
    for protocol, connect in (("http", _over_http), ("grpc", _over_grpc)):
        step.note(f"{len(pixels)} requests over {protocol}")
        ask, close = connect(service)
        try:
            answers, times = _send(ask, pixels)
        finally:
            close()
        report["accuracy"][protocol] = float(np.mean(answers == labels))
        p50, p99 = np.percentile(times, [50, 99])
        report["latency_ms"][protocol] = {"p50": round(p50, 3), "p99": round(p99, 3)}
    return report


def _send(
    ask: Callable[[NDArray[Any]], int], pixels: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    import numpy as np

    for scan in pixels[:WARM_UP]:
        ask(scan[None, :])
    answers, times = [], []
    for scan in pixels:
        began = time.perf_counter()
        answers.append(ask(scan[None, :]))
        times.append((time.perf_counter() - began) * 1000)
    return np.array(answers), np.array(times)


Asker = tuple["Callable[[NDArray[Any]], int]", "Callable[[], None]"]


def _over_http(service: dict[str, Any]) -> Asker:
    from cloche.clients.kserve.client import InferenceClient, decode, encode

    client = InferenceClient(service["http"].partition("/v2/models/")[0])

    def ask(scan: NDArray[Any]) -> int:
        body, length = encode({"pixels": scan}, binary=True, outputs=["label"])
        answer = client.infer(service["service"], body, length)
        return int(decode(answer.body, answer.header_length)["label"].ravel()[0])

    return ask, client.close


def _over_grpc(service: dict[str, Any]) -> Asker:
    """Use the client that NVIDIA ships, unchanged: the gateway's address, the model's name."""
    import tritonclient.grpc

    triton: Any = tritonclient.grpc  # it has no types
    client = triton.InferenceServerClient(service["grpc"])

    def ask(scan: NDArray[Any]) -> int:
        tensor = triton.InferInput("pixels", list(scan.shape), "FP32")
        tensor.set_data_from_numpy(scan)
        answer = client.infer(
            service["service"], [tensor], outputs=[triton.InferRequestedOutput("label")]
        )
        return int(answer.as_numpy("label").ravel()[0])

    return ask, client.close
