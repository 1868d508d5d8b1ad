"""Requests through the gateway: the model's accuracy, and latencies."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cloche.progress import Task

WARM_UP = 20
TIMEOUT = 30.0
"""Limit of a request, in seconds."""

Ask = Callable[["NDArray[Any]"], tuple[int, int | None]]
"""Sends one scan; returns its label and the revision that answered (None: unknown)."""
Connect = Callable[[str, dict[str, Any]], tuple[Ask, Callable[[], None]]]


def scans(held_out: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the held-out scans and their labels."""
    import numpy as np

    with np.load(held_out) as data:
        return data["pixels"], data["labels"]


def measure(
    service: dict[str, Any], pixels: NDArray[Any], labels: NDArray[Any], task: Task
) -> dict[str, Any]:
    """Send each scan alone, over HTTP and then gRPC; accuracy is a share, latencies are in ms."""
    import numpy as np

    report: dict[str, Any] = {"requests": len(pixels), "accuracy": {}, "latency_ms": {}}
    for protocol in ("http", "grpc"):
        task.note(f"{len(pixels)} requests over {protocol}")
        ask, close = connect(protocol, service)
        try:
            answers, times = _send(ask, pixels)
        finally:
            close()
        report["accuracy"][protocol] = float(np.mean(answers == labels))
        p50, p99 = np.percentile(times, [50, 99])
        report["latency_ms"][protocol] = {"p50": round(p50, 3), "p99": round(p99, 3)}
    return report


def connect(protocol: str, service: dict[str, Any]) -> tuple[Ask, Callable[[], None]]:
    """Return functions that ask a service over `http` or `grpc`, and close the connection."""
    return {"http": _over_http, "grpc": _over_grpc}[protocol](service)


def _send(ask: Ask, pixels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    import numpy as np

    for scan in pixels[:WARM_UP]:
        ask(scan[None, :])
    answers, times = [], []
    for scan in pixels:
        began = time.perf_counter()
        label, _ = ask(scan[None, :])
        times.append((time.perf_counter() - began) * 1000)
        answers.append(label)
    return np.array(answers), np.array(times)


def _over_http(service: dict[str, Any]) -> tuple[Ask, Callable[[], None]]:
    from cloche.clients.kserve.client import InferenceClient
    from cloche.clients.kserve.tensors import decode, encode

    client = InferenceClient(service["http"].partition("/v2/models/")[0], timeout=TIMEOUT)

    def ask(scan: NDArray[Any]) -> tuple[int, int | None]:
        body, length = encode({"pixels": scan}, binary=True, outputs=["label"])
        answer = client.infer(service["service"], body, length)
        label = decode(answer.body, answer.header_length)["label"]
        return int(label.ravel()[0]), int(answer.headers["cloche-revision"])

    return ask, client.close


def _over_grpc(service: dict[str, Any]) -> tuple[Ask, Callable[[], None]]:
    """Use NVIDIA's client, unchanged, with the gateway's address and the model's name."""
    import tritonclient.grpc

    triton: Any = tritonclient.grpc  # it has no types
    client = triton.InferenceServerClient(service["grpc"])

    def ask(scan: NDArray[Any]) -> tuple[int, int | None]:
        tensor = triton.InferInput("pixels", list(scan.shape), "FP32")
        tensor.set_data_from_numpy(scan)
        label = [triton.InferRequestedOutput("label")]
        answer = client.infer(service["service"], [tensor], outputs=label, client_timeout=TIMEOUT)
        return int(answer.as_numpy("label").ravel()[0]), None

    return ask, client.close
