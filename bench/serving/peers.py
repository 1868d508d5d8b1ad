"""The servers that Cloche is compared with, each with the best settings from its documentation."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bench.environments import environment
from bench.processes import free_port, running
from bench.serving.load import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.serving.models import BenchModel

_HERE = Path(__file__).parent / "peer_servers"
_JSON = {"Content-Type": "application/json"}


class Contender(Protocol):
    """A server under test."""

    name: str
    settings: str
    """Settings, for the report."""

    def serving(
        self, model: BenchModel, folder: Path
    ) -> contextlib.AbstractContextManager[dict[str, Endpoint]]:
        """Serve a model during the block; yield an endpoint per request format."""


class MLServer:
    """MLServer with a custom ONNX Runtime model."""

    name = "mlserver"
    settings = "1.7.1, parallel_workers 0, debug off, no adaptive batching, uvloop"

    @contextlib.contextmanager
    def serving(self, model: BenchModel, folder: Path) -> Iterator[dict[str, Endpoint]]:
        (folder / "runtime.py").write_text((_HERE / "mlserver/runtime.py").read_text())
        python = environment(_HERE / "mlserver/requirements.txt") / "bin"
        description = {
            "name": model.name, "implementation": "runtime.OnnxModel",
            "parameters": {"uri": str(model.path)},
        }  # fmt: skip
        with mlserver(python, description, folder, {"PYTHONPATH": str(folder)}) as url:
            yield {"json": Endpoint(url, v2_json(model), _JSON)}


@contextlib.contextmanager
def mlserver(
    python: Path,
    description: dict[str, Any],
    folder: Path,
    variables: dict[str, str] | None = None,
) -> Iterator[str]:
    """Run MLServer with one model, by its model-settings.json; yield where it infers.

    `python` is the folder of its programs.
    """
    port = free_port()
    settings = {
        "debug": False, "host": "127.0.0.1", "http_port": port, "grpc_port": free_port(),
        "metrics_port": free_port(), "parallel_workers": 0, "logging_settings": None,
    }  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(description))
    url = f"http://127.0.0.1:{port}/v2/models/{description['name']}"
    with running(
        [python / "mlserver", "start", "."], folder / "log", ready=f"{url}/ready",
        folder=folder, environment=variables or {},
    ):  # fmt: skip
        yield f"{url}/infer"


class BentoML:
    """BentoML with an adaptive batching service."""

    name = "bentoml"
    settings = "1.4.39, 1 worker, adaptive batching up to 32, metrics off, access log off"

    @contextlib.contextmanager
    def serving(self, model: BenchModel, folder: Path) -> Iterator[dict[str, Endpoint]]:
        port = free_port()
        folders = environment(_HERE / "bentoml/requirements.txt")
        configuration = folder / "bentoml.yaml"
        configuration.write_text("services:\n  logging:\n    access:\n      enabled: false\n")
        with running(
            [folders / "bin" / "bentoml", "serve", "service:Model", "--host", "127.0.0.1",
             "--port", str(port)],
            folder / "log", ready=f"http://127.0.0.1:{port}/readyz", folder=_HERE / "bentoml",
            environment={
                "BENCH_MODEL": str(model.path), "BENCH_LATENCY_MS": str(model.latency_ms),
                "BENTOML_CONFIG": str(configuration),
                "BENTOML_HOME": str(folder / "home"), "BENTOML_DO_NOT_TRACK": "True",
                "PATH": f"{folders / 'bin'}:/usr/bin:/bin",
            },
        ):  # fmt: skip
            body = json.dumps({"input": model.row().tolist()}).encode()
            yield {"json": Endpoint(f"http://127.0.0.1:{port}/predict", body, _JSON)}


class LitServe:
    """LitServe with batching."""

    name = "litserve"
    settings = "0.2.19, 1 worker, batches up to the model's limit within 1 ms, fast_queue"

    @contextlib.contextmanager
    def serving(self, model: BenchModel, folder: Path) -> Iterator[dict[str, Endpoint]]:
        port = free_port()
        python = environment(_HERE / "litserve/requirements.txt") / "bin" / "python"
        with running(
            [python, _HERE / "litserve/server.py", str(port)], folder / "log",
            ready=f"http://127.0.0.1:{port}/health", folder=folder,
            environment={"BENCH_MODEL": str(model.path), "BENCH_BATCH": str(model.max_batch_size)},
        ):  # fmt: skip
            body = json.dumps({"input": model.row().tolist()}).encode()
            yield {"json": Endpoint(f"http://127.0.0.1:{port}/predict", body, _JSON)}


def v2_json(model: BenchModel) -> bytes:
    """Return a request for one row in the JSON of the KServe v2 protocol."""
    row = model.row()
    tensor = {
        "name": "input", "datatype": "FP32", "shape": list(row.shape),
        "data": row.ravel().tolist(),
    }  # fmt: skip
    return json.dumps({"inputs": [tensor]}).encode()


def v2_binary(model: BenchModel) -> tuple[bytes, dict[str, str]]:
    """Return the same request with the tensor as bytes after the JSON, and its headers."""
    data = model.row().tobytes()
    tensor = {
        "name": "input", "datatype": "FP32", "shape": [1, *model.shape],
        "parameters": {"binary_data_size": len(data)},
    }  # fmt: skip
    output = {"name": "output", "parameters": {"binary_data": True}}
    header = json.dumps({"inputs": [tensor], "outputs": [output]}).encode()
    return header + data, {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(header)),
    }
