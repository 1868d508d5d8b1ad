"""The demo's MLflow: environment, server, and training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cloche.demo.training import MARK
from cloche.errors import ClocheError, UnavailableError

if TYPE_CHECKING:
    from cloche.demo.places import Places
    from cloche.progress import Progress, Task

# Pinned, so that the demo stays as tested.
REQUIREMENTS = (
    "mlflow==3.17.2", "scikit-learn==1.9.1", "skl2onnx==1.20.0", "onnx==1.23.2",
    "onnxruntime==1.32.0",
)  # fmt: skip
LOG_LINES = 15


def environment(places: Places, progress: Progress) -> Path:
    """Return the Python of the environment of MLflow and the training; make it once."""
    from cloche import composition, environments

    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    lock = environments.lock(
        REQUIREMENTS,
        python,
        store=composition.store(places.outer),
        progress=progress,
        environment=os.environ,
    )
    folder = environments.materialize(lock, places.outer.layout.environments, progress)
    return folder / "bin" / "python"


def start_server(python: Path, places: Places) -> subprocess.Popen[bytes]:
    """Start MLflow with SQLite and proxied artifacts; record its process in its folder."""
    import psutil

    folder = places.registry
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [
                python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1",
                "--port", str(places.mlflow_port),
                "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
                "--artifacts-destination", str(folder / "artifacts"),
            ],
            cwd=folder, env=_variables(python), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    created = psutil.Process(process.pid).create_time()
    places.process_file.write_text(json.dumps({"pid": process.pid, "created": created}))
    return process


def start_training(python: Path, places: Places) -> subprocess.Popen[str]:
    """Start the training; it registers both versions once MLflow answers."""
    script = resources.files("cloche.demo") / "training.py"
    with (places.registry / "training.log").open("wb") as log:
        return subprocess.Popen(
            [python, str(script), places.tracking_uri, str(places.registry)],
            cwd=places.registry, env=_variables(python), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
        )  # fmt: skip


def training_result(
    training: subprocess.Popen[str], server: subprocess.Popen[bytes], places: Places, task: Task
) -> dict[str, Any]:
    """Wait for the training; return `{version, accuracy, held_out}` by alias."""
    output: IO[str] | None = training.stdout
    for line in output or ():
        if line.startswith(MARK):
            task.note(line.removeprefix(MARK).strip())
    if training.wait() != 0:
        log = "training.log" if server.poll() is None else "server.log"
        raise _failure("The training failed." if server.poll() is None else "MLflow ended.",
                      places.registry / log)  # fmt: skip
    result: dict[str, Any] = json.loads((places.registry / "result.json").read_text())
    return result


def _variables(python: Path) -> dict[str, str]:
    """Return the environment without the user's registry and credentials."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return {
        **kept,
        "PATH": f"{python.parent}:{kept.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
        "GIT_PYTHON_REFRESH": "quiet",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
        # Without its eight processes for evaluations, which the demo does not have.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


def _failure(what: str, log: Path) -> ClocheError:
    try:
        log_lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
    except OSError as error:
        return UnavailableError("demo.registry", f"{what} Its log cannot be read: {error}")
    text = "\n".join([f"{what} The end of its log:", *log_lines])
    return ClocheError("demo.registry", text, where=str(log), hint="Run the demo again.")
